/**
 * Throws broken frames at the decoders: whatever arrives, they say something that holds.
 */

import { assert, assertEquals } from "@std/assert";
import { CONTROL_MAX_BYTES, NODE_ID_MAX, NODES_MAX, RPC_MAX_BYTES } from "../../runtime/limits.ts";
import {
  type Decoded,
  decodeFrame,
  describeFrameReason,
  encodeMessage,
  type FrameBounds,
  MESSAGE_MAX_BYTES,
} from "../../runtime/protocol/codec.ts";
import { decodeControl, encodeControl } from "../../runtime/protocol/control.ts";
import { FRAME_REASONS } from "../../runtime/protocol/frame_reason.ts";
import { Framer } from "../../runtime/protocol/framer.ts";
import type { Message } from "../../runtime/protocol/messages.ts";
import { encodeRpc, RPC_FRAME_MAX_BYTES } from "../../runtime/protocol/rpc_codec.ts";
import { encodeSync, SYNC_MAX_BYTES } from "../../runtime/protocol/sync_codec.ts";
import { Random } from "../simulator/random.ts";
import { BOUNDS, readGoldenFrames } from "../testdata/frames.ts";

/** How many inputs the test of this tries; `main.ts` tries as many as it is told. */
export const FUZZ_INPUTS = 200_000;

/** How often each kind of result, and each reason, came out. */
export type Tally = Map<string, number>;

/** One input in so many also goes through a framer, which costs far more than a decoder. */
const FRAMER_EVERY = 64;
/** Numbers at the edge of something. */
const EDGES = [0, 1, 2, 3, 4, 5, 31, 32, 33, 64, 127, 128, 129, 0x80, 0xa0, 0xc0, 0xdf, 0xfe, 0xff];

const frames: readonly Uint8Array[] = [...readGoldenFrames().values()];
const scratch = new Uint8Array(CONTROL_MAX_BYTES);
const again = new Uint8Array(CONTROL_MAX_BYTES);

/**
 * Tries inputs made from golden frames.
 *
 * @param seed The first input's number; each input depends on its own alone.
 * @param inputs How many.
 * @returns What came out.
 * @throws {Error} Where a decoder failed; the message begins with the input's number.
 */
export function fuzzFrames(seed: number, inputs: number): Tally {
  const tally: Tally = new Map();
  for (let input = seed; input < seed + inputs; input++) {
    const random = new Random(input);
    const bytes = makeInput(random);
    try {
      const start = random.below(4);
      const padded = new Uint8Array(start + bytes.length + 8).fill(0xa5);
      padded.set(bytes, start);
      const bounds = random.chance(80) ? BOUNDS : makeBounds(random);
      const decoded = decodeFrame(padded, start, start + bytes.length, bounds);
      count(tally, check(decoded, bytes, bounds));
      if (input % FRAMER_EVERY === 0) checkFramer(random, bytes, bounds);
    } catch (error) {
      throw new Error(`Input ${input} (${bytes.toHex()}): ${(error as Error).message}`, {
        cause: error,
      });
    }
  }
  return tally;
}

/** A frame or two, spoiled in a few places, or noise. */
function makeInput(random: Random): Uint8Array {
  if (random.chance(2)) return makeNoise(random, random.below(80));
  const one = frames[random.below(frames.length)]!;
  const two = random.chance(20) ? frames[random.below(frames.length)]! : new Uint8Array(0);
  const bytes = new Uint8Array([...one, ...two]);
  for (let changes = random.below(4); changes > 0; changes--) {
    const at = random.below(bytes.length);
    switch (random.below(4)) {
      case 0:
        bytes[at]! ^= 1 << random.below(8);
        break;
      case 1:
        bytes[at] = random.next();
        break;
      case 2:
        bytes[at] = EDGES[random.below(EDGES.length)]!;
        break;
      case 3:
        bytes.copyWithin(at, random.below(bytes.length), random.below(bytes.length));
    }
  }
  return random.chance(10) ? bytes.subarray(0, random.below(bytes.length)) : bytes;
}

function makeNoise(random: Random, length: number): Uint8Array {
  return new Uint8Array(length).map(() => random.next());
}

function makeBounds(random: Random): FrameBounds {
  return {
    pageCount: random.below(1000),
    pageSize: 4096 << random.below(10),
    runPages: random.between(1, 128),
  };
}

function count(tally: Tally, name: string): void {
  tally.set(name, (tally.get(name) ?? 0) + 1);
}

