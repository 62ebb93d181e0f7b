/**
 * Threads that wait at a barrier are told when a node that takes part in it is gone, and are not
 * disturbed otherwise.
 */

import { assertEquals, assertMatch } from "@std/assert";
import { ProcessCluster, RemoteError, type RemoteNode } from "../support/process_cluster.ts";

/** Arrives at a barrier; resolves to "passed", or to the code and the message of the error. */
async function arrive(node: RemoteNode, parties: number, name = "phase"): Promise<string> {
  try {
    await node.evaluate(
      async (node, name, parties) => void await node.barrier(name, parties).wait(),
      name,
      parties,
    );
    return "passed";
  } catch (error) {
    if (!(error instanceof RemoteError)) throw error;
    return `${error.code}: ${error.message}`;
  }
}

async function kill({ process }: RemoteNode): Promise<void> {
  process.kill();
  await process.exit();
}

const LOST_3 = /PeerLost.*Cannot wait at barrier "phase" of 3 parties: node 3 .* is gone/;

Deno.test("lost party: a node that dies before it ever arrived", async () => {
  await using cluster = new ProcessCluster();
  const [first, second, third] = await cluster.start(3, "--size=64KiB");
  const waiting = arrive(first!, 3);
  await kill(third!);
  assertMatch(await cluster.bounded("both parties", arrive(second!, 3)), LOST_3);
  assertMatch(await waiting, LOST_3);
  // They go on, each on its own.
  assertEquals(await Promise.all([first!, second!].map((node) => arrive(node, 2))), [
    "passed",
    "passed",
  ]);
});

Deno.test("lost party: a node that took part in the last round dies, or leaves", async () => {
  for (const go of [kill, (node: RemoteNode) => node.leave()]) {
    await using cluster = new ProcessCluster();
    const nodes = await cluster.start(3, "--size=64KiB");
    const round = await Promise.all(nodes.map((node) => arrive(node, 3)));
    assertEquals(round, ["passed", "passed", "passed"]);
    const waiting = arrive(nodes[0]!, 3);
    await go(nodes[2]!);
    assertMatch(await waiting, LOST_3);
    assertMatch(await arrive(nodes[1]!, 3), LOST_3);
  }
});

Deno.test("lost party: a node that is no party goes, and none of the others notices", async () => {
  await using cluster = new ProcessCluster();
  const [first, second, third] = await cluster.start(3, "--size=64KiB");
  const waiting = arrive(first!, 2);
  await kill(third!);
  await first!.evaluate(async (node) => {
    while (node.peers().length > 1) await new Promise((done) => setTimeout(done, 10));
  });
  assertEquals(await arrive(second!, 2), "passed");
  assertEquals(await waiting, "passed");
});
