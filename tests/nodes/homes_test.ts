/** Homes on every node: what programs see of them, and what becomes of pages whose home goes. */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { ProcessCluster, type RemoteNode } from "../support/process_cluster.ts";

const PAGE = 4096;
/** Bytes of a chunk, whose pages have one home. */
const CHUNK = 128 * PAGE;
const PLACEMENTS = ["first-touch", "spread"] as const;

/** How many chunks each node is the home of. */
function homeChunks(nodes: readonly RemoteNode[]): Promise<number[]> {
  return Promise.all(nodes.map((node) => node.evaluate((it) => it.stats().homeChunks)));
}

/** Writes a word to each page from a byte on: its page's number and a salt. */
async function write(node: RemoteNode, from: number, bytes: number, salt: number): Promise<void> {
  await node.evaluate(
    (node, from, bytes, salt) => {
      for (let at = from; at < from + bytes; at += 4096) {
        node.view(Uint32Array, at, 1)[0] = at / 4096 * 1000 + salt;
      }
    },
    from,
    bytes,
    salt,
  );
}

/** How many pages from a byte on do not have what `write` has written. */
function wrong(node: RemoteNode, from: number, bytes: number, salt: number): Promise<number> {
  return node.evaluate(
    (node, from, bytes, salt) => {
      let wrong = 0;
      for (let at = from; at < from + bytes; at += 4096) {
        if (node.view(Uint32Array, at, 1)[0] !== at / 4096 * 1000 + salt) wrong++;
      }
      return wrong;
    },
    from,
    bytes,
    salt,
  );
}

/** Nodes that add to one word until they are told to stop. */
class Adders {
  readonly #nodes: readonly RemoteNode[];
  readonly #added: Promise<number>[];
  readonly #offset: number;

