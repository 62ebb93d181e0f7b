/** Pages that are compressed on their way between processes. */

import { assert, assertEquals } from "@std/assert";
import { ProcessCluster, RemoteNode } from "../support/process_cluster.ts";

/** How much of each sort of content there is, in bytes. */
const BYTES = 2 ** 20;
/** From one sort to the next: the pages between are nobody's, so that no run has two sorts. */
const STRIDE = 2 * BYTES;
const SORTS = ["text", "zeros", "noise"] as const;
type Sort = typeof SORTS[number];

/** Starts a directory that asks for compression, or not, and nodes that ask for nothing. */
async function start(cluster: ProcessCluster, nodes: number, compression: boolean) {
  // Short runs, for those that go beyond the end of a sort bring pages that are not counted here.
  const env = { COMPRESSION: compression ? "1" : "0", RUN_PAGES: "4" };
  const directory = cluster.spawnNode(["--directory", "--port=0", "--size=16MiB"], { env });
  const all = [await RemoteNode.ready(directory)];
  while (all.length < nodes) all.push(await cluster.join(all[0]!));
  return all;
}

/** Writes each sort of content, one behind the other, from a byte on; returns their checksums. */
function write(node: RemoteNode, at: number): Promise<number[]> {
  return node.evaluate(
    (node, at, bytes, stride, sorts) => {
      let seed = 1;
      const random = (below: number): number => {
        seed = Math.imul(seed, 1_664_525) + 1_013_904_223 | 0;
        return (seed >>> 8) % below;
      };
      const words = "a node that reads a page has a copy of it until another node writes".split(
        " ",
      );
      return sorts.map((sort, index) => {
        const target = node.memory.subarray(at + index * stride, at + index * stride + bytes);
        if (sort === "text") {
          let text = "";
          while (text.length < bytes) text += `${words[random(words.length)]} `;
          new TextEncoder().encodeInto(text.slice(0, bytes), target);
        } else if (sort === "noise") {
          for (let byte = 0; byte < bytes; byte++) target[byte] = random(256);
        } else {
          // Pages that nobody has written need no bytes at all; these are some that were.
          target.fill(1);
          target.fill(0);
        }
        return target.reduce((sum, byte) => Math.imul(sum, 31) + byte | 0, 0);
      });
    },
    at,
    BYTES,
    STRIDE,
    SORTS,
  );
}

/** Reads what {@linkcode write} wrote; returns the checksums, and the bytes that each sort cost. */
function read(node: RemoteNode, at: number): Promise<{ sum: number; received: number }[]> {
  return node.evaluate(
    (node, at, bytes, stride, sorts) =>
      sorts.map((_, index) => {
        const before = node.stats().bytesReceived;
        const source = node.memory.subarray(at + index * stride, at + index * stride + bytes);
        const sum = source.reduce((sum, byte) => Math.imul(sum, 31) + byte | 0, 0);
        return { sum, received: node.stats().bytesReceived - before };
      }),
    at,
    BYTES,
    STRIDE,
    SORTS,
  );
}

/** Checks that a node reads what another has written; returns the bytes received for each sort. */
async function share(from: RemoteNode, to: RemoteNode, at: number): Promise<Record<Sort, number>> {
  const sums = await write(from, at);
  const found = await read(to, at);
  assertEquals(found.map(({ sum }) => sum), sums);
  const [text, zeros, noise] = found.map(({ received }) => received);
  return { text: text!, zeros: zeros!, noise: noise! };
}

Deno.test("compression: turned on at the directory node, every pair of nodes sends less for the same pages", async () => {
  await using cluster = new ProcessCluster();
  const [first, second, third] = await start(cluster, 3, true);
  const pairs = [[first!, second!], [second!, third!], [third!, first!]] as const;
  for (const [from, to] of pairs) {
    // The first node is the first to write there; the others rewrite what they have had.
    for (const at of [0, 8 * BYTES]) {
      const { text, zeros, noise } = await share(from, to, at);
      const what = JSON.stringify({ from: from.info.id, to: to.info.id, text, zeros, noise });
      assert(text < 0.6 * BYTES, what);
      assert(zeros < BYTES / 50, what);
      assert(noise >= BYTES && noise < 1.05 * BYTES, what);
    }
  }
});

Deno.test("compression: turned off, pages travel as they are", async () => {
  await using cluster = new ProcessCluster();
  const [first, second] = await start(cluster, 2, false);
  const { text, zeros, noise } = await share(second!, first!, 0);
  for (const received of [text, zeros, noise]) {
    assert(received >= BYTES && received < 1.05 * BYTES, `${received} bytes`);
  }
});

Deno.test("compression: pages that several nodes write at once stay whole", async () => {
  await using cluster = new ProcessCluster();
  const nodes = await start(cluster, 3, true);
  const rounds = 300;
  await Promise.all(nodes.map((node) =>
    node.evaluate((node, rounds) => {
      const words = node.view(Int32Array, 0, 4 * 1024);
      for (let round = 0; round < rounds; round++) {
        for (let word = node.id; word < words.length; word += 97) Atomics.add(words, word, 1);
      }
    }, rounds)
  ));
  const wrong = await nodes[1]!.evaluate((node, rounds) => {
    const words = node.view(Int32Array, 0, 4 * 1024);
    return words.findIndex((word, index) => {
      const adders = [1, 2, 3].filter((id) => index >= id && (index - id) % 97 === 0).length;
      return word !== adders * rounds;
    });
  }, rounds);
  assertEquals(wrong, -1);
});
