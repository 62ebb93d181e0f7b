/** Throws changed messages at both sides of a handshake: none may be taken. */

import { assert } from "@std/assert";
import { NOISE_OVERHEAD_BYTES } from "../../ffi/abi.ts";
import { openLibrary } from "../../ffi/library.ts";
import { NoiseError, NoiseHandshake, type Role } from "../../ffi/noise.ts";
import { KEY_BYTES, NOISE_PAYLOAD_MAX_BYTES } from "../../runtime/limits.ts";
import type { Random } from "../simulator/coherence/random.ts";
import type { Target } from "./target.ts";

const library = openLibrary();
const KEY = new Uint8Array(KEY_BYTES).fill(7);
const PROLOGUE = new Uint8Array(16).fill(1);

/** What is tried in place of {@linkcode NoiseHandshake.read}, to see that its faults are found. */
export type Read = (side: NoiseHandshake, message: Uint8Array) => Uint8Array;

/**
 * Changes some bytes, or how many there are.
 *
 * @param random The source of chance.
 * @param bytes The bytes.
 * @returns Others.
 */
export function change(random: Random, bytes: Uint8Array): Uint8Array {
  const copy = bytes.slice();
  switch (random.below(5)) {
    case 0:
      return copy.subarray(0, random.below(copy.length));
    case 1:
      return new Uint8Array([...copy, ...new Uint8Array(random.between(1, 64))]);
    case 2: {
      const first = random.below(copy.length);
      const last = Math.min(copy.length, first + random.between(1, 16));
      for (let i = first; i < last; i++) copy[i]! ^= random.between(1, 255);
      return copy;
    }
    default:
      copy[random.below(copy.length)]! ^= 1 << random.below(8);
      return copy;
  }
}

/**
 * The handshake of programs that share a key.
 *
 * @param read What to try.
 * @returns The target.
 */
export function handshakeTarget(read: Read = (side, message) => side.read(message)): Target {
  return {
    name: "handshake",
    weight: 4,
    try(random) {
      const begin = (role: Role) => new NoiseHandshake(library, role, KEY, PROLOGUE);
      const [initiator, responder] = [begin("initiator"), begin("responder")];
      const secret = () => new Uint8Array(KEY_BYTES).map(() => random.below(256));
      const payload = new Uint8Array(random.below(NOISE_PAYLOAD_MAX_BYTES + 1));
      const first = initiator.write(payload, secret());
      assert(first.length === NOISE_OVERHEAD_BYTES + payload.length);
      if (random.chance(60)) return outcome(read, responder, change(random, first));
      responder.read(first);
      return outcome(read, initiator, change(random, responder.write(payload, secret())));
    },
  };
}

/** What comes of a message that is not as it was sent. */
function outcome(read: Read, side: NoiseHandshake, message: Uint8Array): string {
  try {
    read(side, message);
  } catch (error) {
    if (error instanceof NoiseError) return error.reason;
    throw error;
  }
  throw new Error("a changed message was taken");
}
