import { assert, assertEquals, assertFalse } from "@std/assert";
import { CHUNK_PAGES, HolderTable } from "./holders.ts";
import type { NodeId } from "./messages.ts";
import type { PageRun } from "./page.ts";

const LAST_PAGE = 2 ** 28 - 1;

const run = (first: number, count = 1): PageRun => ({ first, count });

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
  holders.set(run(7), [9, 3, 31, 32]);
  assertEquals(holders.owner(7), 9);
  assertEquals(holders.list(7).sort((a, b) => a - b), [3, 9, 31, 32]);
  holders.set(run(7), [4]);
  assertEquals(holders.list(7), [4]);
  holders.clear(run(7));
  assertEquals([holders.owner(7), holders.list(7)], [0, []]);
});

Deno.test("HolderTable: a chunk that was cleared takes no memory, once all of it was", () => {
  const holders = new HolderTable();
  holders.set(run(CHUNK_PAGES - 2, 4), [2, 40]);
  holders.lose(run(3), 5);
  assertEquals(holders.chunks, 2);
  holders.clear(run(CHUNK_PAGES - 2, 4));
  assertEquals([holders.chunks, holders.lostWith(3)], [1, 5], "what is lost is not forgotten");
  holders.clear(run(0, 4 * CHUNK_PAGES));
  assertEquals([holders.chunks, holders.lostWith(3)], [0, 0]);
  holders.add(run(CHUNK_PAGES), 40);
  assertEquals([holders.chunks, holders.list(CHUNK_PAGES)], [1, [40]]);
});

Deno.test("HolderTable: another holder becomes the owner when the owner goes", () => {
  const holders = new HolderTable();
  holders.set(run(0), [9, 3, 40]);
  holders.remove(run(0), 3);
  assertEquals(holders.owner(0), 9);
  holders.remove(run(0), 9);
  assertEquals([holders.owner(0), holders.list(0)], [40, [40]]);
  holders.remove(run(0), 40);
  assertEquals([holders.owner(0), holders.list(0)], [0, []]);
  holders.remove(run(1), 5000);
  assertEquals(holders.list(1), []);
});

Deno.test("HolderTable: what is known stays known when more nodes join than fit into a word", () => {
  const holders = new HolderTable();
  const nodes = [1, 31, 32, 63, 64, 65, 300, 1023];
  holders.set(run(511), [1]);
  holders.set(run(512), [31]);
  for (const node of nodes) holders.add(run(511), node);
  assertEquals(holders.list(511), nodes);
  assertEquals(holders.list(512), [31]);
  assertEquals(holders.list(510), []);
  assert(holders.has(511, 1023));
  assertFalse(holders.has(512, 1023));
  for (const node of nodes) holders.remove(run(511), node);
  assertEquals(holders.list(511), []);
});

Deno.test("HolderTable: pages are alike that the same nodes have, and of which one node is the owner", () => {
  const holders = new HolderTable();
  holders.set(run(500, 600), [2, 40]);
  assertEquals([holders.extent(500, 9_000), holders.extent(600, 128)], [600, 128]);
  holders.set(run(1000), [40, 2]);
  holders.remove(run(900), 40);
  assertEquals([500, 900, 901, 1000, 1001].map((page) => holders.extent(page, 9_000)), [
    400,
    1,
    99,
    1,
    99,
  ]);
  assertEquals([holders.extent(0, 500), holders.extent(0, 501)], [500, 500]);
  assertEquals(holders.extent(1100, LAST_PAGE - 1100), LAST_PAGE - 1100);
});