  constructor(nodes: readonly RemoteNode[], offset: number) {
    this.#nodes = nodes;
    this.#offset = offset;
    this.#added = nodes.map((node) =>
      node.evaluate(async (node, offset) => {
        const words = node.view(Int32Array, offset, 1);
        const state = globalThis as { stop?: boolean };
        let added = 0;
        for (; state.stop !== true; added++) {
          Atomics.add(words, 0, 1);
          if (added % 16 === 0) await new Promise((go) => setTimeout(go, 0));
        }
        state.stop = false;
        return added;
      }, offset)
    );
  }

  /** Waits until the word has moved on by so much. */
  async progress(count: number): Promise<void> {
    const [node] = this.#nodes;
    await node!.evaluate(
      async (node, offset, count) => {
        const words = node.view(Int32Array, offset, 1);
        const until = Atomics.load(words, 0) + count;
        while (Atomics.load(words, 0) < until) await new Promise((go) => setTimeout(go, 0));
      },
      this.#offset,
      count,
    );
  }

  /** Has them stop; checks that no addition was lost. */
  async end(): Promise<void> {
    for (const node of this.#nodes) {
      await node.evaluate(() => void ((globalThis as { stop?: boolean }).stop = true));
    }
    const sum = (await Promise.all(this.#added)).reduce((sum, added) => sum + added);
    for (const node of this.#nodes) assertEquals(await node.load(this.#offset), sum);
  }
}

for (const placement of PLACEMENTS) {
  const flag = `--homes=${placement}`;

  Deno.test(`homes: ${placement}: nodes that write and read all pages in turn see what was written`, async () => {
    await using cluster = new ProcessCluster();
    const nodes = await cluster.start(3, "--size=6MiB", flag);
    for (const [index, node] of nodes.entries()) await write(node, index * 4 * CHUNK, 4 * CHUNK, 0);
    const chunks = await homeChunks(nodes);
    // The nodes take turns, whichever of them writes; or each is home of what it has written.
    assertEquals(chunks, [4, 4, 4]);
    for (let round = 1; round <= 3; round++) {
      for (const [index, node] of nodes.entries()) {
        const other = (index + round) % 3 * 4 * CHUNK;
        assertEquals(await wrong(node, other, 4 * CHUNK, round - 1), 0);
        await write(node, other, 4 * CHUNK, round);
      }
    }
    for (const node of nodes) assertEquals(await wrong(node, 0, 12 * CHUNK, 3), 0);
    assertEquals(await homeChunks(nodes), chunks);
  });

  Deno.test(`homes: ${placement}: nodes with less memory than the data keep all of it`, async () => {
    await using cluster = new ProcessCluster();
    const directory = await cluster.host("--size=24MiB", "--memory-limit=10MiB", flag);
    const nodes = [directory];
    while (nodes.length < 4) nodes.push(await cluster.join(directory, "--memory-limit=10MiB"));
    const part = 12 * CHUNK;
    await Promise.all(nodes.map((node, index) => write(node, index * part, part, 7)));
    for (const node of nodes) assertEquals(await wrong(node, 0, 4 * part, 7), 0);
    for (const node of nodes) {
      const { memoryBytes, pagesDropped } = await node.evaluate((it) => it.stats());
      assert(memoryBytes <= 10 * 2 ** 20, `${memoryBytes} bytes`);
      assert(pagesDropped > 0, "it had to drop copies");
    }
  });

  Deno.test(`homes: ${placement}: a node writes more than it and node 1 have room for, and others take the rest over`, async () => {
    await using cluster = new ProcessCluster();
    const limit = "--memory-limit=4MiB";
    const directory = await cluster.host("--size=10MiB", limit, flag);
    const nodes = [directory, await cluster.join(directory, limit)];
    nodes.push(await cluster.join(directory, limit));
    const bytes = 10 * 2 ** 20;
    await write(nodes[2]!, 0, bytes, 3);
    for (const node of nodes) assertEquals(await wrong(node, 0, bytes, 3), 0);
    const { pagesOffloaded } = await nodes[2]!.evaluate((it) => it.stats());
    assert(pagesOffloaded >= 6 * 256, `${pagesOffloaded} pages`);
  });

  Deno.test(`homes: ${placement}: what is freed and allocated again is zeros, whichever node was its home`, async () => {
    await using cluster = new ProcessCluster();
    const nodes = await cluster.start(3, "--size=8MiB", flag);
    for (let round = 0; round < 9; round++) {
      const [found, offset] = await nodes[round % 3]!.evaluate(async (node, round) => {
        const words = await node.alloc(BigUint64Array, 1 << 18);
        const found = words.findIndex((word) => word !== 0n);
        words.fill(BigInt(round + 1));
        return [found, node.offsetOf(words)];
      }, round);
      assertEquals(found, -1, `round ${round}`);
      const seen = await nodes[(round + 1) % 3]!.evaluate(
        async (node, offset, round) => {
          const words = node.view(BigUint64Array, offset, 1 << 18);
          const all = words.every((word) => word === BigInt(round + 1));
          await node.free(words);
          return all;
        },
        offset!,
        round,
      );
      assert(seen, `round ${round}`);
    }
  });

  Deno.test(`homes: ${placement}: a home leaves while others add to a word of its pages`, async () => {
    await using cluster = new ProcessCluster();
    const nodes = await cluster.start(4, "--size=4MiB", flag);
    const [, , , leaver] = nodes;
    // Of every chunk the leaver is the first to need a page.
    await write(leaver!, 0, 4 * 2 ** 20, 5);
    const before = await homeChunks(nodes);
    assertEquals(before, placement === "spread" ? [2, 2, 2, 2] : [0, 0, 0, 8]);
    const rest = nodes.slice(0, 3);
    const offset = 3 * CHUNK + PAGE;
    await leaver!.store(offset, 0);
    const adders = new Adders(rest, offset);
    await adders.progress(100);
    const { code, stderr } = await leaver!.leave();
    assertEquals(code, 0, stderr);
    await adders.progress(100);
    await adders.end();
    // A chunk moves to node 1, and nowhere else.
    const [moved, ...stayed] = before;
    assertEquals((await homeChunks(rest)).slice(1), stayed.slice(0, 2));
    assertEquals((await homeChunks(rest))[0], moved! + before[3]!);
    for (const node of rest) {
      assertEquals(await wrong(node, 0, offset, 5), 0);
      assertEquals(await wrong(node, offset + PAGE, 4 * CHUNK, 5), 0);
    }
  });

  Deno.test(`homes: ${placement}: a home is killed while others add to a word of its pages`, async () => {
    await using cluster = new ProcessCluster();
    const nodes = await cluster.start(4, "--size=4MiB", flag);
    const killed = nodes[3]!;
    const rest = nodes.slice(0, 3);
    // By turns it is the home of the fourth chunk; or it is since it has touched that first.
    const chunk = 3 * CHUNK;
    await killed.store(chunk, 1);
    await write(rest[1]!, chunk, CHUNK, 9);
    assertEquals(await wrong(rest[2]!, chunk, CHUNK, 9), 0);
    const offset = chunk + 5 * PAGE;
    await rest[1]!.store(offset, 0);
    const adders = new Adders(rest, offset);
    await adders.progress(100);
    killed.process.kill();
    await adders.progress(100);
    await adders.end();
    assertEquals(await wrong(rest[0]!, chunk, 5 * PAGE, 9), 0);
    const late = await cluster.join(nodes[0]!);
    assertEquals(await wrong(late, chunk + 6 * PAGE, CHUNK - 6 * PAGE, 9), 0);
  });
}

Deno.test("homes: of a home that is killed only what no other node has is lost, touched or not, and never zero", async () => {
  await using cluster = new ProcessCluster();
  const nodes = await cluster.start(5, "--size=4MiB", "--homes=first-touch");
  const [directory, asker, home, reader, stranger] = nodes;
  await home!.store(2 * CHUNK, 33);
  await home!.store(2 * CHUNK + PAGE, 34);
  assertEquals(await reader!.load(2 * CHUNK + PAGE), 34);
  home!.process.kill();
  await directory!.process.untilPrinted(/Node 3 is lost/);
  for (const [node, offset] of [[asker, 2 * CHUNK], [stranger, 2 * CHUNK + 9 * PAGE]] as const) {
    node!.load(offset).catch(() => {});
    const { code, stderr } = await node!.process.exit();
    assertEquals(code, 70, stderr);
    assertMatch(stderr, /is lost: its only copy was on node 3.*\(PageLost\)/);
  }
  for (const node of [directory!, reader!, await cluster.join(directory!)]) {
    assertEquals(await node.load(2 * CHUNK + PAGE), 34);
    await node.store(2 * CHUNK + PAGE, 34);
  }
});

Deno.test("homes: two homes leave at once, and one is killed, while others go on", async () => {
  await using cluster = new ProcessCluster();
  const nodes = await cluster.start(6, "--size=6MiB", "--homes=first-touch");
  for (const [index, node] of nodes.entries()) await write(node, 2 * index * CHUNK, 2 * CHUNK, 1);
  const [directory, worker, left, alsoLeft, killed, last] = nodes;
  const rest = [directory!, worker!, last!];
  // The last node has all that the one has that is to be killed.
  assertEquals(await wrong(last!, 8 * CHUNK, 2 * CHUNK, 1), 0);
  for (const home of [left!, alsoLeft!, killed!]) {
    await last!.store((home.info.id - 1) * 2 * CHUNK, 0);
  }
  const adders = new Adders(rest, (left!.info.id - 1) * 2 * CHUNK);
  await adders.progress(50);
  const exits = [left!.leave(), alsoLeft!.leave()];
  killed!.process.kill();
  for (const { code, stderr } of await Promise.all(exits)) assertEquals(code, 0, stderr);
  await adders.progress(50);
  await adders.end();
  for (const node of rest) {
    for (const [index] of nodes.entries()) {
      assertEquals(await wrong(node, 2 * index * CHUNK + PAGE, 2 * CHUNK - PAGE, 1), 0);
    }
  }
  assertEquals(await homeChunks(rest), [8, 2, 2]);
});

Deno.test("homes: an allocation has the home that it asks for, wherever it is touched first", async () => {
  await using cluster = new ProcessCluster();
  const nodes = await cluster.start(4, "--size=16MiB", "--homes=first-touch");
  const [directory, second, third, fourth] = nodes;
  const found = await second!.evaluate(async (node) => {
    const cells = await node.alloc(Int32Array, 300_000, { name: "cells", home: 3 });
    const all = await node.alloc(Int32Array, 600_000, { name: "all", home: "spread" });
    const own = await node.alloc(Int32Array, 10, { home: node.id });
    const plain = await node.alloc(Int32Array, 10);
    const before = await node.homeOf(plain);
    for (const view of [cells, all, own, plain]) view.fill(7);
    const homes: (number | undefined)[] = [before];
    for (const view of [cells, cells.subarray(299_999), own, plain]) {
      homes.push(await node.homeOf(view));
    }
    const spread = new Set<number | undefined>();
    for (let at = 0; at < all.length; at += 1 << 17) {
      spread.add(await node.homeOf(all.subarray(at, at + 1)));
    }
    return { homes, spread: [...spread].sort(), offset: node.offsetOf(cells) };
  });
  assertEquals(found.homes, [null as unknown as undefined, 3, 3, 2, 2]);
  assertEquals(found.spread, [1, 2, 3, 4]);
  assertEquals(found.offset % CHUNK, 0);
  // Three chunks of its own, and one or two of those that are spread.
  const chunks = await homeChunks(nodes);
  assert(chunks[2]! >= 4, `${chunks}`);
  for (const node of [directory!, third!, fourth!]) {
    const [sum, home] = await node.evaluate(async (node) => {
      const cells = await node.alloc(Int32Array, 300_000, { name: "cells", home: 3 });
      return [cells.reduce((sum, cell) => sum + cell, 0), await node.homeOf(cells)];
    });
    assertEquals([sum, home], [2_100_000, 3]);
  }
  const refusals = await second!.evaluate(async (node) => {
    const why = (error: { code?: string; message: string; name: string }) =>
      `${error.code ?? error.name}: ${error.message}`;
    return [
      await node.alloc(Int32Array, 1, { home: 9 }).then(() => "", why),
      await node.alloc(Int32Array, 300_000, { name: "cells", home: 2 }).then(() => "", why),
      await node.alloc(Int32Array, 1, { home: 2, packed: true }).then(() => "", why),
      await node.alloc(Int32Array, 1, { home: 0 }).then(() => "", why),
    ];
  });
  assertEquals(refusals, [
    "InvalidOption: Cannot allocate Int32Array of 1 with home 9: node 9 is not there, or leaves",
    'NameConflict: Cannot allocate "cells" as Int32Array of 300000 with home 2: node 2 allocated ' +
    "it as Int32Array of 300000 with home 3; ask for the same, or use another name",
    "RangeError: Cannot allocate packed Int32Array of 1 with home 2: what is packed shares its " +
    "pages, and so their home; leave one of the two out",
    "RangeError: Cannot use 0 as the home of an allocation: give a whole number from 1 to 4294967294",
  ]);
});

Deno.test("homes: what is allocated anew has the home that it asks for, as long as the region has chunks without another", async () => {
  await using cluster = new ProcessCluster();
  const nodes = await cluster.start(2, "--size=2MiB", "--homes=first-touch");
  const homes = await nodes[0]!.evaluate(async (node) => {
    const homes: (number | undefined)[] = [];
    // Four chunks in all: node 1 is soon the home of two, and node 2 of the other two.
    for (const home of [1, 2, 1, 2, 1, 2]) {
      const cells = await node.alloc(Int32Array, 200_000, { home });
      cells.fill(home);
      homes.push(await node.homeOf(cells));
      await node.free(cells);
    }
    return homes;
  });
  assertEquals(homes, [1, 2, 1, 2, 1, 2]);
});

for (const placement of ["directory", "first-touch"]) {
  Deno.test(`homes: ${placement}: allocParts gives all nodes the part of each, with its home there`, async () => {
    await using cluster = new ProcessCluster();
    const nodes = await cluster.start(3, "--size=16MiB", `--homes=${placement}`);
    const found = await Promise.all(nodes.map((node) =>
      node.evaluate(async (node) => {
        await Promise.all([1, 2, 3].map((id) => node.waitForPeer(id)));
        const parts = await node.allocParts(Int32Array, 1000, { name: "rows" });
        parts.get(node.id)!.fill(node.id * 10);
        await node.barrier("written", 3).wait();
        const homes = await Promise.all([...parts.values()].map((part) => node.homeOf(part)));
        return [[...parts.keys()], [...parts.values()].map((part) => part[999]), homes];
      })
    ));
    const homes = placement === "directory" ? [1, 1, 1] : [1, 2, 3];
    for (const node of found) assertEquals(node, [[1, 2, 3], [10, 20, 30], homes]);
  });
}

Deno.test("homes: auto: three nodes have their homes at node 1, and the next ones with them take their part", async () => {
  await using cluster = new ProcessCluster();
  const nodes = await cluster.start(3, "--size=8MiB", "--homes=auto");
  const [directory, second, third] = nodes;
  await write(second!, 0, 2 * CHUNK, 1);
  assertEquals(await wrong(third!, 0, 2 * CHUNK, 1), 0);
  assertEquals((await homeChunks(nodes)).slice(1), [0, 0]);
  // What a program says counts, and who does not know asks node 1 in error.
  const [offset, homes] = await third!.evaluate(async (node) => {
    const cells = await node.alloc(Int32Array, 200_000, { home: 2 });
    const plain = await node.alloc(Int32Array, 10);
    cells.fill(7);
    plain.fill(7);
    return [node.offsetOf(cells), [await node.homeOf(cells), await node.homeOf(plain)]] as const;
  });
  assertEquals(homes, [2, 1]);
  assertEquals(await directory!.load(offset), 7);
  const fourth = await cluster.join(directory!);
  nodes.push(fourth);
  for (const node of nodes) await node.evaluate((node) => node.waitForPeer(4));
  const [, secondBefore] = await homeChunks(nodes);
  const from = 6 * CHUNK;
  await write(fourth, from, 2 * CHUNK, 4);
  await write(second!, from + 2 * CHUNK, CHUNK, 4);
  const chunks = await homeChunks(nodes);
  assertEquals(chunks.slice(1), [secondBefore! + 1, 0, 2]);
  for (const node of nodes) {
    assertEquals(await wrong(node, 0, 2 * CHUNK, 1), 0);
    assertEquals(await wrong(node, from, 3 * CHUNK, 4), 0);
  }
  // Node 1 may become the home of what it reads ahead.
  assertEquals((await homeChunks(nodes)).slice(1), chunks.slice(1));
});

Deno.test("homes: of what two other nodes share node 1 hears one look-up a chunk that is touched and one a part, and no more", async () => {
  await using cluster = new ProcessCluster();
  const nodes = await cluster.start(3, "--size=4MiB", "--homes=first-touch");
  const [directory, second, third] = nodes;
  const counts = () =>
    directory!.evaluate((node) => {
      const { messagesReceived, messagesSent } = node.stats();
      return [messagesReceived, messagesSent];
    });
  const before = await counts();
  for (const [index, node] of [second!, third!].entries()) {
    await write(node, index * 4 * CHUNK, 4 * CHUNK, 1);
  }
  for (let round = 1; round <= 4; round++) {
    for (const node of [second!, third!]) {
      assertEquals(await wrong(node, 0, 8 * CHUNK, round), 0);
      await write(node, 0, 8 * CHUNK, round + (node === third ? 1 : 0));
    }
  }
  // Each asks about the four chunks that it touches first, and once about the other's; or twice, as
  // it asks ahead of its walk before it has the answer. Pings are not about pages.
  const after = await counts();
  const asked = after[0]! - before[0]!;
  assertEquals(after[1]! - before[1]!, asked);
  assert(asked >= 10 && asked <= 12, `${asked} look-ups`);
  const { messagesSent } = await second!.evaluate((node) => node.stats());
  assert(messagesSent > 100, `${messagesSent} messages of node 2`);
});
