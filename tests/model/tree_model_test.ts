import { assert, assertEquals, assertMatch } from "@std/assert";
import { PLANTED_BARRIER_BUGS } from "../simulator/sync/barrier_bugs.ts";
import { explore } from "./explore.ts";
import { TREE_WORLDS, TreeModel } from "./tree_model.ts";

const NO_LIMITS = { states: Infinity, proceed: () => true };

for (const { name, shape } of TREE_WORLDS) {
  Deno.test(`no state of a barrier that a tree of two levels gathers breaks a promise: ${name}`, () => {
    const { failure, complete, states } = explore(new TreeModel(shape), NO_LIMITS);
    assertEquals(failure, undefined);
    assert(complete);
    assert(states > 1000);
  });
}

for (const { name, parts, finding, isLarge = false } of PLANTED_BARRIER_BUGS) {
  if (isLarge) continue;
  Deno.test(`the checker of trees of barriers finds a planted bug: ${name}`, () => {
    let reason: string | undefined;
    for (const { shape } of TREE_WORLDS) {
      reason ??= explore(new TreeModel(shape, parts), NO_LIMITS).failure?.reason;
    }
    assertMatch(reason ?? "nothing was found", finding);
  });
}
