/** Throws changed records at the end that opens them: no byte of a changed record may come out. */

import { assert } from "@std/assert";
import { openLibrary } from "../../ffi/library.ts";
import { SEAL_KEY_BYTES, SEAL_OVERHEAD_BYTES } from "../../ffi/abi.ts";
import { sealedBytes, SealState, Suite, suitesOf } from "../../ffi/seal.ts";
import { TdsmError } from "../../runtime/errors.ts";
import { change } from "./handshakes.ts";
import type { Target } from "./target.ts";

const library = openLibrary();
const KEY = new Uint8Array(SEAL_KEY_BYTES).fill(7);
const RECORD_MAX_BYTES = 300;
const RECORDS = 3;

/** What is tried in place of {@linkcode SealState.open}, to see that its faults are found. */
export type Open = (
  state: SealState,
  sealed: Uint8Array<ArrayBuffer>,
  out: Uint8Array<ArrayBuffer>,
) => number;

/**
 * The end of a connection that opens what is sealed.
 *
 * @param open What to try.
 * @returns The target.
 */
export function sealedTarget(open: Open = (state, sealed, out) => state.open(sealed, out)): Target {
  return {
    name: "sealed",
    weight: 20,
    try(random) {
      const hasAes = (suitesOf(library) & Suite.Aegis256) !== 0;
      const suite = hasAes && random.chance(80) ? Suite.Aegis256 : Suite.ChaCha20Poly1305;
      const sender = new SealState(library, suite, KEY);
      const plain = new Uint8Array(RECORDS * RECORD_MAX_BYTES);
      const sealed = new Uint8Array(RECORDS * sealedBytes(RECORD_MAX_BYTES));
      let carried = 0;
      let size = 0;
      for (let record = 0; record < RECORDS; record++) {
        const length = random.between(1, RECORD_MAX_BYTES);
        const part = plain.subarray(carried, carried + length).fill(random.between(1, 255));
        size += sender.seal(part, sealed.subarray(size));
        carried += length;
      }
      const sent = sealed.subarray(0, size);
      const arrived = random.below(8) === 0
        ? moved(random.below(size), sent)
        : change(random, sent);
      return outcome(open, suite, arrived as Uint8Array<ArrayBuffer>, plain, sent);
    },
  };
}

/**
 * Moves bytes.
 *
 * @param place Where to cut.
 * @param bytes The bytes.
 * @returns Those as of that place, before those up to there.
 */
export function moved(place: number, bytes: Uint8Array): Uint8Array {
  return new Uint8Array([...bytes.subarray(place), ...bytes.subarray(0, place)]);
}

/** Opens what has arrived, in two goes, until that fails or is over; checks what came out. */
function outcome(
  open: Open,
  suite: number,
  arrived: Uint8Array<ArrayBuffer>,
  plain: Uint8Array,
  sent: Uint8Array,
): string {
  const state = new SealState(library, suite, KEY);
  const same = arrived.findIndex((byte, index) => byte !== sent[index]);
  const intact = same === -1 ? arrived.length : same;
  let start = 0;
  let carried = 0;
  const out = new Uint8Array(arrived.length + SEAL_OVERHEAD_BYTES);
  try {
    for (;;) {
      const count = open(state, arrived.subarray(start), out);
      for (let i = 0; i < count; i++) {
        assert(out[i] === plain[carried + i], "another byte came out");
      }
      carried += count;
      assert(start + state.taken <= intact, "bytes that were changed were taken");
      start += state.taken;
      if (count === 0) return "waits";
    }
  } catch (error) {
    if (!(error instanceof TdsmError)) throw error;
    assert(error.code === "FrameCorrupted", error.code);
    return error.code;
  }
}
