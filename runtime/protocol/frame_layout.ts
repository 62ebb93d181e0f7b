/**
 * Where each field of a frame is, and which type of message uses which. Every number is unsigned and
 * little-endian. `docs/protocol.md` has the same tables in words; change both or neither.
 */

import { NODES_MAX } from "../limits.ts";

/** The version of every frame that this code writes, and the only one that it reads. */
export const PROTOCOL_VERSION = 1;
/** "DS" as the bytes stand on the wire. */
export const FRAME_MAGIC = 0x5344;

/** The first bytes of a frame, which stay as they are in every version: length, magic, version, type. */
export const FRAME_PREFIX_BYTES = 8;
/** The bytes before a frame's node list or control body. */
export const FRAME_HEADER_BYTES = 32;
/** The most bytes of a frame of pages, without the page bytes that follow it. */
export const MESSAGE_MAX_BYTES: number = FRAME_HEADER_BYTES + 2 * NODES_MAX;

/** The offset of each field of the header, in bytes. */
export const Offset = {
  /** u32, the bytes of the whole frame, without the page bytes that follow it. */
  Length: 0,
  /** u16, {@linkcode FRAME_MAGIC}. */
  Magic: 4,
  /** u8, {@linkcode PROTOCOL_VERSION}. */
  Version: 6,
  /** u8, one of {@linkcode FrameType}. */
  Type: 7,
  /** u8, what the request, forward or grant is for: 1 read, 2 write. */
  Access: 8,
  /** u8, where a grant's bytes come from; of a done, 4 when the pages are lost and 0 otherwise. */
  Content: 9,
  /** u8, how the page bytes are packed: 0 as they are; 1 is reserved for lz4. */
  Encoding: 10,
  /** u8, zero. */
  Reserved: 11,
  /** u32, the run's first page. */
  First: 12,
  /** u32, the pages of the run. */
  Count: 16,
  /** u32, the requester's number of the request. */
  Request: 20,
  /** u16, the requester, or the node that is gone. */
  Node: 24,
  /** u16, how many node ids, of 2 bytes each, stand after the header. */
  ListCount: 26,
  /** u32, the page bytes that follow the frame. */
  PayloadBytes: 28,
} as const;

/** What a frame is. */
export const FrameType = {
  Request: 1,
  Forward: 2,
  Invalidate: 3,
  Acknowledge: 4,
  Grant: 5,
  Done: 6,
  PeerLost: 7,
  PeerLostSeen: 8,
  Refused: 9,
  Leave: 10,
  Left: 11,
  /** Not about pages: a body in MessagePack follows the header. */
  Control: 64,
} as const;
/** One of {@linkcode FrameType}. */
export type FrameType = typeof FrameType[keyof typeof FrameType];

/** How page bytes are packed. */
export const Encoding = { Raw: 0 } as const;

/** The fields that a type of message may or may not use, as bits. */
export const Field = {
  Access: 1,
  Content: 2,
  Run: 4,
  Request: 8,
  Node: 16,
  List: 32,
} as const;

const { Access, Content, Run, Request, Node, List } = Field;

/** The fields in use by type, as the sum of their bits; `undefined` for what is no type of pages. */
export const FIELDS_BY_TYPE: readonly (number | undefined)[] = [
  /* no type 0 */ undefined,
  /* request */ Access | Run | Request,
  /* forward */ Access | Run | Request | Node | List,
  /* invalidate */ Run | Request | Node,
  /* acknowledge */ Run | Request,
  /* grant; its node is checked with its content */ Access | Content | Run | Request | Node | List,
  /* done */ Content | Run | Request,
  /* peerLost */ Node,
  /* peerLostSeen */ Node,
  /* refused */ Run | Request | Node,
  /* leave */ 0,
  /* left */ 0,
];
