import { assert, assertEquals } from "@std/assert";
import { ChunkHomes } from "./chunk_homes.ts";

/** The last chunk of 2^28 pages, which are a tebibyte. */
const LAST = 2 ** 28 - 128;

Deno.test("ChunkHomes: node 1 is the home of every page where all are at the directory node", () => {
  const homes = new ChunkHomes();
  assertEquals([homes.of(0), homes.of(LAST)], [1, 1]);
  assertEquals(homes.extent(100, 5000), 5000);
});

Deno.test("ChunkHomes: no node is the home of a chunk before it is told", () => {
  const homes = new ChunkHomes("first-touch");
  assertEquals(homes.of(300), 0);
  homes.set(300, 7);
  assertEquals([255, 256, 383, 384].map((page) => homes.of(page)), [0, 7, 7, 0]);
  homes.set(LAST, 2 ** 32 - 2);
  assertEquals(homes.of(LAST + 127), 2 ** 32 - 2);
});

Deno.test("ChunkHomes: a run ends where the home is another, or is not known", () => {
  const homes = new ChunkHomes("first-touch", 4);
  for (const page of [4, 8]) homes.set(page, 2);
  homes.set(12, 3);
  assertEquals(homes.extent(5, 100), 7);
  assertEquals(homes.extent(5, 3), 3);
  assertEquals(homes.extent(12, 100), 4);
  // Two chunks whose homes are not known need not have the same.
  assertEquals(homes.extent(17, 100), 3);
});

Deno.test("ChunkHomes: a node takes over the chunks of another, and no more", () => {
  const homes = new ChunkHomes("spread", 2);
  for (const page of [0, 2, 6]) homes.set(page, 5);
  homes.set(8, 5);
  homes.set(8, 7);
  homes.set(4, 6);
  // Its block is another than that of the first.
  homes.set(2000, 5);
  assertEquals(homes.takeOver(5, 1), [
    { first: 0, count: 2 },
    { first: 2, count: 2 },
    { first: 6, count: 2 },
    { first: 2000, count: 2 },
  ]);
  assertEquals([0, 2, 4, 6, 2000].map((page) => homes.of(page)), [1, 1, 6, 1, 1]);
  assertEquals([1, 5, 6].map((node) => homes.count(node)), [4, 0, 1]);
  assertEquals(homes.takeOver(5, 1), []);
});

Deno.test("ChunkHomes: chunks in a row are taken over in runs, no longer than asked", () => {
  const homes = new ChunkHomes("first-touch", 2);
  homes.giveInTurn({ first: 0, count: 10 }, [5]);
  homes.giveInTurn({ first: 12, count: 3 }, [5, 6]);
  assertEquals(homes.takeOver(5, 1, 4), [
    { first: 0, count: 4 },
    { first: 4, count: 4 },
    { first: 8, count: 2 },
    { first: 12, count: 2 },
  ]);
  assertEquals([1, 6].map((node) => homes.count(node)), [6, 1]);
});

Deno.test("ChunkHomes: chunks are given in turn, but for those that have a home", () => {
  const homes = new ChunkHomes("first-touch", 4);
  homes.set(5, 9);
  homes.giveInTurn({ first: 2, count: 12 }, [1, 2, 3]);
  assertEquals([0, 4, 8, 12, 16].map((page) => homes.given(page)), [1, 9, 3, 1, 0]);
  assertEquals([1, 2, 3, 9].map((node) => homes.count(node)), [2, 0, 1, 1]);
  assertEquals([homes.givenExtent(0, 99), homes.givenExtent(12, 2)], [4, 2]);
});

Deno.test("ChunkHomes: by auto node 1 is assumed, and what was given is known", () => {
  const homes = new ChunkHomes("auto", 4);
  homes.give({ first: 4, count: 4 }, 1);
  homes.give({ first: 4, count: 8 }, 2);
  assertEquals([0, 4, 8].map((page) => homes.of(page)), [1, 1, 2]);
  assertEquals([0, 4, 8].map((page) => homes.given(page)), [0, 1, 2]);
  assertEquals(homes.extent(0, 16), 8);
  homes.assumeNothing();
  assertEquals([0, 4, 8].map((page) => homes.of(page)), [0, 1, 2]);
});

Deno.test("ChunkHomes: more nodes come and go than entries can tell apart", () => {
  const homes = new ChunkHomes("first-touch");
  for (let node = 2; node < 70_000; node++) {
    homes.set(0, node);
    if (node > 2) homes.takeOver(node - 1, 1);
  }
  assertEquals([homes.of(0), homes.count(69_999)], [69_999, 1]);
});

Deno.test("ChunkHomes: the next page with another home is found, near and far", () => {
  const homes = new ChunkHomes("first-touch", 4);
  assertEquals(homes.nextOther(1, 0, 100), 100);
  homes.set(4, 1);
  homes.set(8, 2);
  homes.set(2 ** 20, 3);
  assertEquals(homes.nextOther(1, 0, 100), 8);
  assertEquals(homes.nextOther(1, 9, 100), 9);
  assertEquals(homes.nextOther(1, 0, 8), 8);
  assertEquals(homes.nextOther(2, 0, 100), 4);
  assertEquals(homes.nextOther(1, 12, 2 ** 28), 2 ** 20);
  assertEquals(homes.nextOther(1, 2 ** 20 + 3, 2 ** 28), 2 ** 20 + 3);
  assertEquals(homes.nextOther(1, 2 ** 20 + 4, 2 ** 28), 2 ** 28);
});

Deno.test("ChunkHomes: a look at a run costs no chunks behind it", () => {
  const homes = new ChunkHomes("auto");
  const last = 511 * 128;
  homes.giveInTurn({ first: 0, count: 512 * 128 }, [1]);
  const look = (first: number): number => {
    const begun = performance.now();
    for (let count = 0; count < 10_000; count++) homes.nextOther(1, first, first + 1);
    return performance.now() - begun;
  };
  const shares = Array.from({ length: 21 }, () => look(0) / look(last)).sort((a, b) => a - b);
  assertEquals(homes.nextOther(1, 0, 128), 128);
  // A look that went on to the end of the table would take hundreds of times as long.
  assert(shares[10]! < 20, `the first chunk takes ${shares[10]} times as long as the last`);
});
