import { assert, assertEquals, assertMatch } from "@std/assert";
import { report } from "../coherence/coverage.ts";
import { runSyncBatch } from "./batch.ts";
import { PLANTED_SYNC_BUGS } from "./planted_bugs.ts";
import { SyncSchedule } from "./schedule.ts";

const SCHEDULES = 2_000;

Deno.test("no schedule breaks a promise of synchronisation, and together they get into every corner", () => {
  const { failure, coverage } = runSyncBatch(1, SCHEDULES);
  assertEquals(failure, undefined);
  assertEquals(report({ ...coverage }).unvisited, []);
});

Deno.test("a seed gives the same schedule of synchronisation again", () => {
  const traces = [1, 2].map(() => {
    const lines: string[] = [];
    new SyncSchedule(42, undefined, undefined, (line) => lines.push(line)).run();
    return lines;
  });
  assert(traces[0]!.length > 20);
  assertEquals(traces[0], traces[1]);
});

for (const { name, parts, finding } of PLANTED_SYNC_BUGS) {
  Deno.test(`the simulator of synchronisation finds a planted bug: ${name}`, () => {
    const { failure } = runSyncBatch(1, SCHEDULES, parts);
    assertMatch(failure?.reason ?? "nothing was found", finding);
  });
}
