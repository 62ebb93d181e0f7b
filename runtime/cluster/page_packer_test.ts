import { assert, assertEquals, assertFalse } from "@std/assert";
import { makePage, PAGE_KINDS, type PageKind } from "../../tests/fuzz/compression_pages.ts";
import { isZero, looksLikeNoise } from "./page_packer.ts";

/** How many of 300 pages of a kind are taken for noise. */
function countNoise(kind: PageKind, pageSize: number): number {
  let found = 0;
  for (let seed = 1; seed <= 300; seed++) {
    if (looksLikeNoise(makePage(kind, pageSize, seed), 0, pageSize)) found++;
  }
  return found;
}

Deno.test("isZero: a page is zero only if every bit of it is", () => {
  const words = new Int32Array(3 * 1024);
  const zeros = () => isZero(words, 1024, 2048);
  assert(zeros());
  for (let at = 1024; at < 2048; at++) {
    for (const bit of [0, 31]) {
      words[at] = 1 << bit;
      assertFalse(zeros(), `bit ${bit} of word ${at}`);
    }
    words[at] = 0;
  }
  words[1023] = words[2048] = -1;
  assert(zeros(), "what is beside the page does not count");
});

Deno.test("looksLikeNoise: noise is found out most of the time, and a page that compresses well never taken for it", () => {
  assert(countNoise("noise", 4096) > 250);
  const doubtful = new Set<PageKind>([
    "noise",
    "noise, 1/8 zeros",
    "doubles, a curve",
    "doubles, random",
  ]);
  for (const kind of PAGE_KINDS.filter((kind) => !doubtful.has(kind))) {
    assertEquals(countNoise(kind, 4096), 0, kind);
  }
});

Deno.test("looksLikeNoise: the sample is taken from all over a page of any size, and from nowhere else", () => {
  for (let pageSize = 4096; pageSize <= 2 * 1024 * 1024; pageSize *= 2) {
    // No two of a sample are alike, since 251 is a prime.
    const page = new Uint8Array(pageSize).map((_, at) => at % 251);
    const run = new Uint8Array(3 * pageSize);
    run.set(page, pageSize);
    assert(looksLikeNoise(run, pageSize, pageSize), `page of ${pageSize}`);
    assertFalse(looksLikeNoise(run, 0, pageSize));
    assertFalse(looksLikeNoise(run, 2 * pageSize, pageSize));
    // Half of the page is not enough, whichever it is.
    const half = pageSize / 2;
    assertFalse(looksLikeNoise(run.copyWithin(0, pageSize + half, 2 * pageSize), 0, pageSize));
  }
});
