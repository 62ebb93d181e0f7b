/** What becomes of memory that is freed, on every node that had a copy of it. */

import { assert, assertEquals } from "@std/assert";
import { ProcessCluster, type RemoteNode } from "../support/process_cluster.ts";

const MIB = 2 ** 20;
const GIB = 2 ** 30;
/** What nodes may have beside the memory that a test frees: pages that a walk asked for ahead. */
const NEXT_TO_NOTHING_BYTES = MIB;

/** Allocates bytes; returns where they are, and the first that is not zero, or -1. */
function alloc(node: RemoteNode, bytes: number): Promise<[offset: number, dirty: number]> {
  return node.evaluate(async (node, bytes) => {
    const view = await node.alloc(BigUint64Array, bytes / 8);
    return [node.offsetOf(view), view.findIndex((word) => word !== 0n)];
  }, bytes);
}

async function free(node: RemoteNode, offset: number, bytes: number): Promise<void> {
  await node.evaluate(
    (node, offset, bytes) => node.free(node.at(BigUint64Array, offset, bytes / 8)),
    offset,
    bytes,
  );
}

/** Waits until a node has given back all memory of pages but a little. */
async function untilGivenBack(node: RemoteNode, most: number): Promise<void> {
  await node.evaluate(async (node, most) => {
    const bytes = () => {
      const { memoryBytes, pagesShared, pagesExclusive, pagesDead } = node.stats();
      return Math.max(memoryBytes, (pagesShared + pagesExclusive + pagesDead) * node.pageSize);
    };
    while (bytes() > most) await new Promise((go) => setTimeout(go, 10));
  }, most);
}

Deno.test("free: what three nodes have touched is given back by each of them, and is zeros again", async () => {
  await using cluster = new ProcessCluster();
  const nodes = await cluster.start(3, "--size=1GiB");
  const bytes = 256 * MIB;
  const [offset] = await nodes[1]!.evaluate(async (node, bytes) => {
    const view = await node.alloc(BigUint64Array, bytes / 8);
    view.fill(1n);
    return [node.offsetOf(view)];
  }, bytes);
  for (const reader of [nodes[0]!, nodes[2]!]) {
    const found = await reader.evaluate(
      (node, offset, bytes) => {
        const view = node.at(BigUint64Array, offset, bytes / 8);
        let sum = 0;
        for (let word = 0; word < view.length; word += 512) sum += Number(view[word]);
        return [sum, node.stats().memoryBytes >= bytes];
      },
      offset!,
      bytes,
    );
    assertEquals(found, [bytes / 4096, true]);
  }
  await free(nodes[2]!, offset!, bytes);
  for (const node of nodes) await untilGivenBack(node, NEXT_TO_NOTHING_BYTES);
  for (const node of nodes) {
    const [again, dirty] = await alloc(node, bytes);
    assertEquals([again, dirty], [offset, -1]);
    await free(node, offset!, bytes);
  }
});

Deno.test("free: what is allocated again at once is zeros, and each node sees what is written then", async () => {
  await using cluster = new ProcessCluster();
  const nodes = await cluster.start(3, "--size=16MiB");
  const rounds = 40;
  for (let round = 1; round <= rounds; round++) {
    const bytes = round % 2 === 0 ? 4 * MIB : 4096;
    const [offset, dirty] = await alloc(nodes[round % 3]!, bytes);
    assertEquals(dirty, -1, `round ${round}`);
    const sums = await Promise.all(
      nodes.map((node) =>
        node.evaluate(
          async (node, offset, bytes, name) => {
            const words = node.at(BigUint64Array, offset, bytes / 8);
            for (let word = node.id - 1; word < words.length; word += 4) {
              words[word] = BigInt(node.id);
            }
            await node.barrier(name, 3).wait();
            let sum = 0;
            for (let word = 0; word < words.length; word += 64) {
              for (let next = word; next < word + 4; next++) sum += Number(words[next]);
            }
            await node.barrier(name, 3).wait();
            return sum;
          },
          offset,
          bytes,
          `round ${round}`,
        )
      ),
    );
    assertEquals(sums, Array(3).fill(bytes / 512 * 6), `round ${round}`);
    await free(nodes[(round + 1) % 3]!, offset, bytes);
  }
  for (const node of nodes) await untilGivenBack(node, 0);
});

