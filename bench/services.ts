/**
 * One of the three processes of the benchmark of what nodes do together beside sharing pages: the
 * directory's node echoes and serves, the second measures, the third makes a third party. Everything is
 * measured in rounds that take turns, so that what else the machine does hits all alike.
 */

import { type Node, rpc, run } from "../mod.ts";
import { echo, Pinger } from "./ping_pong.ts";
import { type Samples, samples } from "./samples.ts";

/** What the measuring node prints, as JSON: a distribution for each thing that was measured. */
export type ServicesReport = Readonly<Record<string, Samples>>;

const ROUNDS = 20;
const PER_ROUND = 50;
/** The size of a frame of a semaphore. */
const PING_BYTES = 32;
/** Words of the first page: the echo's port. */
const ECHO_PORT = 0;
const NODES = 3;

const nothing = rpc("nothing", (): void => {});
const add = rpc("add", (a: number, b: number): number => a + b);

/** The directory's node and the third: meet the second at the barrier as often as it measures that. */
async function accompany(node: Node): Promise<void> {
  const barrier = node.barrier("measured", NODES);
  const turn = node.barrier("turn", NODES);
  for (let round = 0; round < ROUNDS; round++) {
    await turn.wait();
    for (let index = 0; index < PER_ROUND; index++) await barrier.wait();
  }
}

async function own(node: Node): Promise<void> {
  console.log(node.port);
  const words = node.view(Int32Array, 0, 2);
  const { port, ended } = echo(PING_BYTES, PING_BYTES);
  Atomics.store(words, ECHO_PORT, port);
  await node.barrier("start", NODES).wait();
  await accompany(node);
  await ended;
}

async function measure(node: Node): Promise<ServicesReport> {
  const port = Atomics.load(node.view(Int32Array, 0, 1), ECHO_PORT);
  using pinger = await Pinger.connect(port, PING_BYTES, PING_BYTES);
  const semaphore = await node.makeSemaphore(0);
  const mutex = node.mutex("measured");
  const barrier = node.barrier("measured", NODES);
  const turn = node.barrier("turn", NODES);
  const actions: Record<string, () => void | Promise<unknown>> = {
    "plain Deno TCP, 32 B there and 32 B back": () => pinger.ping(),
    "semaphore: release, acquire": async () => {
      semaphore.release();
      await semaphore.acquire();
    },
    "semaphore: release, acquireSync": () => {
      semaphore.release();
      semaphore.acquireSync();
    },
    "semaphore: tryAcquire": () => void semaphore.tryAcquire(),
    "mutex: lock, unlock": async () => (await mutex.lock()).unlock(),
    "remote call without arguments": () => nothing.on(1)(),
    "remote call of add(1, 2)": () => add.on(1)(1, 2),
    "allocate 64 KiB, free it": async () => node.free(await node.alloc(Float64Array, 8192)),
    "allocate 64 B packed, free it": async () =>
      node.free(await node.alloc(Float64Array, 8, { packed: true })),
    // Last in each round: the others are there at that time only.
    "barrier of three nodes": () => barrier.wait(),
  };
  const times = new Map(Object.keys(actions).map((name) => [name, [] as number[]]));
  for (let round = 0; round < ROUNDS; round++) {
    for (const [name, action] of Object.entries(actions)) {
      if (name.startsWith("barrier")) await turn.wait();
      for (let index = 0; index < PER_ROUND; index++) {
        const begin = performance.now();
        await action();
        times.get(name)!.push(performance.now() - begin);
      }
    }
  }
  return Object.fromEntries([...times].map(([name, times]) => [name, samples(times)]));
}

await run(async (node) => {
  if (node.id === 1) return await own(node);
  await node.barrier("start", NODES).wait();
  if (node.id === 3) return await accompany(node);
  console.log(JSON.stringify(await measure(node)));
});
