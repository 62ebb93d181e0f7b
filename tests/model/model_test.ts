import { assert, assertEquals, assertMatch } from "@std/assert";
import { HOME_BUGS, NO_BUG, PLANTED_BUGS } from "../simulator/coherence/planted_bugs.ts";
import type { Exploration } from "./explore.ts";
import { LARGE_WORLDS, SMALL_WORLDS, type World } from "./worlds.ts";

const NO_LIMITS = { states: Infinity, proceed: () => true };

function exploreWorld(world: World, bug = NO_BUG): Exploration {
  return world.explore(NO_LIMITS, bug);
}

const TESTED = [
  "2x1",
  "2x1 and a death",
  "2x1 and a leave",
  "3x1",
  "2x1 migrating",
  "2x1 migrating and a death",
  "2x2 reading ahead",
  "2x1 and a free",
  "2x1, a death and two frees",
  "2x1, a leave and a free",
  "2x1 of one page",
  "2x1 of one page and a free",
  "2x1 of one page and a death",
  "2x1 of one page and a leave",
  "2x1 by first touch and a death",
  "2x1 by first touch and a leave",
];

for (const world of SMALL_WORLDS.filter(({ name }) => TESTED.includes(name))) {
  Deno.test(`no state of world ${world.name} breaks a promise`, () => {
    const { failure, complete, states } = exploreWorld(world);
    assertEquals(failure, undefined);
    assert(complete);
    assert(states > 100);
  });
}

for (const bug of [...PLANTED_BUGS, ...HOME_BUGS.filter(({ world }) => world !== undefined)]) {
  Deno.test(`the checker finds a planted bug: ${bug.name}`, () => {
    const world = [...SMALL_WORLDS, ...LARGE_WORLDS].find(({ name }) => name === bug.world);
    const { failure } = exploreWorld(world!, bug);
    assertMatch(failure?.reason ?? "nothing was found", bug.finding);
    assert(failure!.trace.length > 0);
  });
}

Deno.test("a search that is stopped says that it is not complete", () => {
  const { complete, states } = SMALL_WORLDS[0]!.explore(
    { states: 50, proceed: () => true },
    NO_BUG,
  );
  assert(!complete);
  assert(states < 60);
});
