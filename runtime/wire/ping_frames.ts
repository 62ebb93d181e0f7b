/**
 * Encoding and decoding of pings. They are all that an idle node sends, so they are frames of fixed
 * layout: of every other message about the cluster itself the encoder would be cold each second.
 */

import { CALL_SLOTS_MAX } from "../limits.ts";
import { getU32, putU32 } from "./bytes.ts";
import {
  FRAME_HEADER_BYTES,
  FRAME_PREFIX_BYTES,
  FrameType,
  Offset,
  putPrefix,
  sealFrame,
} from "./layout.ts";
import { checkBodySum } from "./check.ts";
import { type Malformed, malformed } from "./reason.ts";

/** Node → node: I am here, and so much of what you said has arrived. */
export interface PingMessage {
  readonly kind: "ping";
  /** The number of this ping among those of its sender to this node, from 1 on. */
  readonly sent: number;
  /** The number of the latest ping that the sender has had from this node; 0 for none. */
  readonly echo: number;
  /**
   * How many more pages the sender has memory for; `ROOM_UNLIMITED` (2^32 - 1) where it has no
   * limit.
   */
  readonly room: number;
  /** Those of them that the sender does not keep free for its own threads; likewise. */
  readonly spare: number;
  /** How many threads of the sender's program use its node. */
  readonly threads: number;
}

/** The offset of each field, in bytes. */
export const PingOffset = {
  /** u32, at most 64. */
  Threads: 8,
  /** u32, from 1 on. */
  Sent: 12,
  /** u32. */
  Echo: 16,
  /** u32, in pages. */
  Room: 20,
  /** u32, in pages. */
  Spare: 24,
  /** u32, zero. */
  Reserved: 28,
} as const;

/** What {@linkcode decodePing} found. */
export type PingDecoded =
  | { readonly kind: "ping"; readonly message: PingMessage; readonly size: number }
  | Malformed;

/**
 * Writes a ping.
 *
 * @param ping The ping.
 * @param target Where to write.
 * @param offset Where the frame begins, in bytes.
 * @returns The bytes written: those of a header.
 * @throws {RangeError} Where the target is too short.
 */
export function encodePing(ping: PingMessage, target: Uint8Array, offset: number): number {
  if (offset + FRAME_HEADER_BYTES > target.length) {
    throw new RangeError(`Cannot encode a frame at ${offset} of ${target.length}`);
  }
  for (let at = FRAME_PREFIX_BYTES; at < FRAME_HEADER_BYTES; at++) target[offset + at] = 0;
  putU32(target, offset + PingOffset.Threads, ping.threads);
  putU32(target, offset + PingOffset.Sent, ping.sent);
  putU32(target, offset + PingOffset.Echo, ping.echo);
  putU32(target, offset + PingOffset.Room, ping.room);
  putU32(target, offset + PingOffset.Spare, ping.spare);
  putPrefix(target, offset, FRAME_HEADER_BYTES, FrameType.Ping);
  sealFrame(target, offset, FRAME_HEADER_BYTES);
  return FRAME_HEADER_BYTES;
}

/**
 * Decodes a ping whose header is there, as it was sent.
 *
 * @param bytes Where the frame is.
 * @param start Where it begins, in bytes.
 * @param length Its length, as it says.
 * @returns The ping, or what is wrong.
 */
export function decodePing(bytes: Uint8Array, start: number, length: number): PingDecoded {
  if (length !== FRAME_HEADER_BYTES) return malformed("LengthOutOfBounds", length);
  const reserved = getU32(bytes, start + PingOffset.Reserved) ||
    getU32(bytes, start + Offset.PayloadChecksum);
  if (reserved !== 0) return malformed("UnusedFieldNotZero", reserved);
  const threads = getU32(bytes, start + PingOffset.Threads);
  if (threads > CALL_SLOTS_MAX) return malformed("PingThreadsOutOfBounds", threads);
  const sent = getU32(bytes, start + PingOffset.Sent);
  if (sent === 0) return malformed("PingWithoutNumber", sent);
  const damaged = checkBodySum(bytes, start, length);
  if (damaged !== undefined) return damaged;
  const message: PingMessage = {
    kind: "ping",
    sent,
    echo: getU32(bytes, start + PingOffset.Echo),
    room: getU32(bytes, start + PingOffset.Room),
    spare: getU32(bytes, start + PingOffset.Spare),
    threads,
  };
  return { kind: "ping", message, size: length };
}
