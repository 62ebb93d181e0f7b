/**
 * How sound bytes are broken: bits and bytes anywhere, numbers at the edges where a frame has its
 * fields, and pieces that are left out, repeated, swapped or put together.
 */

import { crc32c } from "../../runtime/wire/crc32c.ts";
import { FRAME_HEADER_BYTES, Offset } from "../../runtime/wire/layout.ts";
import { getU16, getU32, putU16, putU32 } from "../../runtime/wire/bytes.ts";
import type { Random } from "../simulator/coherence/random.ts";

/** Bytes at the edge of something. */
const EDGE_BYTES = [0, 1, 2, 3, 4, 5, 31, 32, 33, 64, 127, 128, 129, 0xa0, 0xc0, 0xdf, 0xfe, 0xff];
/** Numbers of up to 32 bits at the edge of something: of a type, a bound or a table. */
const EDGE_WORDS = [
  ...EDGE_BYTES,
  255,
  256,
  1023,
  1024,
  1025,
  2080,
  2081,
  4095,
  4096,
  0xfffe,
  0xffff,
  0x1_0000,
  0x1_0001,
  0xff_ffff,
  0x100_0000,
  0x7fff_ffff,
  0x8000_0000,
  0xffff_fffe,
  0xffff_ffff,
];
/** Where a header has its numbers, and how many bytes each has. */
const FIELDS: readonly (readonly [offset: number, bytes: 1 | 2 | 4])[] = [
  [Offset.Length, 4],
  [Offset.Magic, 2],
  [Offset.Version, 1],
  [Offset.Type, 1],
  [Offset.Access, 1],
  [Offset.Content, 1],
  [Offset.Encoding, 1],
  [Offset.Flags, 1],
  [Offset.First, 4],
  [Offset.Count, 4],
  [Offset.Request, 4],
  [Offset.Node, 4],
  [Offset.PayloadBytes, 4],
  [Offset.PayloadChecksum, 4],
  [Offset.BodyChecksum, 4],
  [Offset.HeaderChecksum, 4],
];

/** The longest that {@linkcode breakBytes} makes its bytes longer by. */
export const GROWTH_MAX_BYTES = 64;

/**
 * Draws one of a list.
 *
 * @param list The list, not empty.
 * @param random The source of chance.
 * @returns The one drawn.
 */
export function pick<Item>(list: readonly Item[], random: Random): Item {
  return list[random.below(list.length)]!;
}

/** Draws a number at the edge of something. */
export function edgeWord(random: Random): number {
  return pick(EDGE_WORDS, random);
}

/**
 * Gives a field of a frame's header a value at an edge, or next to the one that it has.
 *
 * @param bytes The frame; a field that it is too short for is left alone.
 * @param random The source of chance.
 */
export function breakField(bytes: Uint8Array, random: Random): void {
  const [offset, width] = pick(FIELDS, random);
  if (offset + width > bytes.length) return;
  const near = random.chance(40);
  const step = random.chance(50) ? 1 : -1;
  switch (width) {
    case 1:
      bytes[offset] = near ? bytes[offset]! + step : pick(EDGE_BYTES, random);
      break;
    case 2:
      putU16(bytes, offset, near ? getU16(bytes, offset) + step : edgeWord(random));
      break;
    case 4:
      putU32(bytes, offset, near ? getU32(bytes, offset) + step : edgeWord(random));
  }
}

/**
 * Breaks bytes in one place.
 *
 * @param bytes Where they are; {@linkcode GROWTH_MAX_BYTES} behind them are used where they grow.
 * @param length How many there are, at least one.
 * @param random The source of chance.
 * @returns How many there are now, at least one.
 */
export function breakBytes(bytes: Uint8Array, length: number, random: Random): number {
  const at = random.below(length);
  const some = Math.min(random.between(1, GROWTH_MAX_BYTES), length - at);
  switch (random.below(7)) {
    case 0:
      bytes[at]! ^= 1 << random.below(8);
      return length;
    case 1:
      bytes[at] = random.next();
      return length;
    case 2:
      bytes[at] = pick(EDGE_BYTES, random);
      return length;
    case 3:
      if (at + 4 <= length) putU32(bytes, at, edgeWord(random));
      return length;
    case 4:
      // Left out.
      bytes.copyWithin(at, at + some, length);
      return Math.max(1, length - some);
    case 5:
      // Repeated.
      bytes.copyWithin(at + some, at, length);
      return length + some;
    default:
      bytes.copyWithin(at, random.below(length), length);
      return length;
  }
}

/**
 * Gives a broken frame the checksums that it should have, so that it is looked at any further: as
 * if a peer said such things.
 *
 * @param frame The frame; nothing is done to one that has no whole header.
 */
export function sealBroken(frame: Uint8Array): void {
  if (frame.length < FRAME_HEADER_BYTES) return;
  const end = Math.max(FRAME_HEADER_BYTES, Math.min(getU32(frame, Offset.Length), frame.length));
  putU32(frame, Offset.BodyChecksum, crc32c(frame, FRAME_HEADER_BYTES, end));
  putU32(frame, Offset.HeaderChecksum, crc32c(frame, 0, Offset.HeaderChecksum));
}

/**
 * Fills bytes with noise.
 *
 * @param bytes What to fill.
 * @param random The source of chance.
 */
export function fillNoise(bytes: Uint8Array, random: Random): void {
  // The highest bits of the generator are its best.
  for (let at = 0; at < bytes.length; at++) bytes[at] = random.next() >>> 11;
}
