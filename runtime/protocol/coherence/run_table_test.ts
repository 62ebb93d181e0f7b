import { assert, assertEquals, assertFalse } from "@std/assert";
import type { PageRun } from "./page.ts";
import { RunTable } from "./run_table.ts";

const LAST_PAGE = 2 ** 28 - 1;

function setUp(...runs: (readonly [first: number, count: number])[]) {
  const table = new RunTable<PageRun>();
  const added = runs.map(([first, count]) => ({ first, count }));
  for (const run of added) table.add(run);
  return { table, added };
}

Deno.test("RunTable: a run is found by each of its pages, and by no other", () => {
  const { table, added } = setUp([100, 128], [0, 1], [LAST_PAGE, 1]);
  for (const [page, run] of [[100, 0], [127, 0], [128, 0], [227, 0], [0, 1], [LAST_PAGE, 2]]) {
    assertEquals(table.at(page!), added[run!]);
  }
  for (const page of [1, 99, 228, LAST_PAGE - 1]) assertEquals(table.at(page), undefined);
});

Deno.test("RunTable: a run over whole chunks is found in all of them, until it is deleted", () => {
  const { table, added } = setUp([127, 2 ** 20]);
  for (const page of [127, 128, 5000, 2 ** 20 - 1, 2 ** 20 + 126]) {
    assertEquals(table.at(page), added[0]);
    assertEquals(table.next(page, 2 ** 21), page);
  }
  for (const page of [126, 2 ** 20 + 127]) assertEquals(table.at(page), undefined);
  assertEquals(table.next(0, 2 ** 21), 127);
  table.delete(added[0]!);
  assertEquals(table.next(0, 2 ** 21), 2 ** 21);
  table.add({ first: 130, count: 1 });
  assertEquals([128, 130, 131].map((page) => table.at(page)?.first), [undefined, 130, undefined]);
});

Deno.test("RunTable: runs come in the order in which they were added", () => {
  const { table, added } = setUp([9, 2], [0, 1], [5, 1], [20, 1]);
  table.delete(added[1]!);
  table.add(added[1]!);
  table.delete(added[3]!);
  table.delete(added[0]!);
  assertEquals([...table.values()].map(({ first }) => first), [5, 0]);
  assertEquals(table.size, 2);
});

Deno.test("RunTable: a run may be deleted, and others added, while all are looked at", () => {
  const { table } = setUp([0, 1], [1, 1], [2, 1]);
  const seen: number[] = [];
  for (const run of table.values()) {
    seen.push(run.first);
    table.delete(run);
    if (run.first === 1) table.add({ first: 7, count: 1 });
  }
  assertEquals(seen, [0, 1, 2, 7]);
  assertEquals([table.size, table.at(7)], [0, undefined]);
});

Deno.test("RunTable: several runs may be deleted at once while all are looked at", () => {
  const { table, added } = setUp([0, 1], [1, 1], [2, 1], [3, 1], [4, 1]);
  const seen: number[] = [];
  for (const run of table.values()) {
    seen.push(run.first);
    if (run.first !== 2) continue;
    for (const index of [2, 1, 3, 0]) table.delete(added[index]!);
    table.add({ first: 9, count: 1 });
  }
  assertEquals(seen, [0, 1, 2, 4, 9]);
});

Deno.test("RunTable: the next page of a run is found across chunks, and no further than asked", () => {
  const { table } = setUp([127, 2], [1000, 1]);
  assertEquals([table.next(0, 300), table.next(128, 300), table.next(129, 1200)], [127, 128, 1000]);
  assertEquals([table.next(0, 100), table.next(129, 1000), table.next(1001, 9000)], [
    100,
    1000,
    9000,
  ]);
});

Deno.test("RunTable: a run counts as added until it is deleted, and another of its pages does not", () => {
  const { table, added: [run] } = setUp([3, 4]);
  assert(table.has(run!));
  assertFalse(table.has({ first: 3, count: 4 }));
  table.delete(run!);
  assertFalse(table.has(run!));
  assertEquals(table.next(0, 1000), 1000);
});
