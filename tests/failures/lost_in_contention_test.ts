/**
 * A node is killed at a random moment while all nodes contend for one page. Any node may have the
 * page then; but each of the others must either go on, or end and say what is lost: none may hang.
 */

import { assertEquals, assertMatch } from "@std/assert";
import { ProcessCluster, type RemoteNode } from "../support/process_cluster.ts";

const ROUNDS = 6;

/** Adds to one word until another node sets the word beside it; returns how often. */
function contend(node: RemoteNode): Promise<number> {
  return node.evaluate(async (node) => {
    const words = node.view(Int32Array, 0, 2);
    let added = 0;
    do {
      Atomics.add(words, 0, 1);
      // The engine has a thread of its own; this lets the program be told that its node failed.
      if (added++ % 64 === 0) await new Promise((done) => setTimeout(done, 0));
    } while (Atomics.load(words, 1) === 0);
    return added;
  });
}

/** Waits until a node has ended, and checks that it said what it lost. */
async function assertEnded({ process }: RemoteNode): Promise<void> {
  const { code, stderr } = await process.exit();
  assertEquals(code, 70, stderr);
  assertMatch(stderr, /Page 0 .* is lost: its only copy was on node \d|DirectoryLost/);
}

for (const victim of [1, 4]) {
  const role = victim === 1 ? "the directory" : "another node";
  Deno.test(`lost in contention: ${role}`, async () => {
    for (let round = 1; round <= ROUNDS; round++) {
      await using cluster = new ProcessCluster();
      const all = await cluster.start(4, "--size=64KiB");
      const calls = all.map(contend);
      for (const call of calls) call.catch(() => {});
      // Not before it contends, and then at another moment in each round.
      const { process } = all[victim - 1]!;
      const watcher = all[victim === 1 ? 1 : 0]!;
      await watcher.evaluate(async (node, least) => {
        const words = node.view(Int32Array, 0, 1);
        while (Atomics.load(words, 0) < least) await new Promise((done) => setTimeout(done, 1));
      }, 500 * round);
      process.kill();
      await process.exit();
      const others = all.filter(({ info }) => info.id !== victim);
      const stops = others.map((node) => node.store(4, 1));
      await Promise.all(others.map(async (node, index) => {
        const outcome = await Promise.allSettled([stops[index]!, calls[node.info.id - 1]!]);
        const failed = outcome.some(({ status }) => status === "rejected");
        // Without a directory node every node ends, even one that had the page and could go on for
        // a while.
        if (failed || victim === 1) await assertEnded(node);
      }));
    }
  });
}
