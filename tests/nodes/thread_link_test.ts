/** Threads that block at the directory's desk by links of their own, past their engines. */

import { assert, assertEquals } from "@std/assert";
import { FUTEX_LEND_AFTER } from "../../runtime/limits.ts";
import { ProcessCluster, type RemoteNode } from "../support/process_cluster.ts";
import { failure } from "../support/heard.ts";
import { KeyFile } from "../support/key_file.ts";
import type { Blocking } from "./programs/blocking_worker.ts";

const OWN_LINK = new URL("programs/own_link.ts", import.meta.url).href;
const WORKER = new URL("programs/blocking_worker.ts", import.meta.url).href;

/** Starts nodes. */
type Start = (cluster: ProcessCluster, count: number) => Promise<RemoteNode[]>;

/** Defines a test of links in the clear, and one of sealed links. */
function test(title: string, body: (start: Start) => Promise<void>): void {
  Deno.test(`thread link: ${title}`, () => body((cluster, count) => start(cluster, count, [])));
  Deno.test(`thread link, sealed: ${title}`, async () => {
    using key = new KeyFile();
    await body((cluster, count) => start(cluster, count, [key.flag]));
  });
}

async function start(
  cluster: ProcessCluster,
  count: number,
  flags: readonly string[],
): Promise<RemoteNode[]> {
  const nodes = [await cluster.host("--size=64KiB", ...flags)];
  while (nodes.length < count) nodes.push(await cluster.join(nodes[0]!, ...flags));
  return nodes;
}

/** Has the thread that joined ask by a link of its own from here on. */
function link(node: RemoteNode): Promise<void> {
  return node.evaluate(async (node, url) => {
    const { untilOwnLink } = await import(url) as typeof import("./programs/own_link.ts");
    await untilOwnLink(node);
  }, OWN_LINK);
}

/** Starts Workers of a node that block by links of their own; resolves to their first words. */
function work(
  node: RemoteNode,
  doing: Blocking["doing"],
  count = 1,
  workers = 1,
): Promise<unknown[]> {
  return node.evaluate(
    async (node, url, doing, count, workers) => {
      const kept = globalThis as unknown as { workers: Worker[]; words: unknown[] };
      kept.workers = Array.from({ length: workers }, () => new Worker(url, { type: "module" }));
      kept.words = [];
      const all = kept.workers.map((worker) => {
        const { promise, resolve, reject } = Promise.withResolvers<unknown>();
        worker.onmessage = ({ data }) => {
          kept.words.push(data);
          resolve(data);
        };
        worker.onerror = (event) => reject(new Error(event.message));
        worker.postMessage({ handle: node.handle, doing, count } satisfies Blocking);
        return promise;
      });
      return await Promise.all(all);
    },
    WORKER,
    doing,
    count,
    workers,
  );
}

/** What a Worker of {@linkcode work} says next. */
function nextWord(node: RemoteNode): Promise<unknown> {
  return node.evaluate(async () => {
    const { workers, words } = globalThis as unknown as { workers: Worker[]; words: unknown[] };
    if (words.length > 1) return words[1];
    const { promise, resolve } = Promise.withResolvers<unknown>();
    workers[0]!.addEventListener("message", ({ data }) => resolve(data));
    return await promise;
  });
}

test("no message of the node's own goes to the desk, and what threads do is in order", async (start) => {
  await using cluster = new ProcessCluster();
  const [, second, third] = await start(cluster, 3);
  await Promise.all([second!, third!].map(link));
  const sent = await second!.evaluate(async (node) => {
    const before = (await node.stats()).messagesSent;
    const semaphore = node.semaphore(5n);
    for (let time = 0; time < 200; time++) {
      semaphore.release(2);
      if (!semaphore.tryAcquire()) throw new Error("the permit was not there");
      semaphore.acquireSync();
      node.mutex("a").lockSync().unlock();
      node.mutex("a").tryLock()!.unlock();
    }
    return (await node.stats()).messagesSent - before;
  });
  assertEquals(sent, 0);
  // What the engine carries comes behind what the thread has sent by its own link, and before it.
  const found = await second!.evaluate(async (node) => {
    const semaphore = node.semaphore(6n);
    for (let time = 0; time < 50; time++) {
      semaphore.release(2);
      await semaphore.acquire({ timeoutMs: 0 });
      await semaphore.acquire({ timeoutMs: 0 });
      semaphore.release();
      semaphore.acquireSync({ timeoutMs: 0 });
      const lock = await node.mutex("b").lock();
      lock.unlock();
      const again = node.mutex("b").lockSync({ timeoutMs: 0 });
      await Promise.resolve();
      again.unlock();
      (await node.mutex("b").lock({ timeoutMs: 0 })).unlock();
    }
    return semaphore.tryAcquire();
  });
  assertEquals(found, false);
});

