import { assert, assertEquals, assertFalse } from "@std/assert";
import { HolderTable } from "./holders.ts";

const LAST_PAGE = 2 ** 28 - 1;

Deno.test("HolderTable: no node has a page at first", () => {
  const holders = new HolderTable();
  assertEquals(holders.owner(7), 0);
  assertEquals(holders.list(7), []);
  assertFalse(holders.has(7, 1));
  assertFalse(holders.has(7, 1000));
  assertEquals(holders.next(0, 1), undefined);
});

Deno.test("HolderTable: the first of those that are set is the owner", () => {
  const holders = new HolderTable();
  holders.set(7, [9, 3, 31, 32]);
  assertEquals(holders.owner(7), 9);
  assertEquals(holders.list(7), [3, 9, 31, 32]);
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

Deno.test("HolderTable: a node's pages are found in order, however they were touched", () => {
  const holders = new HolderTable();
  for (const page of [LAST_PAGE, 5, 2000, 511]) holders.set(page, [2]);
  holders.set(6, [3]);
  const found: number[] = [];
  for (let page = holders.next(0, 2); page !== undefined; page = holders.next(page + 1, 2)) {
    found.push(page);
  }
  assertEquals(found, [5, 511, 2000, LAST_PAGE]);
  assertEquals([...holders.pages()].sort((a, b) => a - b), [5, 6, 511, 2000, LAST_PAGE]);
});

Deno.test("HolderTable: what is known of a page's migration is kept, whichever node has the page", () => {
  const holders = new HolderTable();
  assertEquals(holders.migration(7), 0);
  holders.set(7, [2]);
  holders.setMigration(7, 127);
  holders.set(7, [1023]);
  assertEquals([6, 7, 8].map((page) => holders.migration(page)), [0, 127, 0]);
});
