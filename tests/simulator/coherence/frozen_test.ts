import { assert, assertEquals, assertMatch } from "@std/assert";
import { TIMES } from "./corners.ts";
import { FREEZE_BUGS } from "./freeze_bugs.ts";
import { NO_BUG, type PlantedBug } from "./planted_bugs.ts";
import { ProtocolCoverage } from "./protocol_coverage.ts";
import { FROZEN_EVERY, runSchedule } from "./run_schedule.ts";

const SCHEDULES = 2_000;
/** Within so many each planted bug is found. */
const BUG_SCHEDULES_MAX = 30_000;

/** Runs those of the simulator's schedules that have frozen nodes, until one fails. */
function runFrozen(count: number, bug: PlantedBug, coverage?: ProtocolCoverage): string {
  for (let seed = 0; seed < count * FROZEN_EVERY; seed += FROZEN_EVERY) {
    try {
      runSchedule(seed, bug, coverage);
    } catch (error) {
      return `seed ${seed}: ${(error as Error).message}`;
    }
  }
  return "nothing was found";
}

Deno.test("no thread of a node that was given up reads what others have overwritten, once its engine has taken a step", () => {
  const coverage = new ProtocolCoverage();
  assertEquals(runFrozen(SCHEDULES, NO_BUG, coverage), "nothing was found");
  const times = (corner: Parameters<typeof coverage.corners.times>[0]): number =>
    coverage.corners.times(corner, TIMES);
  assert(times("frozen") > SCHEDULES / 2, `${times("frozen")}`);
  assert(times("givenUp") > SCHEDULES / 20, `${times("givenUp")}`);
  // What the oracle guards against is there to be read.
  assert(times("readBehind") > 10, `${times("readBehind")}`);
});

for (const bug of FREEZE_BUGS) {
  Deno.test(`the simulator finds a planted bug of frozen nodes: ${bug.name}`, () => {
    const failure = runFrozen(BUG_SCHEDULES_MAX, { ...NO_BUG, name: bug.name, freezing: bug });
    assertMatch(failure, /which was given up, reads page \d+/);
  });
}
