/**
 * Throws broken WebAssembly modules at the rewriting. A module is refused in one line, or valid and
 * still valid when it is rewritten: what the engine refuses does not become a module.
 */

import { assert, assertEquals } from "@std/assert";
import { TdsmError } from "../../runtime/errors.ts";
import { rewriteModule } from "../../runtime/wasm/rewrite.ts";
import type { Random } from "../simulator/coherence/random.ts";
import { LIBRARY, moduleOf } from "../support/c_library.ts";
import { ofIndices, ofInstructions } from "../support/wasm_module.ts";
import { breakBytes, fillNoise, GROWTH_MAX_BYTES, pick } from "./mutate.ts";
import type { Target } from "./target.ts";

/** What is tried in place of {@linkcode rewriteModule}, to see that its faults are found. */
export type Rewrite = typeof rewriteModule;

const BREAKS_MAX = 3;
const NOISE_PERCENT = 5;
/** What is refused although the engine would take it. */
const NO_REGION =
  /one memory only$|it is rewritten already$|it is an object file|nested more than \d+ deep$/;

const sounds: readonly Uint8Array[] = [
  ...[ofIndices(), ofInstructions(false), ofInstructions(true)],
  moduleOf(LIBRARY),
];

/**
 * What rewrites modules.
 *
 * @param rewrite What to try.
 * @returns The target.
 */
export function wasmTarget(rewrite: Rewrite = rewriteModule): Target {
  return {
    name: "wasm",
    weight: 4,
    try: (random) => check(makeInput(random), rewrite),
  };
}

function makeInput(random: Random): Uint8Array<ArrayBuffer> {
  const sound = pick(sounds, random);
  const room = new Uint8Array(sound.length + BREAKS_MAX * GROWTH_MAX_BYTES);
  room.set(sound);
  if (random.chance(NOISE_PERCENT)) {
    // Behind the head, which is looked at first.
    fillNoise(room.subarray(8), random);
    return room;
  }
  let { length } = sound;
  for (let breaks = random.below(BREAKS_MAX + 1); breaks > 0; breaks--) {
    length = breakBytes(room, length, random);
  }
  return room.slice(0, length);
}

function check(bytes: Uint8Array<ArrayBuffer>, rewrite: Rewrite): string {
  const valid = WebAssembly.validate(bytes);
  try {
    const rewritten = rewrite(bytes, { anyMemory: true, lift: true });
    assert(WebAssembly.validate(rewritten.bytes), "a rewritten module is not valid");
    assert(valid, "what is not valid was rewritten");
    return "rewritten";
  } catch (error) {
    if (!(error instanceof TdsmError)) throw error;
    assertEquals(error.code, "InvalidArgument");
    assert(/^Cannot rewrite the module: .+$/.test(error.message), error.message);
    assert(!valid || NO_REGION.test(error.message), `${error.message}, though it is valid`);
    return valid ? "no region's" : "refused";
  }
}
