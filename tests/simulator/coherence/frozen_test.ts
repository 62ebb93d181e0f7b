import { assert, assertEquals, assertMatch } from "@std/assert";
import { FREEZE_BUGS, runFrozen } from "./frozen.ts";

const SCHEDULES = 2_000;
/** Within so many each planted bug is found. */
const BUG_SCHEDULES_MAX = 30_000;

Deno.test("no thread of a node that was given up reads what others have overwritten, once its engine has taken a step", () => {
  const { counts, failure } = runFrozen(SCHEDULES);
  assertEquals(failure, undefined);
  assert(counts.frozen > SCHEDULES / 2, JSON.stringify(counts));
  assert(counts.givenUp > SCHEDULES / 20, JSON.stringify(counts));
  // What the oracle guards against is there to be read.
  assert(counts.readsBefore > 10, JSON.stringify(counts));
});

for (const bug of FREEZE_BUGS) {
  Deno.test(`the simulator finds a planted bug of frozen nodes: ${bug.name}`, () => {
    const { failure } = runFrozen(BUG_SCHEDULES_MAX, bug);
    assertMatch(failure ?? "nothing was found", /which was given up, reads page \d+/);
  });
}