test("waits for words, and notifies that wake, go past the engine", async (start) => {
  await using cluster = new ProcessCluster();
  const [first, second] = await start(cluster, 2);
  await link(second!);
  const [ends, sent] = await second!.evaluate(async (node) => {
    const cells = node.view(Int32Array, 0, 50);
    const ends = [node.futex.wait(cells, 0, 1)];
    const before = (await node.stats()).messagesSent;
    // Each word once: one that is used again and again is lent to the node.
    for (let time = 0; time < 50; time++) ends.push(node.futex.wait(cells, time, 0, 1));
    return [ends, (await node.stats()).messagesSent - before] as const;
  });
  assertEquals([ends, sent], [["not-equal", ...Array(50).fill("timed-out")], 0]);

  const rounds = 20;
  const waits = first!.evaluate(async (node, rounds) => {
    const cells = node.view(Int32Array, 0, 1);
    const ends: unknown[] = [];
    for (let round = 0; round < rounds; round++) {
      const { value } = node.futex.waitAsync(cells, 0, 0);
      node.semaphore(7n).release();
      ends.push(await value);
    }
    return ends;
  }, rounds);
  const woken = await second!.evaluate(async (node, rounds) => {
    const cells = node.view(Int32Array, 0, 1);
    const woken: number[] = [];
    let before = 0;
    for (let round = 0; round < rounds; round++) {
      node.semaphore(7n).acquireSync();
      woken.push(node.futex.notify(cells, 0));
      // The first one cannot know that it will wake a thread.
      if (round === 0) before = (await node.stats()).messagesSent;
    }
    return [...woken, (await node.stats()).messagesSent - before];
  }, rounds);
  assertEquals(woken, [...Array(rounds).fill(1), 0]);
  assertEquals(await waits, Array(rounds).fill("ok"));
});

test("a word that is lent to the node is its engine's, also for a thread with a link", async (start) => {
  await using cluster = new ProcessCluster();
  const [first, second] = await start(cluster, 2);
  await link(second!);
  const wait = async (times: number): Promise<string[]> =>
    await second!.evaluate((node, times) => {
      const cells = node.view(Int32Array, 0, 1);
      const ends: string[] = [];
      for (let time = 0; time < times; time++) {
        ends.push(node.futex.wait(cells, 0, 0, 1), String(node.futex.notify(cells, 0)));
      }
      return ends;
    }, times);
  const received = async (): Promise<number> =>
    await first!.evaluate(async (node) => (await node.stats()).messagesReceived);
  const ends = (times: number): string[] => Array(times).fill(["timed-out", "0"]).flat();
  const atFirst = await received();
  assertEquals(await wait(FUTEX_LEND_AFTER), ends(FUTEX_LEND_AFTER));
  const before = await received();
  assert(before > atFirst);
  assertEquals(await wait(50), ends(50));
  assertEquals(await received(), before);
});

test("threads of three nodes take turns at a mutex, and meet at a barrier", async (start) => {
  await using cluster = new ProcessCluster();
  const nodes = await start(cluster, 3);
  await Promise.all(nodes.slice(1).map(link));
  const rounds = 60;
  const counted = await Promise.all([
    work(nodes[1]!, "count", 100, 2),
    work(nodes[2]!, "count", 100, 2),
    ...nodes.map((node) =>
      node.evaluate((node, rounds) => {
        const cells = node.view(Int32Array, 0, 2);
        const barrier = node.barrier("round", 3);
        let wrong = 0;
        for (let round = 0; round < rounds; round++) {
          Atomics.add(cells, 1, 1);
          barrier.waitSync();
          if (Atomics.load(cells, 1) !== 3 * (round + 1)) wrong++;
          barrier.waitSync();
        }
        return wrong;
      }, rounds)
    ),
  ]);
  assertEquals(counted, [["counted", "counted"], ["counted", "counted"], 0, 0, 0]);
  assertEquals(await nodes[0]!.load(0), 400);
  const ends = await Promise.all(nodes.map((node) => node.leave()));
  assertEquals(ends.map(({ code }) => code), [0, 0, 0]);
});

