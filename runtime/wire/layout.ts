/**
 * Where each field of a frame is, and which type of message uses which. Every number is unsigned
 * and little-endian. `docs/protocol.md` has the same tables in words; change both or neither.
 */

import { NODES_MAX } from "../limits.ts";
import { crc32c } from "./crc32c.ts";
import { putU16, putU32 } from "./bytes.ts";

/** The version of every frame that this code writes, and the only one that it reads. */
export const PROTOCOL_VERSION = 4;
/** "DS" as the bytes stand on the wire. */
export const FRAME_MAGIC = 0x5344;

/**
 * The first bytes of a frame, which stay as they are in every version: length, magic, version,
 * type.
 */
export const FRAME_PREFIX_BYTES = 8;
/** The bytes before a frame's node list, name or control body. */
export const FRAME_HEADER_BYTES = 44;
/** The bytes of each node id in the list behind the header. */
export const NODE_ID_BYTES = 4;
/** The most bytes of a frame of pages, without the page bytes that follow it. */
export const MESSAGE_MAX_BYTES: number = FRAME_HEADER_BYTES + NODE_ID_BYTES * NODES_MAX;

/** The offset of each field of the header, in bytes. */
export const Offset = {
  /** u32, the bytes of the whole frame, without the page bytes that follow it. */
  Length: 0,
  /** u16, {@linkcode FRAME_MAGIC}. */
  Magic: 4,
  /** u8, {@linkcode PROTOCOL_VERSION}. */
  Version: 6,
  /** u8, one of {@linkcode FrameType}, or a message about pages. */
  Type: 7,
  /** u8, what the request, forward or grant is for: 1 read, 2 write. */
  Access: 8,
  /** u8, where a grant's bytes come from; of a done, 4 when the pages are lost and 0 otherwise. */
  Content: 9,
  /** u8, one of {@linkcode Encoding}; 0 for all but a grant of data. */
  Encoding: 10,
  /** u8, {@linkcode FLAG_PAYLOAD_CHECKSUM} or 0. */
  Flags: 11,
  /** u32, the run's first page. */
  First: 12,
  /** u32, the pages of the run. */
  Count: 16,
  /** u32, the requester's number of the request. */
  Request: 20,
  /** u32, the requester, or the node that is gone. */
  Node: 24,
  /** u32, the page bytes that follow the frame. */
  PayloadBytes: 28,
  /**
   * u32, the checksum of what follows the frame, as it travels; 0 where the flags do not have it.
   */
  PayloadChecksum: 32,
  /** u32, the checksum of what stands behind the header in the frame. */
  BodyChecksum: 36,
  /** u32, the checksum of the header up to here. */
  HeaderChecksum: 40,
} as const;

/** The flag of a frame that has a checksum of what follows it. */
export const FLAG_PAYLOAD_CHECKSUM = 1;

/**
 * What a frame is that is not about pages; the types of those that are stand in `page_messages.ts`.
 */
export const FrameType = {
  /** A request about a semaphore, a barrier or a mutex; `sync_frames.ts` has its fields. */
  Sync: 16,
  /** The answer to it. */
  SyncReply: 17,
  /** A remote call; the arguments follow the frame. */
  RpcCall: 18,
  /** How a remote call ended; the result follows the frame. */
  RpcAnswer: 19,
  /** What nodes of a barrier's tree tell each other; `sync_frames.ts` has its fields. */
  Gather: 39,
  /** A node's sign of life; `ping_frames.ts` has its fields. */
  Ping: 40,
  /** Not about pages: a body in MessagePack follows the header. */
  Control: 64,
} as const;

/** In place of a type: no frame begins here, but the handshake of a node that has a key. */
export const HANDSHAKE_TYPE = 65;

/** How page bytes are packed. */
export const Encoding = {
  /** As they are. */
  Raw: 0,
  /** A table of lengths, then each page by itself: left out, as it is, or as an LZ4 block. */
  Lz4: 1,
} as const;
/** One of {@linkcode Encoding}. */
export type Encoding = typeof Encoding[keyof typeof Encoding];

/** The bytes of each page's length in the table of packed pages. */
export const PACKED_ENTRY_BYTES = 4;

/** The fields that a type of message may or may not use, as bits. */
export const Field = {
  Access: 1,
  Content: 2,
  Run: 4,
  Node: 8,
  List: 16,
  /** The number of the request that a run belongs to. */
  Request: 32,
  /** The run is of pages that are told of, not moved, so that it may be longer. */
  LongRun: 64,
} as const;

/**
 * Writes the first {@linkcode FRAME_PREFIX_BYTES} bytes of a frame.
 *
 * @param target Where to write.
 * @param offset Where the frame begins, in bytes.
 * @param length The bytes of the whole frame.
 * @param type What it is.
 */
export function putPrefix(
  target: Uint8Array,
  offset: number,
  length: number,
  type: number,
): void {
  putU32(target, offset + Offset.Length, length);
  putU16(target, offset + Offset.Magic, FRAME_MAGIC);
  target[offset + Offset.Version] = PROTOCOL_VERSION;
  target[offset + Offset.Type] = type;
}

/**
 * Writes the checksums of a frame that is otherwise complete.
 *
 * @param target Where the frame is.
 * @param offset Where it begins, in bytes.
 * @param size Its bytes.
 * @param payloadChecksum The checksum of what follows it, if that is to be checked.
 */
export function sealFrame(
  target: Uint8Array,
  offset: number,
  size: number,
  payloadChecksum?: number,
): void {
  target[offset + Offset.Flags] = payloadChecksum === undefined ? 0 : FLAG_PAYLOAD_CHECKSUM;
  putU32(target, offset + Offset.PayloadChecksum, payloadChecksum ?? 0);
  const body = crc32c(target, offset + FRAME_HEADER_BYTES, offset + size);
  putU32(target, offset + Offset.BodyChecksum, body);
  const header = crc32c(target, offset, offset + Offset.HeaderChecksum);
  putU32(target, offset + Offset.HeaderChecksum, header);
}