Deno.test("HolderTable: a run is changed as its pages one by one are, whatever was known of each", () => {
  const holders = new HolderTable();
  const nodes = [1, 2, 3, ...Array.from({ length: 40 }, (_, index) => 100 + index)];
  const known = Array.from({ length: 1600 }, () => ({ owner: 0, nodes: [] as NodeId[], lost: 0 }));
  const slots: NodeId[] = [];
  const give = (page: number, node: NodeId): void => {
    const entry = known[page]!;
    if (!entry.nodes.includes(node)) entry.nodes.push(node);
    entry.nodes.sort((a, b) => slots.indexOf(a) - slots.indexOf(b));
    if (entry.owner === 0) Object.assign(entry, { owner: node, lost: 0 });
  };
  let seed = 1;
  const random = (limit: number): number => {
    seed = Math.imul(seed, 1_664_525) + 1_013_904_223;
    return (seed >>> 8) % limit;
  };
  for (let turn = 0; turn < 400; turn++) {
    const first = random(known.length - 1);
    const count = 1 + random(Math.min(700, known.length - first));
    const node = nodes[random(nodes.length)]!;
    const others = [node, nodes[random(nodes.length)]!];
    const action = random(5);
    const used = action === 0 ? others : action === 1 ? [node] : [];
    for (const one of used) if (!slots.includes(one)) slots.push(one);
    if (action === 0) holders.set(run(first, count), others);
    else if (action === 1) holders.add(run(first, count), node);
    else if (action === 2) holders.remove(run(first, count), node);
    else if (action === 3) holders.lose(run(first, count), node);
    else holders.set(run(first, count), []);
    for (let page = first; page < first + count; page++) {
      const entry = known[page]!;
      if (action !== 1 && action !== 2) Object.assign(entry, { owner: 0, nodes: [], lost: 0 });
      for (const one of used) give(page, one);
      if (action === 2) {
        entry.nodes = entry.nodes.filter((other) => other !== node);
        if (entry.owner === node) entry.owner = entry.nodes[0] ?? 0;
      } else if (action === 3) entry.lost = node;
    }
  }
  const seen = known.map((_, page) => {
    return { owner: holders.owner(page), nodes: holders.list(page), lost: holders.lostWith(page) };
  });
  assertEquals(seen, known);
  const texts = known.map((entry) => JSON.stringify(entry));
  for (const page of texts.keys()) {
    const other = texts.findIndex((text, index) => index > page && text !== texts[page]);
    assertEquals(
      holders.extent(page, texts.length - page),
      (other < 0 ? texts.length : other) - page,
    );
    assertEquals(holders.count(page), known[page]!.nodes.length);
  }
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
  for (const page of [LAST_PAGE, 5, 2000, 511]) holders.set(run(page), [2]);
  holders.set(run(700), [3]);
  const last = LAST_PAGE - LAST_PAGE % CHUNK_PAGES;
  assertEquals(chunksOf(holders, [2]), [0, 1536, last]);
  assertEquals(chunksOf(holders, [2, 3]), [0, 512, 1536, last]);
  assertEquals(chunksOf(holders, [2], 1536), [0]);
  assertEquals(holders.nextChunk(40, LAST_PAGE + 1, [2]), 40);
  holders.remove(run(2000), 2);
  holders.leaveChunk(2000, 2);
  assertEquals(chunksOf(holders, [2]), [0, last]);
  assertEquals(chunksOf(holders, [4]), []);
});

Deno.test("HolderTable: a slot is used again, and its new node has nothing of the former one", () => {
  const holders = new HolderTable();
  holders.set(run(0), [7, 8]);
  holders.set(run(1), [7]);
  for (const page of [0, 1]) holders.remove(run(page), 7);
  holders.leaveChunk(0, 7);
  holders.forget(7);
  assertFalse(holders.knows(7));
  holders.add(run(2), 70_000);
  assertEquals([0, 1, 2].map((page) => holders.list(page)), [[8], [], [70_000]]);
  assertEquals([0, 1, 2].map((page) => holders.owner(page)), [8, 0, 70_000]);
  assertFalse(holders.has(2, 7));
});

Deno.test("HolderTable: after 100,000 nodes have come and gone there is no more of it than after one", () => {
  const holders = new HolderTable();
  for (let node = 1; node <= 100_000; node++) {
    holders.set(run(node % 4), [node]);
    holders.remove(run(node % 4), node);
    holders.forget(node);
  }
  assertEquals(holders.slots, 1);
});

Deno.test("HolderTable: a page is lost until it is given to a node, or to none", () => {
  const holders = new HolderTable();
  for (const page of [0, 1, 2, 600, LAST_PAGE]) holders.lose(run(page), 0xffff_0000);
  assertEquals([holders.owner(1), holders.list(1)], [0, []]);
  holders.set(run(0), [2]);
  holders.add(run(1), 3);
  for (const page of [2, 600]) holders.set(run(page), []);
  assertEquals([0, 1, 2, 600, LAST_PAGE].map((page) => holders.lostWith(page)), [
    0,
    0,
    0,
    0,
    0xffff_0000,
  ]);
  assertEquals(holders.owner(1), 3);
  assertEquals([holders.extent(LAST_PAGE - 1, 2), holders.extent(600, 2)], [1, 2]);
});
