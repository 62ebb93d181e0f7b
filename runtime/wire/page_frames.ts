/**
 * Encoding and decoding of messages. Both are on the path of every miss, so encoding allocates
 * nothing, and decoding allocates only its result. Every field is checked before it is used.
 */

import { CONTROL_MAX_BYTES } from "../limits.ts";
import {
  checkBodySum,
  checkControlHeader,
  checkHeader,
  checkHeaderSum,
  checkList,
  type FrameBounds,
  getPayloadSum,
} from "./check.ts";
import {
  Encoding,
  Field,
  FRAME_HEADER_BYTES,
  FRAME_MAGIC,
  FRAME_PREFIX_BYTES,
  FrameType,
  HANDSHAKE_TYPE,
  MESSAGE_MAX_BYTES,
  NODE_ID_BYTES,
  Offset,
  PROTOCOL_VERSION,
  putPrefix,
  sealFrame,
} from "./layout.ts";
import {
  type ListingMessage,
  PAGE_MESSAGES,
  PAGE_MESSAGES_BY_TYPE,
  type PageMessageRow,
} from "./page_messages.ts";
import { type Malformed, malformed } from "./reason.ts";
import { getU16, getU32, putU32 } from "./bytes.ts";
import { type Message, NO_NODES, type NodeId } from "../protocol/coherence/messages.ts";
import { decodePing, type PingDecoded } from "./ping_frames.ts";
import { decodeRpcFrame, type RpcDecoded } from "./rpc_frames.ts";
import { decodeSyncFrame } from "./sync_frames.ts";
import type { SyncMessage } from "../protocol/sync/messages.ts";

/** What a decoder finds at the head of a stream. */
export type Decoded =
  /** Not a whole frame; at least this many more bytes are needed. */
  | { readonly kind: "need"; readonly bytes: number }
  /** A message about pages, of `size` bytes, after which `payloadBytes` page bytes follow. */
  | {
    readonly kind: "message";
    readonly message: Message;
    readonly size: number;
    readonly payloadBytes: number;
    /** How the page bytes are packed. */
    readonly encoding: Encoding;
    /** The checksum of the page bytes as they travel, if they are to be checked. */
    readonly payloadChecksum: number | undefined;
  }
  /** A message about a semaphore, a barrier or a mutex, of `size` bytes. */
  | { readonly kind: "sync"; readonly message: SyncMessage; readonly size: number }
  /**
   * A message of a remote call, of `size` bytes, after which `payloadBytes` of the program's
   * follow.
   */
  | Extract<RpcDecoded, { kind: "rpc" }>
  /** A ping of `size` bytes. */
  | Extract<PingDecoded, { kind: "ping" }>
  /** A control message of `size` bytes; `body` is a view of the bytes that were decoded. */
  | { readonly kind: "control"; readonly body: Uint8Array; readonly size: number }
  /** No frame; the bytes behind it cannot be trusted either. */
  | Malformed;

/**
 * Writes a message about pages.
 *
 * @param message The message.
 * @param payloadBytes The page bytes that will follow; 0 for all but a grant with `Content.Data`.
 * @param target Where to write; {@linkcode MESSAGE_MAX_BYTES} from `offset` on are enough for any.
 * @param offset Where the frame begins, in bytes.
 * @param encoding How the page bytes are packed.
 * @param payloadChecksum The checksum of the page bytes, if they are to be checked.
 * @returns The bytes written.
 * @throws {RangeError} Where the target is too short, or the list longer than a cluster has nodes.
 */
export function encodeMessage(
  message: Message,
  payloadBytes: number,
  target: Uint8Array,
  offset: number,
  encoding: Encoding = Encoding.Raw,
  payloadChecksum?: number,
): number {
  const row: PageMessageRow<Message> = PAGE_MESSAGES[message.kind];
  const list = (row.fields & Field.List) === 0 ? NO_NODES : (message as ListingMessage).invalidated;
  const size = FRAME_HEADER_BYTES + NODE_ID_BYTES * list.length;
  if (size > MESSAGE_MAX_BYTES) {
    throw new RangeError(`Cannot encode a list of ${list.length} nodes`);
  }
  if (offset + size > target.length) {
    throw new RangeError(`Cannot encode a frame of ${size} bytes at ${offset} of ${target.length}`);
  }
  for (let at = FRAME_PREFIX_BYTES; at < FRAME_HEADER_BYTES; at++) target[offset + at] = 0;
  putPrefix(target, offset, size, row.type);
  row.put(message, target, offset);
  target[offset + Offset.Encoding] = encoding;
  putU32(target, offset + Offset.PayloadBytes, payloadBytes);
  for (let index = 0; index < list.length; index++) {
    putU32(target, offset + FRAME_HEADER_BYTES + NODE_ID_BYTES * index, list[index]!);
  }
  sealFrame(target, offset, size, payloadChecksum);
  return size;
}

