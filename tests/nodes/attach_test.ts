/** Nodes of several processes, each used by several threads. */

import { assert, assertEquals } from "@std/assert";
import { ProcessCluster, type RemoteNode } from "../support/process_cluster.ts";
import type { Procedures } from "./programs/procedures.ts";
import type { Task } from "./programs/attached_worker.ts";
import type { Ending } from "./programs/ending_worker.ts";
import { heard } from "../support/heard.ts";
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

const ENDING_WORKER = new URL("programs/ending_worker.ts", import.meta.url).href;

/**
 * Starts Workers of a node that do something, and ends them in the midst of that, eight at a time.
 */
function endWorkers(node: RemoteNode, doings: readonly Ending["doing"][]): Promise<void> {
  return node.evaluate(
    async (node, url, doings) => {
      const end = async (doing: Ending["doing"]): Promise<void> => {
        const worker = new Worker(url, { type: "module" });
        // An error of a Worker is its own.
        worker.onerror = (event) => event.preventDefault();
        const inside = new Promise((resolve) => worker.onmessage = resolve);
        worker.postMessage({ handle: node.handle, doing } satisfies Ending);
        await inside;
        if (doing !== "close" && doing !== "throw") worker.terminate();
      };
      for (let at = 0; at < doings.length; at += 8) {
        await Promise.all(doings.slice(at, at + 8).map(end));
      }
    },
    ENDING_WORKER,
    doings,
  );
}

/** Ends a Worker in the midst of something, and waits until its thread is no more. */
function endThread(node: RemoteNode, doing: Ending["doing"]): Promise<void> {
  return node.evaluate(
    async (node, url, doing) => {
      const worker = new Worker(url, { type: "module" });
      const inside = new Promise<number>((resolve) =>
        worker.onmessage = ({ data }) => resolve(data)
      );
      worker.postMessage({ handle: node.handle, doing } satisfies Ending);
      const thread = await inside;
      worker.terminate();
      const isThere = (): boolean => {
        try {
          return Deno.statSync(`/proc/self/task/${thread}`).isDirectory;
        } catch {
          return false;
        }
      };
      while (isThere()) await new Promise((resolve) => setTimeout(resolve, 10));
    },
    ENDING_WORKER,
    doing,
  );
}

/** Whether the last thread that held mutex "held" has ended without unlocking it. */
function isAbandoned(node: RemoteNode): Promise<boolean> {
  return node.evaluate(async (node) => {
    using lock = await node.mutex("held").lock();
    return lock.abandoned;
  });
}

Deno.test("attached: more Workers than there are slots end without detach, one after the other", async () => {
  await using cluster = new ProcessCluster();
  const node = await cluster.host("--size=1MiB");
  const kinds = ["idle", "close", "throw", "lock"] as const;
  await endWorkers(node, Array.from({ length: 68 }, (_, index) => kinds[index % 4]!));
  // Another thread can use the node, and the node closes.
  assertEquals(await perform(node, 1, "count", 1), [1]);
  assertEquals((await node.leave()).code, 0);
});

Deno.test("attached: what a thread waited for when it ended goes to those that wait behind it", async () => {
  await using cluster = new ProcessCluster();
  const [first, second] = await cluster.start(2, "--size=1MiB");
  await endThread(second!, "acquire");
  const { call } = await heard(
    second!,
    () => second!.evaluate((node) => node.semaphore(9n).acquire()),
  );
  // The one permit is for the thread that lives, whether the other was granted it first or not.
  await first!.evaluate((node) => node.semaphore(9n).release());
  await call;
  assertEquals(await first!.evaluate((node) => node.semaphore(9n).tryAcquire()), false);
  await endThread(second!, "barrier");
  // Once its mutex is abandoned its arrival counts no more either: two others meet.
  assertEquals(await isAbandoned(first!), true);
  const meet = (node: RemoteNode) =>
    heard(node, () => node.evaluate((node) => node.barrier("phase", 2).wait()));
  const meeting = [await meet(first!), await meet(second!)];
  assertEquals(await Promise.all(meeting.map(({ call }) => call)), [false, true]);
  assertEquals((await second!.leave()).code, 0);
  assertEquals((await first!.leave()).code, 0);
});

Deno.test("attached: a mutex that a thread held when it ended is abandoned, to threads of any node", async () => {
  await using cluster = new ProcessCluster();
  const [first, second] = await cluster.start(2, "--size=1MiB");
  for (const node of [second!, first!]) {
    await endThread(node, "lock");
    assertEquals(await isAbandoned(first!), true);
    // Once told, the next is not told again.
    assertEquals(await isAbandoned(second!), false);
  }
});

Deno.test("attached: a thread that detaches gives back what it held and what it waited for", async () => {
  await using cluster = new ProcessCluster();
  const node = await cluster.host("--size=1MiB");
  const found = await node.evaluate(async (node, program) => {
    const { attach } = await import(program);
    const attached = attach(node.handle);
    const waits = attached.semaphore(9n).acquire();
    const held = await attached.mutex("held").lock();
    attached.detach();
    const code = await waits.catch(({ code }: { code: string }) => code);
    node.semaphore(9n).release();
    await node.semaphore(9n).acquire();
    using lock = await node.mutex("held").lock();
    try {
      held.unlock();
      return [code, lock.abandoned, "unlocked"];
    } catch (error) {
      return [code, lock.abandoned, (error as { code: string }).code];
    }
  }, new URL("../../mod.ts", import.meta.url).href);
  assertEquals(found, ["NodeClosed", true, "NodeClosed"]);
});

Deno.test("attached: a thread that detaches while it allocates leaves its cells to others", async () => {
  await using cluster = new ProcessCluster();
  const [first, second] = await cluster.start(2, "--size=64KiB");
  for (const node of [first!, second!]) {
    const codes = await node.evaluate(async (node, program) => {
      const { attach } = await import(program);
      const codes: string[] = [];
      for (let time = 0; time < 20; time++) {
        const attached = attach(node.handle);
        const all = attached.alloc(Uint8Array, node.size);
        attached.detach();
        codes.push(await all.then(() => "given", ({ code }: { code: string }) => code));
      }
      return codes;
    }, new URL("../../mod.ts", import.meta.url).href);
    // As long as the cells of the thread before it are not free, there are none for the next.
    const expected: readonly string[] = ["NodeClosed", "OutOfMemory"];
    assertEquals(codes.filter((code) => !expected.includes(code)), []);
    assert(codes.includes("NodeClosed"));
  }
  // The engine frees what came too late, a moment later.
  for (const node of [second!, first!]) {
    const length = await node.evaluate(async (node) => {
      for (;;) {
        try {
          const all = await node.alloc(Uint8Array, node.size);
          await node.free(all);
          return all.length;
        } catch (error) {
          if ((error as { code: string }).code !== "OutOfMemory") throw error;
          await new Promise((resolve) => setTimeout(resolve, 5));
        }
      }
    });
    assertEquals(length, 1 << 16);
  }
});

Deno.test("attached: Workers that are ended while pages come and go leave the node whole", async () => {
  await using cluster = new ProcessCluster();
  const [first, second] = await cluster.start(2, "--size=1MiB");
  const counting = second!.evaluate((node) => {
    const cells = node.view(Int32Array, 0, 2);
    for (let count = 0; count < 200_000; count++) Atomics.add(cells, 1, 1);
  });
  await endWorkers(first!, Array(4).fill("count"));
  await counting;
  assertEquals(await first!.load(4), 200_000);
  assertEquals((await second!.leave()).code, 0);
  assertEquals((await first!.leave()).code, 0);
});
