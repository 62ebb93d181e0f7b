/**
 * Checks of a frame's fields, before they are used. In each type of message a field is either used,
 * and within its bounds, or zero: so there is only one encoding of a message, and a later version
 * can give the unused fields a meaning.
 */

import { LOCATED_MAX_PAGES, NODE_ID_MAX } from "../limits.ts";
import { crc32c } from "./crc32c.ts";
import {
  Encoding,
  Field,
  FLAG_PAYLOAD_CHECKSUM,
  FRAME_HEADER_BYTES,
  FRAME_PREFIX_BYTES,
  NODE_ID_BYTES,
  Offset,
  PACKED_ENTRY_BYTES,
} from "./layout.ts";
import { type Malformed, malformed } from "./reason.ts";
import { getU32 } from "./bytes.ts";
import { Content } from "../protocol/coherence/messages.ts";
import { Access } from "../protocol/coherence/page.ts";

/** What a frame is checked against. */
export interface FrameBounds {
  /** The pages of the region. */
  readonly pageCount: number;
  /** The bytes of a page. */
  readonly pageSize: number;
  /** The most pages of a run. */
  readonly runPages: number;
}

/**
 * Checks the header of a frame of pages, behind its first 8 bytes.
 *
 * @param bytes Where the frame is; the header is there, the list may not be.
 * @param start Where the frame begins, in bytes.
 * @param fields What its type uses, as the sum of {@linkcode Field} bits.
 * @param length The frame's length, in bytes.
 * @param bounds The region's measures.
 * @returns What is wrong, or `undefined`.
 */
export function checkHeader(
  bytes: Uint8Array,
  start: number,
  fields: number,
  length: number,
  bounds: FrameBounds,
): Malformed | undefined {
  return checkMode(bytes, start, fields) ?? checkRun(bytes, start, fields, bounds) ??
    checkNodes(bytes, start, fields, length) ?? checkPayload(bytes, start, fields, bounds);
}

/**
 * Checks the list behind a header.
 *
 * @param bytes Where the whole frame is.
 * @param start Where the frame begins, in bytes.
 * @param length The frame's length, in bytes.
 * @returns What is wrong, or `undefined`.
 */
export function checkList(bytes: Uint8Array, start: number, length: number): Malformed | undefined {
  for (let at = FRAME_HEADER_BYTES; at < length; at += NODE_ID_BYTES) {
    const node = getU32(bytes, start + at);
    if (node < 1 || node > NODE_ID_MAX) return malformed("NodeOutOfBounds", node);
  }
  return undefined;
}

/**
 * Checks the checksum of a header. No other field of the header is trusted before this check.
 *
 * @param bytes Where the header is.
 * @param start Where the frame begins, in bytes.
 * @returns What is wrong, or `undefined`.
 */
export function checkHeaderSum(bytes: Uint8Array, start: number): Malformed | undefined {
  const sum = getU32(bytes, start + Offset.HeaderChecksum);
  return sum === crc32c(bytes, start, start + Offset.HeaderChecksum)
    ? undefined
    : malformed("HeaderChecksumMismatch", sum);
}

/**
 * Checks the checksum of the list, name or body behind a header.
 *
 * @param bytes Where the whole frame is.
 * @param start Where the frame begins, in bytes.
 * @param length The frame's length, in bytes.
 * @returns What is wrong, or `undefined`.
 */
export function checkBodySum(
  bytes: Uint8Array,
  start: number,
  length: number,
): Malformed | undefined {
  const sum = getU32(bytes, start + Offset.BodyChecksum);
  return sum === crc32c(bytes, start + FRAME_HEADER_BYTES, start + length)
    ? undefined
    : malformed("BodyChecksumMismatch", sum);
}

/**
 * Checks the flags of a frame.
 *
 * @param bytes Where the header is.
 * @param start Where the frame begins, in bytes.
 * @param hasPayload Whether something may follow the frame.
 * @returns What is wrong, or `undefined`.
 */
export function checkFlags(
  bytes: Uint8Array,
  start: number,
  hasPayload: boolean,
): Malformed | undefined {
  const flags = bytes[start + Offset.Flags]!;
  if ((flags & ~FLAG_PAYLOAD_CHECKSUM) !== 0) return malformed("ReservedNotZero", flags);
  if (flags !== 0) return hasPayload ? undefined : malformed("UnusedFieldNotZero", flags);
  const sum = getU32(bytes, start + Offset.PayloadChecksum);
  return sum === 0 ? undefined : malformed("UnusedFieldNotZero", sum);
}

/**
 * Reads the checksum of what follows a frame.
 *
 * @param bytes Where the header is, checked.
 * @param start Where the frame begins, in bytes.
 * @returns The checksum; `undefined` where the frame has none.
 */
