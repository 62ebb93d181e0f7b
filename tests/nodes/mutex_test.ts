/** Mutexes between processes. */

import { assertEquals } from "@std/assert";
import { ProcessCluster, type RemoteNode } from "../support/process_cluster.ts";
import { failure, heard } from "../support/heard.ts";

/** Locks that the functions of a test hold from one call to the next, in the node's process. */
declare const held: { unlock(): void; readonly abandoned: boolean }[];

/** Locks the mutex and keeps it; returns whether it was abandoned. */
function lock(node: RemoteNode): Promise<boolean> {
  return node.evaluate(async (node) => {
    const lock = await node.mutex("m").lock();
    Object.assign(globalThis, { held: [lock] });
    return lock.abandoned;
  });
}

/** Tries to lock the mutex and gives it back at once; returns whether that could be done. */
function isFree(node: RemoteNode): Promise<boolean> {
  return node.evaluate((node) => {
    const lock = node.mutex("m").tryLock();
    lock?.unlock();
    return lock !== undefined;
  });
}

/** Unlocks what {@linkcode lock} has locked, and waits until the directory node knows. */
async function unlock(node: RemoteNode): Promise<void> {
  await (await heard(node, () => node.evaluate(() => held[0]!.unlock()))).call;
}

Deno.test("mutexes: a plain counter that three nodes count up under one is right", async () => {
  await using cluster = new ProcessCluster();
  const nodes = await cluster.start(3);
  const rounds = 200;
  await Promise.all(nodes.map((node) =>
    node.evaluate(async (node, rounds) => {
      const [count, copy] = [node.view(Int32Array, 0, 1), node.view(Int32Array, 4096, 1)];
      const mutex = node.mutex("count");
      for (let round = 0; round < rounds; round++) {
        using _lock = round % 2 === 0 ? await mutex.lock() : mutex.lockSync();
        const seen = count[0]!;
        if (copy[0] !== seen) throw new Error(`${copy[0]} beside ${seen}`);
        // Room for others to come between, if they could.
        if (round % 2 === 0) await new Promise((resolve) => setTimeout(resolve, 0));
        count[0] = seen + 1;
        copy[0] = seen + 1;
      }
    }, rounds)
  ));
  assertEquals(await nodes[0]!.load(0), 3 * rounds);
});

Deno.test("mutexes: when the holder's node is killed the next holder, and only that one, finds the mutex abandoned", async () => {
  await using cluster = new ProcessCluster();
  const [first, second, third, fourth] = await cluster.start(4);
  assertEquals(await lock(second!), false);
  const { call: next } = await heard(third!, () => lock(third!));
  const { call: afterNext } = await heard(fourth!, () => lock(fourth!));
  second!.process.kill();
  assertEquals(await next, true);
  await unlock(third!);
  assertEquals(await afterNext, false);
  // No thread waits when the node dies: the next holder finds the mutex abandoned all the same.
  fourth!.process.kill();
  await first!.process.untilPrinted(/Node 4 is lost/);
  assertEquals(await lock(third!), true);
});

Deno.test("mutexes: a node that leaves unlocks what it held", async () => {
  await using cluster = new ProcessCluster();
  const [, second, third] = await cluster.start(3);
  await lock(second!);
  const { call } = await heard(third!, () => lock(third!));
  assertEquals((await second!.leave()).code, 0);
  assertEquals(await call, true);
});

Deno.test("mutexes: trying does not wait, and time ends a wait", async () => {
  await using cluster = new ProcessCluster();
  const [first, second, third] = await cluster.start(3);
  assertEquals(await isFree(third!), true);
  await lock(second!);
  assertEquals([await isFree(first!), await isFree(second!), await isFree(third!)], [
    false,
    false,
    false,
  ]);
  const late = ["TimedOut", 'Could not lock mutex "m" within 20 ms'];
  const waits = [
    third!.evaluate(async (node) => void await node.mutex("m").lock({ timeoutMs: 20 })),
    first!.evaluate((node) => void node.mutex("m").lockSync({ timeoutMs: 20 })),
  ];
  assertEquals(await Promise.all(waits.map(failure)), [late, late]);
  await unlock(second!);
  assertEquals(await isFree(third!), true, "a wait that was given up holds nothing");
});

Deno.test("mutexes: unlocking twice takes nothing from the present holder", async () => {
  await using cluster = new ProcessCluster();
  const [, second, third] = await cluster.start(3);
  await lock(second!);
  await unlock(second!);
  await lock(third!);
  await second!.evaluate(() => held[0]!.unlock());
  // Asked behind it, on the same way.
  assertEquals(await isFree(second!), false);
  await unlock(third!);
  assertEquals(await isFree(second!), true);
});
