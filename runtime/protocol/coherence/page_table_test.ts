import { assert, assertEquals, assertFalse } from "@std/assert";
import { PageTable } from "./page_table.ts";

const LAST_PAGE = 2 ** 28 - 1;

Deno.test("PageTable: a page has no state until it is given one", () => {
  const table = new PageTable();
  assertEquals([table.get(0), table.get(LAST_PAGE)], [0, 0]);
  assertEquals([...table.entries()], []);
});

Deno.test("PageTable: a run of pages is filled across chunks, and nothing beside it", () => {
  const table = new PageTable();
  table.fill(4094, 4100, 2);
  assertEquals([4093, 4094, 4095, 4096, 8193, 8194].map((page) => table.get(page)), [
    0,
    2,
    2,
    2,
    2,
    0,
  ]);
  table.fill(4095, 4098, 0);
  assertEquals([...table.entries()], [[4094, 2], [8193, 2]]);
});

Deno.test("PageTable: pages at both ends of the largest region cost two chunks, and clearing costs none", () => {
  const table = new PageTable();
  table.fill(0, LAST_PAGE + 1, 0);
  table.fill(0, 1, 1);
  table.fill(LAST_PAGE, 1, 2);
  assertEquals([...table.entries()], [[0, 1], [LAST_PAGE, 2]]);
});

Deno.test("PageTable: pages are counted by what they have, whatever they had before", () => {
  const table = new PageTable();
  const counts = () => [table.count(1), table.count(2)];
  table.fill(4000, 200, 1);
  assertEquals(counts(), [200, 0]);
  table.fill(4090, 10, 2);
  table.fill(4090, 10, 2);
  assertEquals(counts(), [190, 10]);
  table.fill(0, LAST_PAGE + 1, 0);
  assertEquals(counts(), [0, 0]);
});

Deno.test("PageTable: pages of a run are counted by what they have, and none beside it", () => {
  const table = new PageTable();
  for (let page = 4000; page < 4200; page++) table.fill(page, 1, 1 + page % 2);
  table.fill(LAST_PAGE, 1, 2);
  const counts = (first: number, count: number) => table.countsIn({ first, count }, 1, 2);
  assertEquals(counts(0, LAST_PAGE + 1), [100, 101]);
  assertEquals(counts(4001, 100), [50, 50]);
  assertEquals(counts(4095, 1), [0, 1]);
  assertEquals([counts(4199, 2), counts(5000, 8000), counts(LAST_PAGE, 5)], [
    [0, 1],
    [0, 0],
    [0, 1],
  ]);
});

Deno.test("PageTable: the next page with one of some bytes is found in ascending order, and around", () => {
  const table = new PageTable();
  assertEquals(table.next([1, 2], 0), undefined);
  for (const [page, value] of [[9_000, 1], [5, 2], [2 ** 28 - 1, 1], [6, 3]] as const) {
    table.fill(page, 1, value);
  }
  const walk = [0];
  for (let turn = 0; turn < 4; turn++) walk.push(table.next([1, 2], walk.at(-1)! + 1)!);
  assertEquals(walk, [0, 5, 9_000, 2 ** 28 - 1, 5]);
  assertEquals([table.next([3], 7), table.next([3], 6), table.next([4], 0)], [6, 6, undefined]);
});

Deno.test("PageTable: a run is changed by stretches of one byte, and says whether any byte changed", () => {
  const table = new PageTable();
  table.fill(4090, 9, 2);
  table.fill(4098, 1, 1);
  const seen: number[] = [];
  const change = (from: number, to: number) =>
    table.change({ first: 4088, count: 20 }, (value) => {
      seen.push(value);
      return value === from ? to : value;
    });
  assert(change(2, 3));
  assertEquals(seen, [0, 2, 2, 1, 0]);
  assertEquals([...table.entries()].map(([, value]) => value), [3, 3, 3, 3, 3, 3, 3, 3, 1]);
  assertFalse(change(2, 4));
  assertEquals([table.count(3), table.count(1, 2, 3), table.size], [8, 9, 9]);
});

Deno.test("PageTable: an extent ends where the byte changes, and no further than asked", () => {
  const table = new PageTable();
  table.fill(100, 9_000, 7);
  table.fill(5_000, 1, 0);
  const extents = [[0, 50], [0, 500], [100, 9_999], [5_000, 9], [5_001, 9_999], [9_100, 2 ** 27]];
  assertEquals(extents.map(([first, limit]) => table.extent(first!, limit!)), [
    50,
    100,
    4_900,
    1,
    4_099,
    2 ** 27,
  ]);
});