test("a wait ends by its time, with no permit, and others keep their places", async (start) => {
  await using cluster = new ProcessCluster();
  const [first, second] = await start(cluster, 2);
  await link(second!);
  const late = () =>
    failure(second!.evaluate((node) => node.semaphore(5n).acquireSync({ timeoutMs: 20 })));
  assertEquals(await late(), ["TimedOut", "Could not acquire semaphore 5 within 20 ms"]);
  // A release has no answer that the thread waits for; what is asked behind it has.
  const released = await first!.evaluate((node) => {
    node.semaphore(5n).release();
    return node.semaphore(6n).tryAcquire();
  });
  assertEquals(released, false);
  await second!.evaluate((node) => node.semaphore(5n).acquireSync({ timeoutMs: 0 }));
  assertEquals(await first!.evaluate((node) => node.semaphore(5n).tryAcquire()), false);
});

test("what the directory refuses rejects `closed`, though the thread asks for nothing else", async (start) => {
  await using cluster = new ProcessCluster();
  const [, second] = await start(cluster, 2);
  await link(second!);
  const refused = await failure(second!.evaluate(async (node) => {
    node.semaphore(7n).release(2 ** 31 - 1);
    node.semaphore(7n).release();
    await node.closed;
  }));
  assertEquals(refused, [
    "LimitExceeded",
    "Cannot release semaphore 7: it would have more than 2^31 - 1",
  ]);
});

test("what a thread released before its node closed has arrived, and its node leaves in order", async (start) => {
  await using cluster = new ProcessCluster();
  const [first, second, third] = await start(cluster, 3);
  await link(second!);
  assertEquals(await work(second!, "acquire"), ["waits"]);
  const closed = second!.evaluate(async (node) => {
    for (let time = 0; time < 40; time++) node.semaphore(5n).release();
    await node.close();
  });
  // A thread that waits by its own link is told.
  await closed;
  assertEquals(await nextWord(second!), "NodeClosed");
  const taken = await first!.evaluate((node) => {
    let taken = 0;
    while (node.semaphore(5n).tryAcquire()) taken++;
    return taken;
  });
  assertEquals(taken, 40);
  // No permit goes to the thread that has given up.
  await third!.evaluate((node) => node.semaphore(9n).release());
  assertEquals(await third!.evaluate((node) => node.semaphore(9n).tryAcquire()), true);
  assertEquals((await third!.leave()).code, 0);
});

test("a thread that waits learns that its directory node has died, or that a program has failed", async (start) => {
  for (const how of ["kill", "abort"] as const) {
    await using cluster = new ProcessCluster();
    const [first, second, third] = await start(cluster, 3);
    await link(second!);
    const waiting = failure(second!.evaluate((node) => node.semaphore(9n).acquireSync()));
    if (how === "kill") first!.process.kill();
    else await third!.evaluate((node) => node.abort("enough")).catch(() => {});
    const [code, message] = await waiting;
    assertEquals(code, how === "kill" ? "DirectoryLost" : "NodeFailed", message);
    assert(message.startsWith("Cannot acquire semaphore 9: "), message);
  }
});

test("a mutex goes on as abandoned when its node is killed, or its thread has ended", async (start) => {
  for (const how of ["kill", "terminate"] as const) {
    await using cluster = new ProcessCluster();
    const [first, second, third] = await start(cluster, 3);
    await link(third!);
    assertEquals(await work(second!, "lock"), ["locked"]);
    const waiting = third!.evaluate((node) => node.mutex("held").lockSync().abandoned);
    if (how === "kill") second!.process.kill();
    else {
      await second!.evaluate(() => {
        (globalThis as unknown as { workers: Worker[] }).workers[0]!.terminate();
      });
    }
    assertEquals(await cluster.bounded("the mutex", waiting), true);
    // Its lock is abandoned again with its thread's node, if that does not unlock it.
    await third!.evaluate((node) => node.close());
    const lock = await first!.evaluate(async (node) => {
      const lock = await node.mutex("held").lock();
      lock.unlock();
      return lock.abandoned;
    });
    assertEquals(lock, true);
  }
});

test("a thread at a barrier is told of the node that is gone", async (start) => {
  await using cluster = new ProcessCluster();
  const [first, second, third] = await start(cluster, 3);
  await link(second!);
  const meet = (node: RemoteNode) =>
    node.evaluate((node) => void node.barrier("phase", 3).waitSync());
  await Promise.all([first!, second!, third!].map(meet));
  const waiting = failure(meet(second!));
  third!.process.kill();
  const [code, message] = await waiting;
  assertEquals(code, "PeerLost", message);
});
