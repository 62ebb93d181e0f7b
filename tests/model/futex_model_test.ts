import { assert, assertEquals, assertMatch } from "@std/assert";
import { PLANTED_FUTEX_BUGS } from "../simulator/sync/futex_bugs.ts";
import { explore } from "./explore.ts";
import { FUTEX_WORLDS, FutexModel } from "./futex_model.ts";

const NO_LIMITS = { states: Infinity, proceed: () => true };

for (const { name, shape } of FUTEX_WORLDS) {
  Deno.test(`no state of two waiters and two notifiers breaks a promise: ${name}`, () => {
    const { failure, complete, states } = explore(new FutexModel(shape), NO_LIMITS);
    assertEquals(failure, undefined);
    assert(complete);
    assert(states > 1000);
  });
}

for (const { name, parts, finding, isOfLending = false } of PLANTED_FUTEX_BUGS) {
  Deno.test(`the checker of waits for words finds a planted bug: ${name}`, () => {
    let reason: string | undefined;
    for (const { shape } of FUTEX_WORLDS) {
      if (isOfLending && shape.limits.lendAfter === Infinity) continue;
      reason ??= explore(new FutexModel(shape, parts), NO_LIMITS).failure?.reason;
    }
    assertMatch(reason ?? "nothing was found", finding);
  });
}
