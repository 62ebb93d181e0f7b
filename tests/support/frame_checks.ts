/**
 * The checks for every kind of frame: it is encoded to its golden bytes and decoded from them, and
 * each error in it is refused for the right reason.
 */

import { assert, assertEquals } from "@std/assert";
import { type Decoded, decodeFrame } from "../../runtime/wire/page_frames.ts";
import type { FrameReason } from "../../runtime/wire/reason.ts";
import { MESSAGE_MAX_BYTES } from "../../runtime/wire/layout.ts";
import { sealBroken } from "../fuzz/mutate.ts";
import { BOUNDS, ofKind, readGoldenFrames } from "./frames.ts";

const golden = readGoldenFrames();
/**
 * The offset at which frames are written, so that they do not stand at the beginning of a buffer.
 */
const OFFSET = 3;

/** A message that has a golden frame. */
export interface GoldenCase {
  /** Its line in `frames.txt`. */
  readonly label: string;
  /** Writes the frame, and returns its bytes. */
  encode(target: Uint8Array, offset: number): number;
  /** The frame as it is decoded, without its size. */
  readonly expected: Readonly<Record<string, unknown>>;
}

/** A golden frame with some of its bytes changed, and its checksums to match. */
export type Change = readonly [label: string, offset: number, bytes: readonly number[]];

/** Changes, by the reason for which they are refused. */
export type MalformedCases =
  readonly (readonly [reason: FrameReason, changes: readonly Change[]])[];

/** A number of 32 bits that is too large for anything. */
export const HUGE: readonly number[] = [0xff, 0xff, 0xff, 0xff];

/**
 * Decodes the frame at the head of some bytes.
 *
 * @param bytes The bytes.
 * @param length How many of them have arrived.
 * @returns The frame, or how many bytes are missing, or what is wrong.
 */
export function decodeAll(bytes: Uint8Array, length: number = bytes.length): Decoded {
  return decodeFrame(bytes, 0, length, BOUNDS);
}

/**
 * Makes a frame with an error by its sender, not by the network: the checksums fit the error.
 *
 * @param change The golden frame, and the bytes to change.
 * @returns The frame.
 */
export function changed([label, offset, bytes]: Change): Uint8Array<ArrayBuffer> {
  const frame = golden.get(label)!.slice();
  frame.set(bytes, offset);
  sealBroken(frame);
  return frame;
}

/**
 * Checks that frames are encoded to their golden bytes and decoded from them.
 *
 * @param t The test.
 * @param cases The frames.
 */
export async function checkGolden(
  t: Deno.TestContext,
  cases: readonly GoldenCase[],
): Promise<void> {
  for (const { label, encode, expected } of cases) {
    await t.step(label, () => {
      const target = new Uint8Array(MESSAGE_MAX_BYTES + OFFSET).fill(0xaa);
      const size = encode(target, OFFSET);
      assertEquals(target.slice(OFFSET, OFFSET + size), golden.get(label)!);
      assert(
        target.subarray(OFFSET + size).every((byte) => byte === 0xaa),
        "wrote behind the frame",
      );
      assertEquals(decodeFrame(target, OFFSET, target.length, BOUNDS), {
        ...expected,
        size,
      } as unknown as Decoded);
    });
  }
}

/**
 * Checks that each change has its reason, as soon as so many bytes have arrived.
 *
 * @param t The test.
 * @param cases The changes.
 * @param length How many bytes; all where it is not said.
 */
export async function checkMalformed(
  t: Deno.TestContext,
  cases: MalformedCases,
  length?: number,
): Promise<void> {
  for (const [reason, changes] of cases) {
    await t.step(reason, () => {
      for (const change of changes) {
        const decoded = ofKind(decodeAll(changed(change), length), "malformed");
        assertEquals(decoded.reason, reason, `${change[0]} at ${change[1]}`);
      }
    });
  }
}
