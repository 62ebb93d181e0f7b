/**
 * Packing pages for a peer, in the form that `compression.ts` describes: only the engine sends
 * pages, so only its bundle has the package that compresses.
 */

import { compress } from "lz4";
import { putU32 } from "../wire/bytes.ts";
import { PACKED_ENTRY_BYTES } from "../wire/layout.ts";

/** The package puts the size before a block; here every size is known. */
const SIZE_PREFIX_BYTES = 4;

/**
 * Packs a run of pages.
 *
 * @param pages The bytes of the run: at least one page, aligned to 4 bytes. They must not change
 *   meanwhile.
 * @param pageSize The bytes of a page, a power of two of at least 4096.
 * @param target Where to write; at least as long as `pages`.
 * @returns The bytes written, fewer than `pages` has; `undefined` where the pages are better sent
 * as they are, and then what is in `target` means nothing.
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

/** Compresses a page; `undefined` where that makes it no smaller. */
function compressPage(bytes: Uint8Array): Uint8Array | undefined {
  const block = compress(bytes).subarray(SIZE_PREFIX_BYTES);
  return block.length < bytes.length ? block : undefined;
}

// Cheap tests of a page before it is compressed: most pages of a fresh region are all zeros, and a
// few bytes of a page of noise mostly suffice to recognise the noise.

/** The bytes of a page that are looked at. */
const SAMPLE_BYTES = 128;
/**
 * A sample with so many different bytes counts as noise. Noise has 101 on average, and this many or
 * more 11 times of 12; text has about 30.
 */
const NOISE_MIN_DISTINCT = 96;

/** The sample in which each byte was last seen. */
const seenIn = new Uint32Array(256);
let sample = 0;

/**
 * Tells whether a page has only zeros.
 *
 * @param words The page, or the pages it is one of.
 * @param start Where the page begins, in words.
 * @param stop Where the page ends, in words; a multiple of 8 after `start`.
 * @returns Whether every word of the page is zero.
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
 * Guesses whether a page is noise: random, encrypted or already compressed. This is a guess because
 * LZ4 gains by repetition, of which a few bytes tell little: noise that is repeated passes for
 * noise, but base64 and most measured numbers do not. Either mistake costs only time or bandwidth.
 *
 * @param bytes The page, or the pages it is one of.
 * @param start Where it begins, in bytes.
 * @param pageSize Its size in bytes, a power of two of at least 4096.
 * @returns Whether compression is likely to gain nothing.
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