Deno.test("free: an array that a node needs again and again stays where it is, and is zeros each time", async () => {
  await using cluster = new ProcessCluster();
  const nodes = await cluster.start(3, "--size=16MiB");
  for (const node of nodes) {
    const [misses, dirty] = await node.evaluate(async (node, bytes) => {
      const requests = () => node.stats().writeMisses + node.stats().readMisses;
      let [dirty, before] = [0, 0];
      for (let turn = 0; turn < 200; turn++) {
        // The first turns find what other nodes have had.
        if (turn === 2) before = requests();
        const words = await node.alloc(BigUint64Array, bytes / 8);
        dirty += words.filter((word) => word !== 0n).length;
        words.fill(BigInt(turn + 1));
        await node.free(words);
      }
      return [requests() - before, dirty];
    }, 256 * 1024);
    assertEquals(dirty, 0);
    // Should a beat or two pass within a turn, its pages are touched anew, by walks.
    assert(misses! < 200, `${misses} misses for 200 arrays of 64 pages`);
  }
  for (const node of nodes) await untilGivenBack(node, 0);
});

Deno.test("free: names that all nodes allocate and free in turn are zeros for the first of them", async () => {
  await using cluster = new ProcessCluster();
  const nodes = await cluster.start(3, "--size=16MiB");
  const totals = await Promise.all(nodes.map((node) =>
    node.evaluate(async (node) => {
      let [total, most] = [0, 0];
      for (let round = 0; round < 60; round++) {
        const cells = await node.alloc(Int32Array, 50_000, { name: "cells" });
        Atomics.add(cells, 0, 1);
        for (let at = 1024; at < cells.length; at += 1024) cells[at] = node.id;
        await node.barrier("written", 3).wait();
        total += Atomics.load(cells, 0);
        most = Math.max(most, node.stats().memoryBytes);
        await node.barrier("read", 3).wait();
        if (round % 3 + 1 === node.id) await node.free(cells);
        await node.barrier("freed", 3).wait();
      }
      return [total, most];
    })
  ));
  for (const [total, most] of totals) {
    assertEquals(total, 60 * 3);
    assert(most! <= 2 * 200_704, `${most} bytes, for one array of 200,704`);
  }
});

Deno.test("free: of a region of 1 TiB only what was touched is cleared, and no page moves for the rest", async () => {
  await using cluster = new ProcessCluster();
  const nodes = await cluster.start(2, "--size=1TiB");
  const moved = async (): Promise<number[]> => {
    const all = nodes.map((node) =>
      node.evaluate((node) => {
        const { faults, pagesReceived, pagesZero, pagesInvalidated, memoryBytes } = node.stats();
        return [faults, pagesReceived, pagesZero, pagesInvalidated, memoryBytes];
      })
    );
    return (await Promise.all(all)).flat();
  };
  const allocWhole = (node: RemoteNode, gib: number): Promise<number> =>
    node.evaluate(
      async (node, bytes) => node.offsetOf(await node.alloc(Uint8Array, bytes)),
      gib * GIB,
    );
  const freeWhole = (node: RemoteNode, offset: number, gib: number): Promise<void> =>
    node.evaluate(
      (node, offset, bytes) => node.free(node.at(Uint8Array, offset, bytes)),
      offset,
      gib * GIB,
    );
  const before = await moved();
  const half = await allocWhole(nodes[1]!, 512);
  await freeWhole(nodes[1]!, half, 512);
  const most = await allocWhole(nodes[1]!, 768);
  assertEquals([half, most], [512 * GIB, 256 * GIB]);
  assertEquals(await moved(), before);
  // Touched here and there, freed and given out anew at once: a fill of what is behind would never
  // end.
  for (const at of [most, most + 300 * GIB, 1024 * GIB - 4]) {
    for (const node of nodes) await node.store(at, 7);
  }
  await freeWhole(nodes[1]!, most, 768);
  assertEquals(await allocWhole(nodes[1]!, 768), most);
  for (const node of nodes) await untilGivenBack(node, 0);
  for (const at of [most, most + 300 * GIB, 1024 * GIB - 4]) {
    assertEquals(await nodes[0]!.load(at), 0);
  }
});

Deno.test("free: what a node had that was killed is given out as zeros, at once", async () => {
  await using cluster = new ProcessCluster();
  const nodes = await cluster.start(3, "--size=16MiB");
  const bytes = 8 * MIB;
  const [offset] = await alloc(nodes[1]!, bytes);
  await nodes[1]!.evaluate(
    (node, offset, bytes) => {
      node.at(Uint8Array, offset, bytes).fill(1);
    },
    offset,
    bytes,
  );
  const freed = free(nodes[2]!, offset, bytes);
  nodes[1]!.process.kill();
  await freed;
  assertEquals(await alloc(nodes[2]!, bytes), [offset, -1]);
});
