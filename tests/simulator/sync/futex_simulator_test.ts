import { assert, assertEquals, assertMatch } from "@std/assert";
import { PLANTED_FUTEX_BUGS } from "./futex_bugs.ts";
import { runFutexBatch, runFutexSchedule } from "./futex_schedule.ts";

const SCHEDULES = 10_000;

Deno.test("no schedule of waits for words breaks a promise, and together they get into every corner", () => {
  const { failure, coverage } = runFutexBatch(1, SCHEDULES);
  assertEquals(failure, undefined);
  assertEquals(Object.entries(coverage).filter(([, times]) => times === 0), []);
});

Deno.test("a seed gives the same schedule of waits for words again", () => {
  const traces = [1, 2].map(() => {
    const lines: string[] = [];
    runFutexSchedule(7, undefined, undefined, (action) => lines.push(JSON.stringify(action)));
    return lines;
  });
  assert(traces[0]!.length > 5);
  assertEquals(traces[0], traces[1]);
});

for (const { name, parts, finding } of PLANTED_FUTEX_BUGS) {
  Deno.test(`the simulator of waits for words finds a planted bug: ${name}`, () => {
    const { failure } = runFutexBatch(1, SCHEDULES, parts);
    assertMatch(failure?.reason ?? "nothing was found", finding);
  });
}
