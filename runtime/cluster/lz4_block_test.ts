import { assertEquals } from "@std/assert";
import { compress } from "lz4";
import { makePage, PAGE_KINDS } from "../../tests/fuzz/compression_pages.ts";
import { type BlockReason, decodeBlock } from "./lz4_block.ts";

const GUARD_BYTES = 16;

/** Decodes `block` to `size` bytes amid others that must stay as they are. */
function decode(block: readonly number[], size: number): number[] | BlockReason {
  const source = Uint8Array.from([0xa5, ...block, 0xa5]);
  const target = new Uint8Array(size + 2 * GUARD_BYTES).fill(0xee);
  const stop = GUARD_BYTES + size;
  const reason = decodeBlock(source, 1, 1 + block.length, target, GUARD_BYTES, stop);
  const guards = [...target.subarray(0, GUARD_BYTES), ...target.subarray(stop)];
  assertEquals(guards, new Array(2 * GUARD_BYTES).fill(0xee));
  return reason ?? [...target.subarray(GUARD_BYTES, stop)];
}

Deno.test("decodeBlock: blocks written by hand decode to what the format says", () => {
  assertEquals(decode([0x30, 1, 2, 3], 3), [1, 2, 3]);
  // A match right behind its source, one that overlaps what it writes, and no last literals.
  assertEquals(decode([0x40, 1, 2, 3, 4, 4, 0, 0x10, 9], 9), [1, 2, 3, 4, 1, 2, 3, 4, 9]);
  assertEquals(decode([0x22, 1, 2, 2, 0, 0x10, 9], 9), [1, 2, 1, 2, 1, 2, 1, 2, 9]);
  assertEquals(decode([0x10, 7, 1, 0, 0x00], 5), [7, 7, 7, 7, 7]);
});

Deno.test("decodeBlock: lengths of any number of bytes are read to their end", () => {
  for (const length of [14, 15, 16, 31, 32, 33, 269, 270, 271, 524, 525, 526, 4000]) {
    const literals = Array.from({ length }, (_, index) => index & 0xff);
    assertEquals(decode([...writeLength(length, 4), ...literals], length), literals);

    // Matches of each length and period, the long ones copied in doubling steps.
    for (const period of [1, 2, 3, 7, 8, 31, 32, 33, 63]) {
      const head = Array.from({ length: period }, (_, index) => 100 + index);
      const [headToken, ...headMore] = writeLength(period, 4) as [number, ...number[]];
      const [matchToken, ...matchMore] = writeLength(length - 4, 0) as [number, ...number[]];
      const block = [headToken | matchToken, ...headMore, ...head, period, 0, ...matchMore, 0x00];
      const expected = Array.from({ length: period + length }, (_, index) => head[index % period]!);
      assertEquals(decode(block, period + length), expected, `${length} of period ${period}`);
    }
  }
});

/** A length in four bits, `shift` bits up in the token, and the bytes for the rest of it. */
function writeLength(length: number, shift: number): number[] {
  if (length < 15) return [length << shift];
  const rest = length - 15;
  return [15 << shift, ...new Array(Math.floor(rest / 255)).fill(255), rest % 255];
}

Deno.test("decodeBlock: what a compressor wrote decodes to what it read", () => {
  for (const kind of PAGE_KINDS) {
    for (const pageSize of [4096, 65_536]) {
      const page = makePage(kind, pageSize, 1);
      const packed = compress(page);
      const target = new Uint8Array(pageSize).fill(0xee);
      assertEquals(decodeBlock(packed, 4, packed.length, target, 0, pageSize), undefined, kind);
      assertEquals(target, page, kind);
    }
  }
});

Deno.test("decodeBlock: a broken block is refused with its reason", () => {
  const cases: readonly [name: string, block: readonly number[], reason: BlockReason][] = [
    ["nothing at all", [], "BlockTruncated"],
    ["fewer literals than said", [0x30, 1, 2], "BlockTruncated"],
    ["a length of literals without an end", [0xf0, 255, 255], "BlockTruncated"],
    ["half an offset", [0x10, 1, 1], "BlockTruncated"],
    ["a length of a match without an end", [0x1f, 1, 1, 0, 255], "BlockTruncated"],
    ["nothing after a match", [0x10, 1, 1, 0], "BlockTruncated"],
    ["an offset of zero", [0x10, 1, 0, 0, 0x50, 1, 2, 3, 4, 5], "BlockOffsetOutOfPage"],
    ["an offset before the page", [0x10, 1, 2, 0, 0x50, 1, 2, 3, 4, 5], "BlockOffsetOutOfPage"],
    ["a match of nothing yet", [0x00, 1, 0, 0x60, 1, 2, 3, 4, 5, 6], "BlockOffsetOutOfPage"],
    ["literals beyond the page", [0xb0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11], "BlockTooLong"],
    ["a match beyond the page", [0x16, 1, 1, 0, 0x00], "BlockTooLong"],
    ["a long match beyond the page", [0x1f, 1, 1, 0, 255, 255, 9, 0x00], "BlockTooLong"],
    ["literals that end before the page", [0x90, 1, 2, 3, 4, 5, 6, 7, 8, 9], "BlockTooShort"],
    ["a match that ends before the page", [0x14, 1, 1, 0, 0x00], "BlockTooShort"],
    ["no literal and no match", [0x00], "BlockTooShort"],
  ];
  for (const [name, block, reason] of cases) assertEquals(decode(block, 10), reason, name);
});
