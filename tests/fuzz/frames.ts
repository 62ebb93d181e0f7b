/**
 * Throws broken frames at the decoders, which must return a sound message or a reason for every
 * input.
 */

import { assert } from "@std/assert";
import {
  CONTROL_MAX_BYTES,
  LOCATED_MAX_PAGES,
  NODE_ID_MAX,
  NODES_MAX,
  RPC_MAX_BYTES,
} from "../../runtime/limits.ts";
import { type Decoded, decodeFrame, encodeMessage } from "../../runtime/wire/page_frames.ts";
import { FRAME_HEADER_BYTES, MESSAGE_MAX_BYTES } from "../../runtime/wire/layout.ts";
import type { FrameBounds } from "../../runtime/wire/check.ts";
import { decodeControl, encodeControl } from "../../runtime/wire/control.ts";
import { describeFrameReason, FRAME_REASONS, type Malformed } from "../../runtime/wire/reason.ts";
import type { Message } from "../../runtime/protocol/coherence/messages.ts";
import { encodePing } from "../../runtime/wire/ping_frames.ts";
import { encodeRpc, RPC_FRAME_MAX_BYTES } from "../../runtime/wire/rpc_frames.ts";
import { encodeSync, SYNC_MAX_BYTES } from "../../runtime/wire/sync_frames.ts";
import type { Random } from "../simulator/coherence/random.ts";
import { BOUNDS } from "../support/frames.ts";
import { makeFrame } from "./corpus.ts";
import type { Target } from "./target.ts";

/** What is tried in place of {@linkcode decodeFrame}, to see that its faults are found. */
export type Decode = typeof decodeFrame;

/** The bytes behind an input that a decoder must not look at; more than a header. */
const BEHIND_BYTES = 64;
/** One input in so many is decoded with other bytes behind it as well. */
const AGAIN_EVERY = 8;

const reasons: ReadonlySet<string> = new Set(FRAME_REASONS);
const padded = new Uint8Array(2 * CONTROL_MAX_BYTES);
const scratch = new Uint8Array(CONTROL_MAX_BYTES);
const again = new Uint8Array(CONTROL_MAX_BYTES);

/**
 * The decoder of frames.
 *
 * @param decode What to try.
 * @returns The target.
 */
export function frameTarget(decode: Decode = decodeFrame): Target {
  return {
    name: "frame",
    weight: 160,
    try(random) {
      const bytes = makeFrame(random);
      const start = random.below(4);
      const end = start + bytes.length;
      padded.set(bytes, start);
      padded.fill(0xa5, end, end + BEHIND_BYTES);
      const bounds = random.chance(80) ? BOUNDS : makeBounds(random);
      const decoded = decode(padded, start, end, bounds);
      if (random.below(AGAIN_EVERY) === 0) {
        padded.fill(0x5a, end, end + BEHIND_BYTES);
        const again = summary(decode(padded, start, end, bounds));
        assert(again === summary(decoded), `what lies behind makes it ${again}`);
      }
      return check(decoded, padded.subarray(start, end), bounds);
    },
  };
}

/**
 * Draws the measures of a region.
 *
 * @param random The source of chance.
 * @returns The measures; a region may have no pages, and a node that has not joined knows of none.
 */
export function makeBounds(random: Random): FrameBounds | undefined {
  if (random.chance(25)) return undefined;
  return {
    pageCount: random.below(1000),
    pageSize: 4096 << random.below(10),
    runPages: random.between(1, 128),
  };
}

function summary(decoded: Decoded): string {
  if (decoded.kind === "need") return `need ${decoded.bytes}`;
  if (decoded.kind === "malformed") return `${decoded.reason} ${decoded.detail}`;
  return `${decoded.kind} ${decoded.size}`;
}