export function getPayloadSum(bytes: Uint8Array, start: number): number | undefined {
  return bytes[start + Offset.Flags] === 0
    ? undefined
    : getU32(bytes, start + Offset.PayloadChecksum);
}

/**
 * Checks that a control frame's header has nothing but its first 8 bytes, and checksums.
 *
 * @param bytes Where the header is.
 * @param start Where the frame begins, in bytes.
 * @returns What is wrong, or `undefined`.
 */
export function checkControlHeader(bytes: Uint8Array, start: number): Malformed | undefined {
  for (let at = FRAME_PREFIX_BYTES; at < Offset.BodyChecksum; at++) {
    const value = bytes[start + at]!;
    if (value !== 0) return malformed("UnusedFieldNotZero", value);
  }
  return undefined;
}

/** Checks access, content, encoding and flags. */
function checkMode(bytes: Uint8Array, start: number, fields: number): Malformed | undefined {
  const access = bytes[start + Offset.Access]!;
  if ((fields & Field.Access) === 0) {
    if (access !== 0) return malformed("UnusedFieldNotZero", access);
  } else if (access !== Access.Read && access !== Access.Write) {
    return malformed("UnknownAccess", access);
  }
  const content = bytes[start + Offset.Content]!;
  if ((fields & Field.Content) === 0) {
    if (content !== 0) return malformed("UnusedFieldNotZero", content);
  } else if ((fields & Field.Access) === 0) {
    // Of a done, the content only tells whether the pages are lost.
    if (content !== 0 && content !== Content.Lost) return malformed("UnknownContent", content);
  } else if (content < Content.Data || content > Content.Lost) {
    return malformed("UnknownContent", content);
  }
  const encoding = bytes[start + Offset.Encoding]!;
  const packs = encoding === Encoding.Lz4 && hasData(bytes, start, fields);
  if (encoding !== Encoding.Raw && !packs) return malformed("UnknownEncoding", encoding);
  return checkFlags(bytes, start, hasData(bytes, start, fields));
}

/** Checks the run of pages, and the request number that it may have. */
function checkRun(
  bytes: Uint8Array,
  start: number,
  fields: number,
  bounds: FrameBounds,
): Malformed | undefined {
  const first = getU32(bytes, start + Offset.First);
  const count = getU32(bytes, start + Offset.Count);
  const request = getU32(bytes, start + Offset.Request);
  if ((fields & Field.Request) === 0 && request !== 0) {
    return malformed("UnusedFieldNotZero", request);
  }
  if ((fields & Field.Run) === 0) {
    const value = first || count;
    return value === 0 ? undefined : malformed("UnusedFieldNotZero", value);
  }
  if (count === 0) return malformed("RunEmpty", count);
  const most = (fields & Field.LongRun) === 0 ? bounds.runPages : LOCATED_MAX_PAGES;
  if (count > most) return malformed("RunTooLong", count);
  if (first + count > bounds.pageCount) return malformed("RunOutOfRegion", first + count);
  return undefined;
}

/** Checks the node and the list's length. */
function checkNodes(
  bytes: Uint8Array,
  start: number,
  fields: number,
  length: number,
): Malformed | undefined {
  const node = getU32(bytes, start + Offset.Node);
  const content = bytes[start + Offset.Content]!;
  const isGrant = (fields & Field.Content) !== 0;
  if ((fields & Field.Node) === 0 || (isGrant && content !== Content.Lost)) {
    if (node !== 0) return malformed("UnusedFieldNotZero", node);
  } else if (node < 1 || node > NODE_ID_MAX) {
    return malformed("NodeOutOfBounds", node);
  }
  const listBytes = length - FRAME_HEADER_BYTES;
  const fits = (fields & Field.List) === 0 ? listBytes === 0 : listBytes % NODE_ID_BYTES === 0;
  return fits ? undefined : malformed("LengthMismatch", length);
}

/** Whether page bytes follow. */
function hasData(bytes: Uint8Array, start: number, fields: number): boolean {
  return (fields & Field.Content) !== 0 && bytes[start + Offset.Content] === Content.Data;
}

/**
 * Checks that the run's bytes follow a grant of data, or fewer where they are packed, and that no
 * bytes follow any other message.
 */
function checkPayload(
  bytes: Uint8Array,
  start: number,
  fields: number,
  bounds: FrameBounds,
): Malformed | undefined {
  const payloadBytes = getU32(bytes, start + Offset.PayloadBytes);
  const count = hasData(bytes, start, fields) ? getU32(bytes, start + Offset.Count) : 0;
  const runBytes = count * bounds.pageSize;
  const fits = bytes[start + Offset.Encoding] === Encoding.Raw
    ? payloadBytes === runBytes
    : payloadBytes >= PACKED_ENTRY_BYTES * count && payloadBytes < runBytes;
  return fits ? undefined : malformed("PayloadMismatch", payloadBytes);
}
