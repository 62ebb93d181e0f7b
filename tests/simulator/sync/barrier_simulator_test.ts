import { assert, assertEquals, assertMatch } from "@std/assert";
import { PLANTED_BARRIER_BUGS } from "./barrier_bugs.ts";
import { runBarrierBatch, runBarrierSchedule } from "./barrier_schedule.ts";

const SCHEDULES = 1_000;

Deno.test("no schedule of barriers that trees gather breaks a promise, and together they get into every corner", () => {
  const { failure, coverage } = runBarrierBatch(1, SCHEDULES);
  assertEquals(failure, undefined);
  assertEquals(Object.entries(coverage).filter(([, times]) => times === 0), []);
});

Deno.test("an arrival that was taken back is of no round, though its thread has yet to hear that", () => {
  runBarrierSchedule(8_035_701);
});

Deno.test("a seed gives the same schedule of barriers again", () => {
  const traces = [1, 2].map(() => {
    const lines: string[] = [];
    runBarrierSchedule(12, undefined, undefined, (line) => lines.push(line));
    return lines;
  });
  assert(traces[0]!.length > 20);
  assertEquals(traces[0], traces[1]);
});

for (const { name, parts, finding } of PLANTED_BARRIER_BUGS) {
  Deno.test(`the simulator of barriers finds a planted bug: ${name}`, () => {
    const { failure } = runBarrierBatch(1, SCHEDULES, parts);
    assertMatch(failure?.reason ?? "nothing was found", finding);
  });
}