/** Checks what every result must keep, and names it for the tally. */
function check(decoded: Decoded, bytes: Uint8Array, bounds: FrameBounds | undefined): string {
  assert(
    bounds !== undefined || /^(control|malformed|need)$/.test(decoded.kind),
    "without a region",
  );
  switch (decoded.kind) {
    case "need":
      // What is asked for can come: it fits the buffer of a framer.
      assert(decoded.bytes >= 1 && bytes.length + decoded.bytes <= CONTROL_MAX_BYTES);
      return "need";
    case "malformed":
      return checkMalformed(decoded);
    case "message": {
      const { message, size, payloadBytes, encoding, payloadChecksum } = decoded;
      assert(size <= bytes.length && size <= MESSAGE_MAX_BYTES);
      assert(payloadBytes <= bounds!.runPages * bounds!.pageSize);
      checkMessage(message, bounds!);
      // One way to write each message: what was accepted is what would have been sent.
      const sum = payloadChecksum;
      assertSame(bytes, size, encodeMessage(message, payloadBytes, scratch, 0, encoding, sum));
      return message.kind;
    }
    case "sync": {
      const { message, size } = decoded;
      assert(size <= bytes.length && size <= SYNC_MAX_BYTES);
      assertSame(bytes, size, encodeSync(message, scratch, 0));
      return message.kind;
    }
    case "rpc": {
      const { message, size, payloadBytes, payloadChecksum } = decoded;
      assert(size <= bytes.length && size <= RPC_FRAME_MAX_BYTES);
      assert(payloadBytes <= RPC_MAX_BYTES);
      assertSame(bytes, size, encodeRpc(message, payloadBytes, scratch, 0, payloadChecksum));
      return message.kind;
    }
    case "ping":
      assertSame(bytes, decoded.size, encodePing(decoded.message, scratch, 0));
      return decoded.message.kind;
    case "control":
      assert(decoded.size <= bytes.length);
      assert(decoded.body.length === decoded.size - FRAME_HEADER_BYTES);
      return checkControl(decoded.body);
    default:
      return decoded satisfies never;
  }
}

/**
 * Checks that a refusal has a reason that can be told.
 *
 * @param malformed The refusal.
 * @returns The reason.
 */
export function checkMalformed({ reason, detail }: Malformed): string {
  assert(reasons.has(reason), reason);
  assert(detail !== undefined && describeFrameReason(reason, detail).startsWith("Frame "));
  return reason;
}

function checkMessage(message: Message, { pageCount, runPages }: FrameBounds): void {
  if ("count" in message) {
    const most = message.kind === "located" ? LOCATED_MAX_PAGES : runPages;
    assert(message.count >= 1 && message.count <= most, "a run of other pages than may be");
    assert(message.first >= 0 && message.first + message.count <= pageCount, "outside the region");
  }
  if ("invalidated" in message) {
    assert(message.invalidated.length <= NODES_MAX);
    for (const node of message.invalidated) assertNode(node);
  }
  if ("requester" in message) assertNode(message.requester);
  if ("node" in message) assertNode(message.node);
}

function assertNode(node: number): void {
  assert(node >= 1 && node <= NODE_ID_MAX, `node ${node}`);
}

/**
 * Decodes the body of a control frame, and checks what comes out.
 *
 * @param body The body.
 * @returns The kind of message, or the reason of a refusal.
 */
export function checkControl(body: Uint8Array): string {
  const decoded = decodeControl(body);
  if (decoded.kind === "malformed") return checkMalformed(decoded);
  // MessagePack can be written in more than one way, but what was accepted can be said again.
  const size = encodeControl(decoded.control, scratch, 0);
  const repeated = decodeControl(scratch.subarray(FRAME_HEADER_BYTES, size));
  if (repeated.kind !== "control") throw new Error(`Said again: ${repeated.reason}`);
  again.set(scratch.subarray(0, size));
  assertSame(again, size, encodeControl(repeated.control, scratch, 0));
  return decoded.control.kind;
}

/**
 * Checks that `scratch` has the frame of `size` bytes that was decoded, now that it was written
 * again.
 */
function assertSame(frame: Uint8Array, size: number, written: number): void {
  assert(written === size, `${written} bytes instead of ${size} when it is written again`);
  for (let at = 0; at < size; at++) {
    if (frame[at] !== scratch[at]) throw new Error(`Byte ${at} differs when it is written again`);
  }
}
