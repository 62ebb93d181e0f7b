/** Nodes of several processes, each used by several threads. */

import { assertEquals } from "@std/assert";
import { ProcessCluster, type RemoteNode } from "../support/process_cluster.ts";
import type { Procedures } from "./programs/procedures.ts";
import type { Task } from "./programs/attached_worker.ts";
import { startRpcNodes } from "../support/rpc_nodes.ts";

declare const procedures: Procedures;

const WORKER = new URL("programs/attached_worker.ts", import.meta.url).href;
const OUTLIVING_WORKER = new URL("programs/outliving_worker.ts", import.meta.url).href;

/** Has new Workers of a node do something; returns what each answers. */
function perform(
  node: RemoteNode,
  workers: number,
  action: Task["action"],
  count: number,
): Promise<unknown[]> {
  return node.evaluate(
    async (node, url, workers, action, count) => {
      const all = Array.from({ length: workers }, () => new Worker(url, { type: "module" }));
      const answers = all.map((worker) =>
        new Promise<unknown>((resolve, reject) => {
          worker.onmessage = ({ data }) => resolve(data);
          worker.onerror = (event) => reject(new Error(event.message));
          worker.postMessage({ handle: node.handle, action, count } satisfies Task);
        })
      );
      const found = await Promise.all(answers);
      for (const worker of all) worker.terminate();
      return found;
    },
    WORKER,
    workers,
    action,
    count,
  );
}

Deno.test("attached: four threads on each of three nodes count together", async () => {
  await using cluster = new ProcessCluster();
  const nodes = await startRpcNodes(cluster, 3);
  const rounds = 25;
  const ids = await Promise.all(nodes.map((node) => perform(node, 4, "count", rounds)));
  assertEquals(ids, [1, 2, 3].map((id) => Array(4).fill(id)));
  assertEquals(await nodes[1]!.load(0), 3 * 4 * rounds * 100);
  assertEquals(await nodes[2]!.load(4096), 3 * 4 * rounds);
  const ends = await Promise.all(nodes.map((node) => node.leave()));
  assertEquals(ends.map(({ code }) => code), [0, 0, 0]);
});

Deno.test("attached: a thread calls other nodes and its own, and views go by reference", async () => {
  await using cluster = new ProcessCluster();
  const [first, second] = await startRpcNodes(cluster, 2);
  const [there] = await perform(second!, 1, "call", 1);
  assertEquals(there, [first!.process.pid, 1, 1, 1, 1]);
  const [here] = await perform(second!, 1, "call", 2);
  assertEquals(here, [second!.process.pid, 2, 2, 2, 2]);
  // While a thread of it calls, the node serves others, and calls itself.
  assertEquals(await second!.evaluate(() => procedures.add.on(1)(3, 4)), 7);
  assertEquals(await first!.evaluate(() => procedures.add.on(2)(3, 4)), 7);
});

Deno.test("attached: threads of several nodes allocate cells of their own, and find those of a name", async () => {
  await using cluster = new ProcessCluster();
  const nodes = await startRpcNodes(cluster, 3);
  const found = await Promise.all(
    nodes.map((node, index) => perform(node, 3, "allocate", 7 + index)),
  ) as [number, number][][];
  const own = found.flat().map(([offset]) => offset).sort((a, b) => a - b);
  // 8000 bytes take two pages.
  for (const [index, offset] of own.entries()) {
    if (index > 0 && offset < own[index - 1]! + 8192) throw new Error(`they overlap: ${own}`);
  }
  const shared = found.flat().map(([, offset]) => offset);
  assertEquals(new Set(shared).size, 1);
  assertEquals(await nodes[2]!.load(shared[0]!), 9);
  for (const [index, cells] of found.entries()) {
    for (const [offset] of cells) {
      assertEquals(await nodes[0]!.load(offset + 1_999 * 4), 7 + index);
    }
  }
});

Deno.test("attached: calls of a thread that wait, or come later, say that the node is closed", async () => {
  await using cluster = new ProcessCluster();
  const node = await cluster.host();
  const told = await node.evaluate(async (node, url) => {
    const worker = new Worker(url, { type: "module" });
    const heard = () =>
      new Promise<unknown>((resolve, reject) => {
        worker.onmessage = ({ data }) => resolve(data);
        worker.onerror = (event) => reject(new Error(event.message));
      });
    const attached = heard();
    worker.postMessage(node.handle);
    await attached;
    const during = heard();
    await node.close();
    const answers = [await during];
    const after = heard();
    worker.postMessage("closed");
    answers.push(await after);
    worker.terminate();
    return answers;
  }, OUTLIVING_WORKER);
  assertEquals(told, ["NodeClosed", Array(4).fill("NodeClosed")]);
  assertEquals((await node.leave()).code, 0);
});