/** Checks what every result must keep, and names it for the tally. */
function check(decoded: Decoded, bytes: Uint8Array, bounds: FrameBounds): string {
  switch (decoded.kind) {
    case "need":
      assert(decoded.bytes >= 1 && bytes.length + decoded.bytes <= CONTROL_MAX_BYTES);
      return "need";
    case "malformed":
      return checkMalformed(decoded);
    case "message": {
      const { message, size, payloadBytes, encoding } = decoded;
      assert(size <= bytes.length && size <= MESSAGE_MAX_BYTES);
      assert(payloadBytes <= bounds.runPages * bounds.pageSize);
      checkMessage(message, bounds);
      // One way to write each message: what was accepted is what would have been sent.
      assertEquals(encodeMessage(message, payloadBytes, scratch, 0, encoding), size);
      assertSame(scratch, bytes, size);
      return message.kind;
    }
    case "sync": {
      const { message, size } = decoded;
      assert(size <= bytes.length && size <= SYNC_MAX_BYTES);
      assertEquals(encodeSync(message, scratch, 0), size);
      assertSame(scratch, bytes, size);
      return message.kind;
    }
    case "rpc": {
      const { message, size, payloadBytes } = decoded;
      assert(size <= bytes.length && size <= RPC_FRAME_MAX_BYTES);
      assert(payloadBytes <= RPC_MAX_BYTES);
      assertEquals(encodeRpc(message, payloadBytes, scratch, 0), size);
      assertSame(scratch, bytes, size);
      return message.kind;
    }
    case "control":
      assert(decoded.size <= bytes.length && decoded.body.length === decoded.size - 32);
      return checkControl(decoded.body);
    default:
      return decoded satisfies never;
  }
}

function checkMalformed({ reason, detail }: Extract<Decoded, { kind: "malformed" }>): string {
  assert(describeFrameReason(reason, detail).startsWith("Frame "));
  assert(detail !== undefined && FRAME_REASONS.includes(reason), reason);
  return reason;
}

function checkMessage(message: Message, { pageCount, runPages }: FrameBounds): void {
  if ("count" in message) {
    assert(message.count >= 1 && message.count <= runPages);
    assert(message.first >= 0 && message.first + message.count <= pageCount);
  }
  if ("invalidated" in message) {
    assert(message.invalidated.length <= NODES_MAX);
    for (const node of message.invalidated) assert(node >= 1 && node <= NODE_ID_MAX);
  }
  if ("requester" in message) assert(message.requester >= 1 && message.requester <= NODE_ID_MAX);
  if ("node" in message) assert(message.node >= 1 && message.node <= NODE_ID_MAX);
}

function checkControl(body: Uint8Array): string {
  const decoded = decodeControl(body);
  if (decoded.kind === "malformed") return checkMalformed(decoded);
  // MessagePack can be written in more than one way, but what was accepted can be said again.
  const size = encodeControl(decoded.control, scratch, 0);
  const repeated = decodeControl(scratch.subarray(32, size));
  assert(repeated.kind === "control");
  assertEquals(encodeControl((repeated as typeof decoded).control, again, 0), size);
  assertSame(scratch, again, size);
  return decoded.control.kind;
}

function assertSame(actual: Uint8Array, expected: Uint8Array, length: number): void {
  for (let at = 0; at < length; at++) {
    if (actual[at] !== expected[at]) throw new Error(`Byte ${at} differs when it is written again`);
  }
}

/** Checks that a framer finds the same whatever the pieces in which the bytes arrive. */
function checkFramer(random: Random, bytes: Uint8Array, bounds: FrameBounds): void {
  const whole = frameKinds(bytes, bounds, () => bytes.length);
  const pieces = frameKinds(bytes, bounds, () => random.between(1, 40));
  assertEquals(pieces, whole);
}

function frameKinds(bytes: Uint8Array, bounds: FrameBounds, piece: () => number): string[] {
  const framer = new Framer();
  const kinds: string[] = [];
  let at = 0;
  while (true) {
    const frame = framer.next(bounds);
    switch (frame.kind) {
      case "need": {
        if (at === bytes.length) return kinds;
        const next = bytes.subarray(at, at + piece());
        framer.space.set(next);
        framer.filled(next.length);
        at += next.length;
        break;
      }
      case "malformed":
        return [...kinds, frame.reason];
      case "control":
        kinds.push(frame.control.kind);
        break;
      case "sync":
        kinds.push(frame.message.kind);
        break;
      case "message":
      case "rpc":
        kinds.push(frame.message.kind);
        // The rest would not come through the framer.
        if (frame.payloadBytes > 0) return kinds;
    }
  }
}