/**
 * Writes the header of a control frame before its body, which is there.
 *
 * @param bodyBytes The bytes of the body.
 * @param target Where to write; the body begins {@linkcode FRAME_HEADER_BYTES} behind `offset`.
 * @param offset Where the frame begins, in bytes.
 */
export function encodeControlHeader(bodyBytes: number, target: Uint8Array, offset: number): void {
  target.fill(0, offset, offset + FRAME_HEADER_BYTES);
  putPrefix(target, offset, FRAME_HEADER_BYTES + bodyBytes, FrameType.Control);
  sealFrame(target, offset, FRAME_HEADER_BYTES + bodyBytes);
}

/**
 * Decodes what is at the head of a stream.
 *
 * Everything is checked before it is used. Magic and version are checked as soon as 8 bytes are
 * there, to recognise a peer that is no node. When the header is whole its checksum is checked,
 * then the length and the other fields, so that no more than one frame's bound ever has to be
 * buffered.
 *
 * @param bytes Where the stream's bytes are.
 * @param start Where the frame begins, in bytes.
 * @param end Where the bytes that have arrived end.
 * @param bounds The region's measures; without them, control frames are taken and no others.
 * @returns The frame, or what is missing, or what is wrong.
 */
export function decodeFrame(
  bytes: Uint8Array,
  start: number,
  end: number,
  bounds: FrameBounds | undefined,
): Decoded {
  const available = end - start;
  if (available < FRAME_PREFIX_BYTES) return need(FRAME_HEADER_BYTES - available);
  const length = getU32(bytes, start + Offset.Length);
  const magic = getU16(bytes, start + Offset.Magic);
  if (magic !== FRAME_MAGIC) return malformed("BadMagic", magic);
  const version = bytes[start + Offset.Version]!;
  if (version !== PROTOCOL_VERSION) return malformed("BadVersion", version);
  const type = bytes[start + Offset.Type]!;
  if (type === HANDSHAKE_TYPE && length === FRAME_PREFIX_BYTES) {
    return malformed("KeyExpected", type);
  }
  if (available < FRAME_HEADER_BYTES) return need(FRAME_HEADER_BYTES - available);
  const damaged = checkHeaderSum(bytes, start);
  if (damaged !== undefined) return damaged;
  if (type === FrameType.Control) return decodeControlFrame(bytes, start, available, length);
  if (bounds === undefined) return malformed("NotControl", type);
  if (type === FrameType.Sync || type === FrameType.SyncReply || type === FrameType.Gather) {
    return decodeSyncFrame(type, bytes, start, available, length);
  }
  if (type === FrameType.Ping) return decodePing(bytes, start, length);
  if (type === FrameType.RpcCall || type === FrameType.RpcAnswer) {
    return decodeRpcFrame(type, bytes, start, available, length);
  }
  const row = PAGE_MESSAGES_BY_TYPE[type];
  if (row === undefined) return malformed("UnknownType", type);
  if (length < FRAME_HEADER_BYTES || length > MESSAGE_MAX_BYTES) {
    return malformed("LengthOutOfBounds", length);
  }
  const wrongHeader = checkHeader(bytes, start, row.fields, length, bounds);
  if (wrongHeader !== undefined) return wrongHeader;
  if (available < length) return need(length - available);
  const wrongList = checkBodySum(bytes, start, length) ?? checkList(bytes, start, length);
  if (wrongList !== undefined) return wrongList;
  const nodes = getNodes(bytes, start, length);
  const payloadBytes = getU32(bytes, start + Offset.PayloadBytes);
  return {
    kind: "message",
    message: row.get(bytes, start, nodes),
    size: length,
    payloadBytes,
    encoding: bytes[start + Offset.Encoding]! as Encoding,
    payloadChecksum: getPayloadSum(bytes, start),
  };
}

function decodeControlFrame(
  bytes: Uint8Array,
  start: number,
  available: number,
  length: number,
): Decoded {
  if (length <= FRAME_HEADER_BYTES || length > CONTROL_MAX_BYTES) {
    return malformed("LengthOutOfBounds", length);
  }
  const wrong = checkControlHeader(bytes, start);
  if (wrong !== undefined) return wrong;
  if (available < length) return need(length - available);
  const damaged = checkBodySum(bytes, start, length);
  if (damaged !== undefined) return damaged;
  const body = bytes.subarray(start + FRAME_HEADER_BYTES, start + length);
  return { kind: "control", body, size: length };
}

/** The nodes after the header. */
function getNodes(bytes: Uint8Array, start: number, length: number): readonly NodeId[] {
  if (length === FRAME_HEADER_BYTES) return NO_NODES;
  const nodes: NodeId[] = [];
  for (let at = FRAME_HEADER_BYTES; at < length; at += NODE_ID_BYTES) {
    nodes.push(getU32(bytes, start + at));
  }
  return nodes;
}

function need(bytes: number): Decoded {
  return { kind: "need", bytes };
}
