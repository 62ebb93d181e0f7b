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

/** The same until a node is gone. Resolves to how many rounds it has passed. */
async function meetUntilLost(
  node: Node,
  parties: number,
  passed?: (rounds: number) => void,
): Promise<number> {
  const barrier = node.barrier("phase", parties);
  for (let rounds = 0;;) {
    try {
      await barrier.wait();
    } catch (error) {
      if ((error as TdsmError).code === "PeerLost") return rounds;
      throw error;
    }
    rounds++;
    passed?.(rounds);
  }
}

/** Nodes of one process, and one of another in their middle. */
class LargeCluster implements AsyncDisposable {
  readonly #processes = new ProcessCluster();
  readonly nodes: Node[] = [];
  inner!: RemoteNode;

  static async start(nodes: number): Promise<LargeCluster> {
    const cluster = new LargeCluster();
    const first = await join({ directory: true, port: 0, size: 65_536 });
    cluster.nodes.push(first);
    const { port } = first;
    for (let id = 2; id <= nodes; id++) {
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

  /** Waits for all, but not for ever. */
  all<Value>(what: string, ends: readonly Promise<Value>[]): Promise<Value[]> {
    return this.#processes.bounded(what, Promise.all(ends));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const node of this.nodes.toReversed()) await node.close();
    await this.#processes[Symbol.asyncDispose]();
  }
}

Deno.test("barriers of more nodes than one gathers: most reports are for others than the directory node, and a node that dies is told of", async () => {
  await using cluster = await LargeCluster.start(NODES);
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

Deno.test("barriers of more nodes than one gathers: in whichever round a node leaves or is killed, all others have passed as many, and are told", async () => {
  const parties = BARRIER_TREE_NODES + 4;
  await using cluster = await LargeCluster.start(parties);
  const below = (bound: number) => Math.floor(Math.random() * bound);

  // There is a tree from the third round on.
  const rounds = 3 + below(30);
  const leaver = cluster.nodes.splice(1 + below(cluster.nodes.length - 1), 1)[0]!;
  const who = `node ${leaver.id} leaves behind round ${rounds}`;
  const passed = await cluster.all(who, [
    ...cluster.nodes.map((node) => meetUntilLost(node, parties)),
    cluster.inner.evaluate(meetUntilLost, parties),
    meetAgain(leaver, parties, rounds).then(async () => (await leaver.close(), rounds)),
  ]);
  assertEquals(passed, Array(parties).fill(rounds), who);

  // What the others are in the middle of when the process is killed, nobody knows.
  const killedBehind = 3 + below(30);
  const doomed = cluster.inner.evaluate(meetUntilLost, parties - 1).catch(() => -1);
  const left = await cluster.all(
    `node ${INNER} is killed behind round ${killedBehind}`,
    cluster.nodes.map((node, index) =>
      meetUntilLost(node, parties - 1, (round) => {
        if (index === 0 && round === killedBehind) cluster.inner.process.kill();
      })
    ),
  );
  assertEquals([await doomed, left], [-1, left.map(() => left[0]!)]);
  assert(left[0]! >= killedBehind, `${left[0]} rounds, killed behind ${killedBehind}`);

  const others = cluster.nodes.map((node) => meetAgain(node, parties - 2, 4));
  assertEquals((await cluster.all("others", others)).reduce((sum, last) => sum + last, 0), 4);
});
