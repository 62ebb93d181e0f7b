import { assert, assertEquals, assertFalse } from "@std/assert";
import { CHUNK_PAGES, HolderTable } from "./holders.ts";

const LAST_PAGE = 2 ** 28 - 1;

Deno.test("HolderTable: no node has a page at first", () => {
  const holders = new HolderTable();
  assertEquals(holders.owner(7), 0);
  assertEquals(holders.list(7), []);
  assertFalse(holders.has(7, 1));
  assertFalse(holders.has(7, 1000));
  assertEquals(holders.nextChunk(0, LAST_PAGE + 1, [1]), undefined);
});

Deno.test("HolderTable: the first of those that are set is the owner", () => {
  const holders = new HolderTable();
  holders.set(7, [9, 3, 31, 32]);
  assertEquals(holders.owner(7), 9);
  assertEquals(holders.list(7).sort((a, b) => a - b), [3, 9, 31, 32]);
  holders.set(7, [4]);
  assertEquals(holders.list(7), [4]);
  holders.set(7, []);
  assertEquals([holders.owner(7), holders.list(7)], [0, []]);
});

Deno.test("HolderTable: another holder becomes the owner when the owner goes", () => {
  const holders = new HolderTable();
  holders.set(0, [9, 3, 40]);
  holders.remove(0, 3);
  assertEquals(holders.owner(0), 9);
  holders.remove(0, 9);
  assertEquals([holders.owner(0), holders.list(0)], [40, [40]]);
  holders.remove(0, 40);
  assertEquals([holders.owner(0), holders.list(0)], [0, []]);
  holders.remove(1, 5000);
  assertEquals(holders.list(1), []);
});

Deno.test("HolderTable: what is known stays known when more nodes join than fit into a word", () => {
  const holders = new HolderTable();
  const nodes = [1, 31, 32, 63, 64, 65, 300, 1023];
  holders.set(511, [1]);
  holders.set(512, [31]);
  for (const node of nodes) holders.add(511, node);
  assertEquals(holders.list(511), nodes);
  assertEquals(holders.list(512), [31]);
  assertEquals(holders.list(510), []);
  assert(holders.has(511, 1023));
  assertFalse(holders.has(512, 1023));
  for (const node of nodes) holders.remove(511, node);
  assertEquals(holders.list(511), []);
});

Deno.test("HolderTable: pages are the same when the same nodes have them, and one of them owns them", () => {
  const holders = new HolderTable();
  holders.set(0, [2, 40]);
  holders.set(600, [2, 40]);
  holders.set(2, [40, 2]);
  holders.set(3, [2]);
  assert(holders.same(0, 600));
  assertFalse(holders.same(0, 2));
  assertFalse(holders.same(0, 3));
  assert(holders.same(100, LAST_PAGE));
});

/** The first page that {@linkcode HolderTable.nextChunk} finds in each chunk. */
function chunksOf(holders: HolderTable, nodes: number[], end = LAST_PAGE + 1): number[] {
  const found: number[] = [];
  const next = (start: number) => holders.nextChunk(start, end, nodes);
  for (
    let page = next(0);
    page !== undefined;
    page = next(page - page % CHUNK_PAGES + CHUNK_PAGES)
  ) {
    found.push(page);
  }
  return found;
}

Deno.test("HolderTable: the chunks with a node's pages are found in order, however they were touched", () => {
  const holders = new HolderTable();
  for (const page of [LAST_PAGE, 5, 2000, 511]) holders.set(page, [2]);
  holders.set(700, [3]);
  const last = LAST_PAGE - LAST_PAGE % CHUNK_PAGES;
  assertEquals(chunksOf(holders, [2]), [0, 1536, last]);
  assertEquals(chunksOf(holders, [2, 3]), [0, 512, 1536, last]);
  assertEquals(chunksOf(holders, [2], 1536), [0]);
  assertEquals(holders.nextChunk(40, LAST_PAGE + 1, [2]), 40);
  holders.remove(2000, 2);
  holders.leaveChunk(2000, 2);
  assertEquals(chunksOf(holders, [2]), [0, last]);
  assertEquals(chunksOf(holders, [4]), []);
});

Deno.test("HolderTable: a slot is used again, and its new node has nothing of the former one", () => {
  const holders = new HolderTable();
  holders.set(0, [7, 8]);
  holders.set(1, [7]);
  for (const page of [0, 1]) holders.remove(page, 7);
  holders.leaveChunk(0, 7);
  holders.forget(7);
  assertFalse(holders.knows(7));
  holders.add(2, 70_000);
  assertEquals([0, 1, 2].map((page) => holders.list(page)), [[8], [], [70_000]]);
  assertEquals([0, 1, 2].map((page) => holders.owner(page)), [8, 0, 70_000]);
  assertFalse(holders.has(2, 7));
});

Deno.test("HolderTable: after 100,000 nodes have come and gone there is no more of it than after one", () => {
  const holders = new HolderTable();
  for (let node = 1; node <= 100_000; node++) {
    holders.set(node % 4, [node]);
    holders.remove(node % 4, node);
    holders.forget(node);
  }
  assertEquals(holders.slots, 1);
});

Deno.test("HolderTable: a page is lost until it is written, given to a node, or forgotten", () => {
  const holders = new HolderTable();
  for (const page of [0, 1, 2, 600, LAST_PAGE]) holders.lose(page, 0xffff_0000);
  assertEquals([holders.owner(1), holders.list(1)], [0, []]);
  holders.set(0, [2]);
  holders.add(1, 3);
  holders.forgetLoss({ first: 2, count: 1000 });
  assertEquals([0, 1, 2, 600, LAST_PAGE].map((page) => holders.lostWith(page)), [
    0,
    0,
    0,
    0,
    0xffff_0000,
  ]);
  assertEquals(holders.owner(1), 3);
  assertFalse(holders.same(3, LAST_PAGE));
  assert(holders.same(3, 600));
});

Deno.test("HolderTable: what is known of a page's migration is kept, whichever node has the page", () => {
  const holders = new HolderTable();
  assertEquals(holders.migration(7), 0);
  holders.set(7, [2]);
  holders.setMigration(7, 127);
  holders.set(7, [1023]);
  assertEquals([6, 7, 8].map((page) => holders.migration(page)), [0, 127, 0]);
});
