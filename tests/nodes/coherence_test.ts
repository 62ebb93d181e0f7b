/** What programs rely on when several of them use the region at once, seen from real processes. */

import { assertEquals } from "@std/assert";
import { ProcessCluster } from "../support/process_cluster.ts";

for (const nodes of [2, 3, 5]) {
  Deno.test(`coherence: no addition of ${nodes} nodes to one word is lost`, async () => {
    await using cluster = new ProcessCluster();
    const all = await cluster.start(nodes, "--size=64KiB");
    // Each adds until every node has seen others add between two additions of its own often enough.
    const added = await Promise.all(all.map((node) =>
      node.evaluate(
        (node, nodes, moves) => {
          const words = node.view(Int32Array, 0, 2);
          let added = 0;
          let last = -1;
          for (let moved = 0; moved < moves || Atomics.load(words, 1) < nodes; added++) {
            const before = Atomics.add(words, 0, 1);
            if (before !== last + 1 && ++moved === moves) Atomics.add(words, 1, 1);
            last = before;
          }
          return added;
        },
        nodes,
        20,
      )
    ));
    const sum = added.reduce((sum, times) => sum + times);
    for (const node of all) assertEquals(await node.load(0), sum);
  });
}

Deno.test("coherence: nodes take turns by one word", async () => {
  await using cluster = new ProcessCluster();
  const all = await cluster.start(3, "--size=64KiB");
  const turns = 60;
  await Promise.all(all.map((node, index) =>
    node.evaluate(
      async (node, index, turns, nodes) => {
        const words = node.view(Int32Array, 0, 1024);
        for (let turn = index; turn < turns; turn += nodes) {
          while (Atomics.load(words, 0) !== turn) await new Promise((done) => setTimeout(done, 0));
          words[1 + turn] = node.id;
          Atomics.store(words, 0, turn + 1);
        }
      },
      index,
      turns,
      all.length,
    )
  ));
  const order = await all[2]!.evaluate(
    (node, turns) => [...node.view(Int32Array, 4, turns)],
    turns,
  );
  assertEquals(order, Array.from({ length: turns }, (_, turn) => 1 + turn % 3));
});

Deno.test("coherence: what was written before a flag is there after it", async () => {
  await using cluster = new ProcessCluster();
  const [writer, reader] = await cluster.start(2, "--size=1MiB");
  const rounds = 200;
  const writing = writer!.evaluate((node, rounds) => {
    const flag = node.view(Int32Array, 0, 1);
    const data = node.view(Int32Array, 4096, 2048);
    for (let round = 1; round <= rounds; round++) {
      data.fill(round);
      Atomics.store(flag, 0, round);
    }
  }, rounds);
  const stale = await reader!.evaluate((node, rounds) => {
    const flag = node.view(Int32Array, 0, 1);
    const data = node.view(Int32Array, 4096, 2048);
    const found: number[][] = [];
    for (let seen = 0; seen < rounds;) {
      seen = Atomics.load(flag, 0);
      for (const at of [0, 1023, 1024, 2047]) {
        if (data[at]! < seen) found.push([seen, at, data[at]!]);
      }
    }
    return found;
  }, rounds);
  await writing;
  assertEquals(stale, []);
});

Deno.test("coherence: of two nodes that each write a word and read the other's, at least one reads the write", async () => {
  await using cluster = new ProcessCluster();
  const pair = await cluster.start(2, "--size=1MiB");
  const rounds = 300;
  // The words lie on two pages; a third has the round that each is in, for a common start.
  const read = await Promise.all(pair.map((node) =>
    node.evaluate((node, rounds) => {
      const mine = node.view(Int32Array, 4096 * node.id, rounds);
      const other = node.view(Int32Array, 4096 * (3 - node.id), rounds);
      const ready = node.view(Int32Array, 4096 * 4, 4);
      const found: number[] = [];
      for (let round = 0; round < rounds; round++) {
        Atomics.store(ready, node.id, round + 1);
        while (Atomics.load(ready, 3 - node.id) <= round);
        mine[round] = 1;
        found.push(other[round]!);
      }
      return found;
    }, rounds)
  ));
  const both = read[0]!.filter((found, round) => found === 0 && read[1]![round] === 0);
  assertEquals(both, []);
});

Deno.test("coherence: a node that joins late reads what was written before", async () => {
  await using cluster = new ProcessCluster();
  const [first, second] = await cluster.start(2, "--size=16MiB");
  await first!.evaluate((node) =>
    node.view(Int32Array, 0, 1 << 20).forEach((_, i, all) => all[i] = i)
  );
  await second!.evaluate((node) => void node.view(Int32Array, 1 << 21, 4096).fill(7));
  const late = await cluster.join(first!);
  const wrong = await late.evaluate((node) =>
    node.view(Int32Array, 0, 1 << 20)
      .findIndex((word, i) => word !== (i >= 1 << 19 && i < (1 << 19) + 4096 ? 7 : i))
  );
  assertEquals(wrong, -1);
  assertEquals(await late.load(8 << 20), 0, "a page that nobody wrote is zero");
});

Deno.test("coherence: pages that only a leaving node has stay", async () => {
  await using cluster = new ProcessCluster();
  const [first, second, third] = await cluster.start(3, "--size=16MiB");
  await second!.evaluate((node) => void node.view(Int32Array, 0, 1 << 20).fill(5));
  const { code, stderr } = await second!.leave();
  assertEquals([code, stderr], [0, ""]);
  for (const node of [third!, first!]) {
    const wrong = await node.evaluate((node) =>
      node.view(Int32Array, 0, 1 << 20).findIndex((word) => word !== 5)
    );
    assertEquals(wrong, -1);
  }
  const peers = await first!.evaluate((node) => node.peers().map(({ id }) => id));
  assertEquals(peers, [3]);
});
