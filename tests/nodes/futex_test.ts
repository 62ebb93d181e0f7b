/** Threads of several nodes that wait for words of the region. */

import { assert, assertEquals } from "@std/assert";
import { ProcessCluster, type RemoteNode } from "../support/process_cluster.ts";
import { failure } from "../support/heard.ts";
import { perform, sumOf } from "./perform_futex_job.ts";

const NODES = 3;
/** Where `programs/futex_jobs.ts` has the turn that takes its time, in bytes. */
const SLOW_TURN = 4096 * 4;

Deno.test("futex: threads of three nodes take turns, and no wake-up is lost", async () => {
  await using cluster = new ProcessCluster();
  const nodes = await cluster.start(NODES);
  const counts = await perform(nodes, 2, "turns", 50);
  assertEquals(counts.map(({ value }) => value), Array(2 * NODES).fill(50));
  assertEquals(await nodes[0]!.load(0), 2 * NODES * 50);
});

Deno.test("futex: a mutex, a bounded queue with condition variables and a barrier of nothing but words are right", async () => {
  await using cluster = new ProcessCluster();
  const nodes = await cluster.start(NODES);
  const rounds = 200;
  await perform(nodes, 2, "mutex", rounds);
  assertEquals(await nodes[2]!.load(1025 * 4), 2 * NODES * rounds);
  const queue = await perform(nodes, 2, "queue", rounds);
  assertEquals(sumOf(queue, "value"), NODES * rounds * (rounds + 1) / 2);
  // Each wake-up that was given has arrived, and no thread was woken by any other.
  assertEquals(sumOf(queue, "wokenBy"), sumOf(queue, "woke"));
  const barrier = await perform(nodes, 2, "barrier", 50);
  assertEquals(barrier.map(({ value }) => value), Array(2 * NODES).fill(0));
});

Deno.test("futex: the standard Atomics on shared memory do the same, in code that knows nothing of nodes", async () => {
  await using cluster = new ProcessCluster();
  const nodes = await cluster.start(NODES);
  const rounds = 100;
  await perform(nodes, 2, "turns", 20, "atomics");
  assertEquals(await nodes[1]!.load(0), 2 * NODES * 20);
  await perform(nodes, 2, "mutex", rounds, "atomics");
  assertEquals(await nodes[1]!.load(1025 * 4), 2 * NODES * rounds);
  const queue = await perform(nodes, 2, "queue", rounds, "atomics");
  assertEquals(sumOf(queue, "value"), NODES * rounds * (rounds + 1) / 2);
  const barrier = await perform(nodes, 2, "barrier", 20, "atomics");
  assertEquals(barrier.map(({ value }) => value), Array(2 * NODES).fill(0));
});

Deno.test("futex: waits on several nodes are woken by a notify on another, and as many as it says", async () => {
  await using cluster = new ProcessCluster();
  const nodes = await cluster.start(NODES);
  const waits = nodes.map((node) =>
    node.evaluate(async (node) => {
      const waits = [0, 1].map(() => node.futex.waitAsync(node.view(Int32Array, 0, 1), 0, 0));
      node.semaphore(1n).release();
      return await Promise.all(waits.map(({ value }) => value));
    })
  );
  const woken = await nodes[1]!.evaluate(async (node) => {
    for (let begun = 0; begun < 3; begun++) await node.semaphore(1n).acquire();
    const cells = node.view(Int32Array, 0, 1);
    return [1, 2, undefined, undefined].map((count) => node.futex.notify(cells, 0, count));
  });
  assertEquals(woken, [1, 2, 3, 0]);
  assertEquals(await Promise.all(waits), Array(NODES).fill(["ok", "ok"]));
});

Deno.test("futex: a node that dies while it waits takes no wake-up with it", async () => {
  await using cluster = new ProcessCluster();
  const [first, second, third] = await cluster.start(NODES);
  const begin = (node: RemoteNode): Promise<unknown> =>
    node.evaluate(async (node) => {
      const { value } = node.futex.waitAsync(node.view(Int32Array, 0, 1), 0, 0);
      node.semaphore(1n).release();
      return await value;
    });
  // The words' page is not to be lost with its node.
  await first!.evaluate((node) => void node.view(Int32Array, 0, 1)[0]);
  const lost = failure(begin(second!));
  await first!.evaluate((node) => node.semaphore(1n).acquire());
  const waiting = begin(third!);
  await first!.evaluate((node) => node.semaphore(1n).acquire());
  second!.process.kill();
  await first!.process.untilPrinted(/Node 2 is lost/);
  const woken = await first!.evaluate((node) =>
    node.futex.notify(node.view(Int32Array, 0, 1), 0, 1)
  );
  assertEquals(woken, 1);
  assertEquals(await waiting, "ok");
  await lost;
});

Deno.test("futex: threads of one node wake each other without a message, until another node joins in", async () => {
  await using cluster = new ProcessCluster();
  const [first, second] = await cluster.start(2);
  // Those of threads' own links are among them.
  const received = async (): Promise<number> =>
    await first!.evaluate(async (node) => (await node.stats()).messagesReceived);
  const turns = async (rounds: number): Promise<number> => {
    await second!.store(SLOW_TURN, 0);
    return sumOf(await perform([second!], 2, "slowTurns", rounds), "wokenBy");
  };
  await turns(10);
  const before = await received();
  const woken = await turns(50);
  const messages = await received() - before;
  assert(woken > 0);
  assertEquals(messages, 0);
  // Both nodes now: as many turns as there are to be, and no wake-up too many.
  await second!.store(SLOW_TURN, 0);
  const counts = await perform([first!, second!], 2, "slowTurns", 20);
  assertEquals(await first!.load(SLOW_TURN), 4 * 20);
  assertEquals(sumOf(counts, "wokenBy"), sumOf(counts, "woke"));
});
