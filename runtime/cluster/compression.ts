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
import { PACKED_ENTRY_BYTES } from "../wire/page_frames.ts";
import { getU32, putU32 } from "../wire/bytes.ts";
import { type BlockReason, decodeBlock } from "./lz4_block.ts";
import { isZero, looksLikeNoise } from "./page_probe.ts";

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
