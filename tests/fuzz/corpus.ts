/**
 * What inputs are made from: the frames that are checked in, and what follows them on a connection.
 */

import { CONTROL_MAX_BYTES } from "../../runtime/limits.ts";
import { decodeFrame } from "../../runtime/wire/page_frames.ts";
import { keyPreamble } from "../../runtime/secure/preamble.ts";
import type { Random } from "../simulator/coherence/random.ts";
import { BOUNDS, readGoldenFrames } from "../support/frames.ts";
import { breakBytes, breakField, fillNoise, GROWTH_MAX_BYTES, pick, sealBroken } from "./mutate.ts";

/** A sound frame. */
export interface SoundFrame {
  readonly bytes: Uint8Array;
  /** The page bytes, arguments or result that follow it. */
  readonly payloadBytes: number;
}

/** Every kind of frame. */
export const SOUND_FRAMES: readonly SoundFrame[] = [...readGoldenFrames().values()].map((bytes) => {
  const decoded = decodeFrame(bytes, 0, bytes.length, BOUNDS);
  return { bytes, payloadBytes: "payloadBytes" in decoded ? decoded.payloadBytes : 0 };
});

const CHANGES_MAX = 3;
/** How many frames of a hundred have the checksums of what they were broken to. */
const SEALED_PERCENT = 90;
/**
 * Holds any frame of the corpus with its changes; the longest of them is far from a frame's bound.
 */
const scratch = new Uint8Array(CONTROL_MAX_BYTES + CHANGES_MAX * GROWTH_MAX_BYTES);

/**
 * Makes a frame: now and then a sound one, mostly one that is broken in a few places, seldom noise.
 *
 * @param random The source of chance.
 * @returns Its bytes, at least one; they are overwritten by the next call.
 */
export function makeFrame(random: Random): Uint8Array {
  if (random.chance(2)) {
    const noise = scratch.subarray(0, random.between(1, 80));
    fillNoise(noise, random);
    return noise;
  }
  // A node with a key begins so.
  if (random.chance(1)) return keyPreamble();
  const { bytes } = pick(SOUND_FRAMES, random);
  scratch.set(bytes);
  let length = bytes.length;
  for (let changes = random.below(CHANGES_MAX + 1); changes > 0; changes--) {
    if (random.chance(50)) breakField(scratch.subarray(0, length), random);
    else length = breakBytes(scratch, length, random);
  }
  if (random.chance(SEALED_PERCENT)) sealBroken(scratch.subarray(0, length));
  return scratch.subarray(0, random.chance(10) ? random.between(1, length) : length);
}
