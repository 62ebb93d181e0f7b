/**
 * Page bytes as they travel when the cluster compresses them: page by page, and only those pages
 * that become smaller. Packed pages are:
 *
 * | bytes                  | what                                                               |
 * | ---------------------- | ------------------------------------------------------------------ |
 * | 4 × count              | of each page, how many bytes are stored: u32, little-endian        |
 * | the sum of the lengths | what is stored of one page after the other, with nothing in between |
 *
 * A length of 0 is a page of zeros, the page size a page as it is, and any other an LZ4 block
 * without a size before it. The whole is always shorter than the pages.
 *
 * This is the receiving half, which trusts nothing that a peer sends. `page_packer.ts` is the
 * sending half; it alone needs the package that compresses.
 */

import { getU32 } from "../wire/bytes.ts";
import { PACKED_ENTRY_BYTES } from "../wire/layout.ts";
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
 * Unpacks a run of pages that a peer packed. The payload is not trusted: whatever it says, nothing
 * is written outside of `target`, and nothing is allocated.
 *
 * @param payload The bytes as `packPages` wrote them, and no more.
 * @param pageSize The bytes of a page.
 * @param count The pages of the run.
 * @param target Where to write the run's bytes, in other memory than `payload`.
 * @returns What is wrong with the payload, after which `target` may be partly written; or
 *   `undefined`.
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

/** Checks all lengths first, so that a wrong table leaves `target` as it was. */
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
