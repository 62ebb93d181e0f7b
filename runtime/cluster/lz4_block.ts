/**
 * Decoding of LZ4 blocks that a peer made. The decoder of the package that compresses trusts its
 * input: it allocates whatever size a block claims, and on a match offset of 0 it repeats bytes of
 * other pages that are left in its memory. The decoder here is as fast on a page, writes straight
 * to where the bytes belong, and allocates nothing.
 */

/** What is wrong with a block, as a stable word. The list only grows. */
export type BlockReason =
  /** The block ends inside of a sequence. */
  | "BlockTruncated"
  /** A match begins before the page, or is its own source. */
  | "BlockOffsetOutOfPage"
  /** The block decodes to more than a page. */
  | "BlockTooLong"
  /** The block decodes to less than a page. */
  | "BlockTooShort";

/** A length of four bits with this value goes on in the following bytes. */
const LENGTH_CONTINUES = 15;
/** The shortest match, in bytes; a block has the length of each match less this. */
const MATCH_MIN_BYTES = 4;
/** From this length on a call that copies is cheaper than a loop. */
const COPY_CALL_MIN_BYTES = 32;

/**
 * Decodes a block that must fill the target range exactly. Whatever the block says, no byte outside
 * of that range is written, or read as part of a match.
 *
 * @param source Where the block is.
 * @param begin Where it begins in `source`, in bytes.
 * @param end Where it ends.
 * @param target Where to write; not the memory that `source` is in.
 * @param start Where to begin in `target`, in bytes.
 * @param stop Where to end.
 * @returns What is wrong with the block, after which the range may be partly written; or
 *   `undefined`.
 */
export function decodeBlock(
  source: Uint8Array,
  begin: number,
  end: number,
  target: Uint8Array,
  start: number,
  stop: number,
): BlockReason | undefined {
  let from = begin;
  let to = start;
  while (from < end) {
    const token = source[from++]!;
    let literals = token >>> 4;
    if (literals === LENGTH_CONTINUES) {
      let more: number;
      do {
        if (from >= end) return "BlockTruncated";
        more = source[from++]!;
        literals += more;
      } while (more === 255);
    }
    if (literals > end - from) return "BlockTruncated";
    if (literals > stop - to) return "BlockTooLong";
    copyLiterals(source, from, target, to, literals);
    from += literals;
    to += literals;
    // Only the last sequence has no match.
    if (from === end) return to === stop ? undefined : "BlockTooShort";

    if (end - from < 2) return "BlockTruncated";
    const offset = source[from]! | (source[from + 1]! << 8);
    from += 2;
    if (offset === 0 || offset > to - start) return "BlockOffsetOutOfPage";
    let length = (token & 15) + MATCH_MIN_BYTES;
    if (length === LENGTH_CONTINUES + MATCH_MIN_BYTES) {
      let more: number;
      do {
        if (from >= end) return "BlockTruncated";
        more = source[from++]!;
        length += more;
      } while (more === 255);
    }
    if (length > stop - to) return "BlockTooLong";
    copyMatch(target, to, offset, length);
    to += length;
  }
  return "BlockTruncated";
}

function copyLiterals(
  source: Uint8Array,
  from: number,
  target: Uint8Array,
  to: number,
  length: number,
): void {
  if (length >= COPY_CALL_MIN_BYTES) {
    target.set(source.subarray(from, from + length), to);
  } else {
    for (const stop = to + length; to < stop;) target[to++] = source[from++]!;
  }
}

/** Repeats what is `offset` bytes before `to`; what it writes may be part of what it repeats. */
function copyMatch(target: Uint8Array, to: number, offset: number, length: number): void {
  const stop = to + length;
  const from = to - offset;
  if (length < COPY_CALL_MIN_BYTES) {
    for (; to < stop; to++) target[to] = target[to - offset]!;
    return;
  }
  // The bytes that can be repeated are a multiple of `offset` long, and double with each copy.
  while (to < stop) {
    const copied = Math.min(to - from, stop - to);
    target.copyWithin(to, from, from + copied);
    to += copied;
  }
}
