/**
 * Page bytes as they travel when the cluster compresses them. It is done page by page, and only to
 * the pages that it makes smaller:
 *
 * | bytes                  | what                                                               |
 * | ---------------------- | ------------------------------------------------------------------ |
 * | 4 × count              | of each page, how many bytes are stored: u32, little-endian        |
 * | the sum of the lengths | what is stored of one page after the other, with nothing in between |
 *
 * A length of 0 is a page of zeros, the page size a page as it is, and any other an LZ4 block
 * without a size before it. The whole is always shorter than the pages.
 */

import { compress } from "lz4";
import { getU32, putU32 } from "../wire/bytes.ts";
import { PACKED_ENTRY_BYTES } from "../wire/page_frames.ts";
import { type BlockReason, decodeBlock } from "./lz4_block.ts";

/** What is wrong with packed pages, as a stable word. The list only grows. */
export type PackedReason =
  /** Shorter than the table of lengths. */
  | "TableTruncated"
  /** More bytes are stored for a page than a page has. */
  | "StoredTooLong"
  /** The lengths do not sum up to the bytes behind the table. */
  | "StoredMismatch"
  | BlockReason;

/** The package puts the size before a block; here every size is known. */
const SIZE_PREFIX_BYTES = 4;

const TEXTS: Readonly<Record<PackedReason, string>> = {
  TableTruncated: "are shorter than their table",
  StoredTooLong: "store more for a page than it has",
  StoredMismatch: "are not as long as their table says",
  BlockTruncated: "have an LZ4 block that ends inside of a sequence",
  BlockOffsetOutOfPage: "have an LZ4 block that repeats what is outside of its page",
  BlockTooLong: "have an LZ4 block that is longer than a page",
  BlockTooShort: "have an LZ4 block that is shorter than a page",
};

/** Every reason there is. */
export const PACKED_REASONS: readonly PackedReason[] = Object.keys(TEXTS) as PackedReason[];

/**
 * Says what is wrong with packed pages.
 *
 * @param reason The name that {@linkcode unpackPages} gave.
 * @returns A sentence without a full stop.
 */
export function describePackedReason(reason: PackedReason): string {
  return `Packed pages ${TEXTS[reason]}`;
}

/**
 * Packs a run of pages.
 *
 * @param pages The bytes of the run: at least one page, aligned to 4 bytes. They must not change meanwhile.
 * @param pageSize The bytes of a page, a power of two of at least 4096.
 * @param target Where to write; at least as long as `pages`.
 * @returns The bytes written, fewer than `pages` has; `undefined` where the pages are better sent as
 * they are, and then what is in `target` means nothing.
 * @throws {RangeError} Where `pages` are not whole pages, or `target` is too short.
 */
export function packPages(
  pages: Uint8Array,
  pageSize: number,
  target: Uint8Array,
): number | undefined {
  const count = pages.length / pageSize;
  if (count < 1 || !Number.isInteger(count)) {
    throw new RangeError(`Cannot pack ${pages.length} bytes as pages of ${pageSize}`);
  }
  if (target.length < pages.length) {
    throw new RangeError(`Cannot pack ${pages.length} bytes into ${target.length}`);
  }
  const words = new Int32Array(pages.buffer, pages.byteOffset, pages.length / 4);
  const pageWords = pageSize / 4;
  let used = PACKED_ENTRY_BYTES * count;
  for (let page = 0; page < count; page++) {
    let stored = 0;
    if (!isZero(words, page * pageWords, (page + 1) * pageWords)) {
      const start = page * pageSize;
      const bytes = pages.subarray(start, start + pageSize);
      const block = looksLikeNoise(pages, start, pageSize) ? undefined : compressPage(bytes);
      const best = block ?? bytes;
      stored = best.length;
      if (used + stored >= pages.length) return undefined;
      target.set(best, used);
    }
    putU32(target, PACKED_ENTRY_BYTES * page, stored);
    used += stored;
  }
  return used;
}

/**
 * Unpacks a run of pages that a peer packed. Nothing is believed: whatever the payload says, no more
 * is written than `target`, and nothing is allocated.
 *
 * @param payload The bytes as {@linkcode packPages} wrote them, and no more.
 * @param pageSize The bytes of a page.
 * @param count The pages of the run.
 * @param target Where to write the run's bytes, in other memory than `payload`.
 * @returns What is wrong, or `undefined`. Where something is, `target` may have been written to.
 * @throws {RangeError} Where `target` is not as long as the pages are.
 */
