/**
 * Throws broken streams at the framer: frames and what follows them, left out, repeated, swapped
 * and cut anywhere. In whatever pieces a stream arrives, the same comes out, and never is more
 * buffered or asked for than the bounds allow.
 */

import { assert } from "@std/assert";
import { CONTROL_MAX_BYTES, RPC_MAX_BYTES } from "../../runtime/limits.ts";
import { type Decoded, decodeFrame } from "../../runtime/wire/page_frames.ts";
import type { FrameBounds } from "../../runtime/wire/check.ts";
import { decodeControl } from "../../runtime/wire/control.ts";
import { Framer } from "../../runtime/wire/framer.ts";
import type { Random } from "../simulator/coherence/random.ts";
import { BOUNDS } from "../support/frames.ts";
import { SOUND_FRAMES } from "./corpus.ts";
import { breakBytes, breakField, fillNoise, GROWTH_MAX_BYTES, pick, sealBroken } from "./mutate.ts";
import { makeBounds } from "./frames.ts";
import type { Target } from "./target.ts";

const FRAMES_MAX = 5;
/** Longer page bytes tell nothing more, and cost time. */
const PAYLOAD_MAX_BYTES = 8192;
const CHANGES_MAX = 3;
const STREAM_MAX_BYTES = 128 * 1024;

const frames = SOUND_FRAMES.filter(({ payloadBytes }) => payloadBytes <= PAYLOAD_MAX_BYTES);
const noise = new Uint8Array(PAYLOAD_MAX_BYTES).map((_, index) => (index * 167) >>> 3);
const scratch = new Uint8Array(STREAM_MAX_BYTES);

/** What comes out of a stream: what each frame is, and the sum of what follows it. */
type Heard = string[];

/** The framer. */
export const streamTarget: Target = {
  name: "stream",
  weight: 10,
  try(random) {
    const bytes = makeStream(random);
    const bounds = random.chance(80) ? BOUNDS : makeBounds(random);
    const most = pick([2, 40, 5000, CONTROL_MAX_BYTES], random);
    const heard = hear(bytes, bounds, () => random.between(1, most));
    const expected = read(bytes, bounds);
    const [pieces, whole] = [heard.join(), expected.join()];
    assert(pieces === whole, `${pieces} in pieces of up to ${most} bytes, ${whole} as a whole`);
    return heard.at(-1)!;
  },
};

/**
 * Makes what comes on one connection: a few frames with what follows them, broken in a few places.
 *
 * @param random The source of chance.
 * @returns The bytes, at least one; they are overwritten by the next call.
 */
function makeStream(random: Random): Uint8Array {
  let length = 0;
  for (let count = random.between(1, FRAMES_MAX); count > 0; count--) {
    const { bytes, payloadBytes } = pick(frames, random);
    scratch.set(bytes, length);
    if (random.chance(15)) {
      const frame = scratch.subarray(length, length + bytes.length);
      breakField(frame, random);
      sealBroken(frame);
    }
    length += bytes.length;
    scratch.set(noise.subarray(0, payloadBytes), length);
    length += payloadBytes;
    // The same frame again, or a frame within what should follow another.
    if (random.chance(10)) length -= random.below(payloadBytes + 1);
  }
  const changes = random.chance(60) ? 0 : random.between(1, CHANGES_MAX);
  for (let change = 0; change < changes; change++) {
    assert(length + GROWTH_MAX_BYTES <= STREAM_MAX_BYTES);
    length = breakBytes(scratch, length, random);
  }
  if (random.chance(5)) fillNoise(scratch.subarray(random.below(length), length), random);
  return scratch.subarray(0, random.chance(20) ? random.between(1, length) : length);
}

/** What is in a stream, as far as it is sound; and last how it ends. */
function read(bytes: Uint8Array, bounds: FrameBounds | undefined): Heard {
  const heard: Heard = [];
  for (let at = 0;;) {
    const decoded: Decoded = decodeFrame(bytes, at, bytes.length, bounds);
    if (decoded.kind === "need") return [...heard, "end"];
    if (decoded.kind === "malformed") return [...heard, decoded.reason];
    at += decoded.size;
    if (decoded.kind === "control") {
      const control = decodeControl(decoded.body);
      if (control.kind === "malformed") return [...heard, control.reason];
      heard.push(control.control.kind);
    } else if (decoded.kind === "sync" || decoded.kind === "ping") {
      heard.push(decoded.message.kind);
    } else {
      const payload = bytes.subarray(at, at + decoded.payloadBytes);
      heard.push(`${decoded.message.kind} ${sum(payload)}`);
      if (payload.length < decoded.payloadBytes) return [...heard, "cut"];
      at += payload.length;
    }
  }
}

/** Lets a framer take a stream in pieces; returns what it finds, and last how that ended. */
function hear(bytes: Uint8Array, bounds: FrameBounds | undefined, piece: () => number): Heard {
  const framer = new Framer();
  const heard: Heard = [];
  const { runPages = 0, pageSize = 0 } = bounds ?? {};
  const payloadMax = Math.max(runPages * pageSize, RPC_MAX_BYTES);
  let at = 0;
  // Each turn takes a frame, or a byte at least.
  for (let turns = 2 * bytes.length + 2; turns > 0; turns--) {
    const frame = framer.next(bounds);
    switch (frame.kind) {
      case "need": {
        const { space } = framer;
        assert(space.length >= 1, "no space for what is needed");
        assert(space.buffer.byteLength <= CONTROL_MAX_BYTES, "buffers more than a frame");
        assert(frame.bytes >= 1 && frame.bytes <= CONTROL_MAX_BYTES, `needs ${frame.bytes}`);
        if (at === bytes.length) return [...heard, "end"];
        const next = bytes.subarray(at, at + Math.min(piece(), space.length));
        space.set(next);
        framer.filled(next.length);
        at += next.length;
        break;
      }
      case "malformed":
        return [...heard, frame.reason];
      case "control":
        heard.push(frame.control.kind);
        break;
      case "sync":
      case "ping":
        heard.push(frame.message.kind);
        break;
      case "message":
      case "rpc": {
        const { message: { kind }, payloadBytes } = frame;
        assert(payloadBytes <= payloadMax, `${payloadBytes} bytes follow`);
        // What does not come is not waited for here, nor allocated.
        const payload = new Uint8Array(payloadBytes);
        const there = framer.takePayload(payload);
        const rest = bytes.subarray(at, at + payloadBytes - there);
        payload.set(rest, there);
        at += rest.length;
        const arrived = there + rest.length;
        heard.push(`${kind} ${sum(payload.subarray(0, arrived))}`);
        if (arrived < payloadBytes) return [...heard, "cut"];
      }
    }
  }
  throw new Error(`Goes on and on after ${heard.length} frames`);
}

function sum(bytes: Uint8Array): number {
  let result = 0;
  for (let at = 0; at < bytes.length; at++) result = (Math.imul(result, 31) + bytes[at]!) | 0;
  return result;
}
