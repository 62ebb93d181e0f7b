/** Barriers of so many nodes that a tree gathers them: on real nodes, most of one process. */

import { assert, assertEquals, assertRejects } from "@std/assert";
import { join, type Node, TdsmError } from "@tdsm/runtime";
import { BARRIER_TREE_NODES } from "../../runtime/limits.ts";
import { ProcessCluster, type RemoteNode } from "../support/process_cluster.ts";

const NODES = BARRIER_TREE_NODES + 2;
/** By the shape of the tree this node has the most nodes below it. */
const INNER = 9;
const ROUNDS = 20;

/** What each node does. A process has it as text, so it uses nothing of what is around it here. */
async function meetAgain(node: Node, parties: number, rounds: number): Promise<number> {
  const barrier = node.barrier("phase", parties);
  let last = 0;
  for (let round = 0; round < rounds; round++) if (await barrier.wait()) last++;
  return last;
}

/** Nodes of one process, and one of another in their middle. */
class LargeCluster implements AsyncDisposable {
  readonly #processes = new ProcessCluster();
  readonly nodes: Node[] = [];
  inner!: RemoteNode;

  static async start(): Promise<LargeCluster> {
    const cluster = new LargeCluster();
    const first = await join({ directory: true, port: 0, size: 65_536 });
    cluster.nodes.push(first);
    const { port } = first;
    for (let id = 2; id <= NODES; id++) {
      if (id === INNER) {
        cluster.inner = await cluster.#processes.join({ at: `127.0.0.1:${port}` } as RemoteNode);
      } else cluster.nodes.push(await join({ directoryAddress: `127.0.0.1:${port}` }));
    }
    return cluster;
  }

  /** Every node arrives so many times. Resolves to how many were told that they were the last. */
  async meet(rounds: number): Promise<number> {
    const all = this.nodes.map((node) => meetAgain(node, NODES, rounds));
    const inner = this.inner.evaluate(meetAgain, NODES, rounds);
    return (await Promise.all([...all, inner])).reduce((sum, last) => sum + last, 0);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const node of this.nodes.toReversed()) await node.close();
    await this.#processes[Symbol.asyncDispose]();
  }
}

Deno.test("barriers of more nodes than one gathers: most reports are for others than the directory node, and a node that dies is told of", async () => {
  await using cluster = await LargeCluster.start();
  const [first, second] = cluster.nodes as [Node, Node];
  assertEquals(await cluster.meet(2), 2);
  const before = (await first.stats()).messagesReceived;
  assertEquals(await cluster.meet(ROUNDS), ROUNDS);
  const received = (await first.stats()).messagesReceived - before;
  // Without a tree it would be one for each other node and round.
  assert(received < (NODES - 1) * ROUNDS, `${received} messages`);

  // A thread that gives up has not arrived, and the others can be joined by it later.
  const arrive = (node: Node) => meetAgain(node, NODES, 1);
  const waiting = cluster.nodes.slice(2).map(arrive);
  const late = await assertRejects(
    () => second.barrier("phase", NODES).wait({ timeoutMs: 50 }),
    TdsmError,
  );
  assertEquals(late.code, "TimedOut");
  waiting.push(arrive(first), arrive(second), cluster.inner.evaluate(meetAgain, NODES, 1));
  assertEquals((await Promise.all(waiting)).reduce((sum, last) => sum + last, 0), 1);
  assertEquals(await cluster.meet(4), 4);

  // All arrive but one, which dies; nodes below it in the tree are told as all others are.
  const told = cluster.nodes.map((node) =>
    arrive(node).then(() => "passed", (error) => (error as TdsmError).code)
  );
  cluster.inner.process.kill();
  await cluster.inner.process.exit();
  assertEquals(await Promise.all(told), Array(NODES - 1).fill("PeerLost"));
  const others = cluster.nodes.map((node) => node.barrier("phase", NODES - 1).wait());
  assertEquals((await Promise.all(others)).filter((isLast) => isLast).length, 1);
});