export function unpackPages(
  payload: Uint8Array,
  pageSize: number,
  count: number,
  target: Uint8Array,
): PackedReason | undefined {
  if (target.length !== count * pageSize) {
    throw new RangeError(`${count} pages of ${pageSize} bytes do not fit ${target.length} exactly`);
  }
  const wrongTable = checkTable(payload, pageSize, count);
  if (wrongTable !== undefined) return wrongTable;
  let from = PACKED_ENTRY_BYTES * count;
  for (let page = 0; page < count; page++) {
    const stored = getU32(payload, PACKED_ENTRY_BYTES * page);
    const start = page * pageSize;
    if (stored === 0) {
      target.fill(0, start, start + pageSize);
    } else if (stored === pageSize) {
      target.set(payload.subarray(from, from + stored), start);
    } else {
      const end = from + stored;
      const wrong = decodeBlock(payload, from, end, target, start, start + pageSize);
      if (wrong !== undefined) return wrong;
    }
    from += stored;
  }
  return undefined;
}

/** Compresses a page; `undefined` where that makes it no smaller. */
function compressPage(bytes: Uint8Array): Uint8Array | undefined {
  const block = compress(bytes).subarray(SIZE_PREFIX_BYTES);
  return block.length < bytes.length ? block : undefined;
}

/** Checks all lengths before anything is written. */
function checkTable(
  payload: Uint8Array,
  pageSize: number,
  count: number,
): PackedReason | undefined {
  let sum = PACKED_ENTRY_BYTES * count;
  if (payload.length < sum) return "TableTruncated";
  for (let page = 0; page < count; page++) {
    const stored = getU32(payload, PACKED_ENTRY_BYTES * page);
    if (stored > pageSize) return "StoredTooLong";
    sum += stored;
  }
  return sum === payload.length ? undefined : "StoredMismatch";
}

// Cheap looks at a page before it is compressed: most pages of a fresh region are all zeros, and most
// pages of noise show it in a few bytes.

/** The bytes of a page that are looked at. */
const SAMPLE_BYTES = 128;
/**
 * So many different ones among them count as noise. Noise has 101 on average, and this many or more
 * 11 times of 12; text has about 30.
 */
const NOISE_MIN_DISTINCT = 96;

/** The sample in which each byte was last seen. */
const seenIn = new Uint32Array(256);
let sample = 0;

/**
 * Tells whether there are only zeros, exactly.
 *
 * @param words The page, or the pages it is one of.
 * @param start Where it begins, in words.
 * @param stop Where it ends; a multiple of 8 words later.
 * @returns Whether all of it is zero.
 */
export function isZero(words: Int32Array, start: number, stop: number): boolean {
  for (let at = start; at < stop; at += 8) {
    // Eight words to a branch: half the time of one.
    const some = words[at]! | words[at + 1]! | words[at + 2]! | words[at + 3]! |
      words[at + 4]! | words[at + 5]! | words[at + 6]! | words[at + 7]!;
    if (some !== 0) return false;
  }
  return true;
}

/**
 * Guesses whether a page is noise: random, encrypted or compressed before. It is a guess because LZ4
 * gains by repetition, of which a few bytes tell little: noise that is repeated passes for noise,
 * and base64 and most measured numbers do not. Either mistake costs only time or bandwidth.
 *
 * @param bytes The page, or the pages it is one of.
 * @param start Where it begins, in bytes.
 * @param pageSize Its size in bytes, a power of two of at least 4096.
 * @returns Whether compressing it is likely to be in vain.
 */
export function looksLikeNoise(bytes: Uint8Array, start: number, pageSize: number): boolean {
  // Odd, so that every byte of a word has its turn.
  const step = pageSize / SAMPLE_BYTES - 1;
  sample = (sample + 1) >>> 0;
  // After 2^32 samples the numbers come again.
  if (sample === 0) {
    seenIn.fill(0);
    sample = 1;
  }
  let distinct = 0;
  for (let index = 0; index < SAMPLE_BYTES; index++) {
    const byte = bytes[start + index * step]!;
    if (seenIn[byte] !== sample) {
      seenIn[byte] = sample;
      distinct++;
    }
  }
  return distinct >= NOISE_MIN_DISTINCT;
}
