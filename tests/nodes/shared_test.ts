/** The region as a SharedArrayBuffer, on several nodes. */

import { assertEquals } from "@std/assert";
import { ProcessCluster } from "../support/process_cluster.ts";
import { inlineProgram } from "../support/inline_program.ts";

Deno.test("shared: Workers that do not attach count on the same cells as other nodes", async () => {
  await using cluster = new ProcessCluster();
  const nodes = await cluster.start(3);
  const rounds = 2_000;
  await Promise.all(nodes.map((node) =>
    node.evaluate(async (node, rounds) => {
      const code = "onmessage = ({ data: [cells, rounds] }) => {" +
        "for (let round = 0; round < rounds; round++) Atomics.add(cells, 0, 1);" +
        "postMessage(0) }";
      const url = "data:application/javascript," + encodeURIComponent(code);
      const workers = [0, 1].map(() => new Worker(url, { type: "module" }));
      await Promise.all(workers.map((worker) => {
        const { promise, resolve } = Promise.withResolvers<void>();
        worker.onmessage = () => resolve();
        worker.postMessage([new Int32Array(node.shared, 4096, 16), rounds]);
        return promise;
      }));
      for (const worker of workers) worker.terminate();
    }, rounds)
  ));
  assertEquals(await nodes[2]!.load(4096), 3 * 2 * rounds);
});

Deno.test("shared: node.memory shows the same cells, and what takes no shared memory takes it", async () => {
  await using cluster = new ProcessCluster();
  const [first, second] = await cluster.start(2);
  await first!.evaluate((node) => new Uint8Array(node.shared, 8192, 4).set([1, 2, 3, 4]));
  const seen = await second!.evaluate(async (node) => {
    const bytes = node.memory.subarray(8192, 8196);
    const digest = await crypto.subtle.digest("SHA-256", bytes);
    const body = new Uint8Array(await new Response(bytes).arrayBuffer());
    return [[...bytes], [...body], new Blob([bytes]).size, digest.byteLength];
  });
  assertEquals(seen, [[1, 2, 3, 4], [1, 2, 3, 4], 4, 32]);
  const view = await second!.evaluate((node) => {
    const cells = new Int32Array(node.shared, 8192, 4);
    // Another object over the same memory, as a Worker gets it.
    const copy = structuredClone(cells);
    return [node.offsetOf(cells), node.offsetOf(copy), copy.length];
  });
  assertEquals(view, [8192, 8192, 4]);
});

Deno.test("shared: a region of 1 TiB is shared from end to end", async () => {
  await using cluster = new ProcessCluster();
  const nodes = await cluster.start(2, "--size=1TiB");
  await nodes[0]!.evaluate((node) => {
    new Float64Array(node.shared, 2 ** 40 - 8, 1)[0] = 1.5;
  });
  const last = await nodes[1]!.evaluate((node) => new Float64Array(node.shared, 2 ** 40 - 8, 1)[0]);
  assertEquals(last, 1.5);
});

Deno.test("shared: the addresses stay blank memory when no thread has the buffer any more", async () => {
  await using cluster = new ProcessCluster();
  // The node is a Worker's, which ends: what is left of the buffer is a number.
  const worker = `
    const node = await join({ directory: true, port: 0, size: "1GiB" });
    new Int32Array(node.shared, 4096, 1)[0] = 5;
    const view = new Uint8Array(node.shared, 4096, 4);
    const address = Deno.UnsafePointer.value(Deno.UnsafePointer.of(view));
    await node.close();
    postMessage(address);
  `;
  const main = `
    const worker = new Worker(WORKER, { type: "module" });
    const address = await new Promise((resolve, reject) => {
      worker.onmessage = ({ data }) => resolve(data);
      worker.onerror = ({ message }) => reject(new Error(message));
    });
    worker.terminate();
    for (let times = 0; times < 20; times++) {
      gc();
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    const cells = Deno.UnsafePointerView.getArrayBuffer(Deno.UnsafePointer.create(address), 4);
    console.log("it reads", new Int32Array(cells)[0]);
  `;
  const mod = new URL("../../mod.ts", import.meta.url).href;
  const text = `import { join } from ${JSON.stringify(mod)};\n${worker}`;
  const url = `data:application/typescript;charset=utf-8,${encodeURIComponent(text)}`;
  const process = inlineProgram(
    cluster,
    "a Worker's node",
    main.replace("WORKER", JSON.stringify(url)),
    {
      flags: [],
      permissions: ["--allow-all", "--v8-flags=--expose-gc"],
    },
  );
  await process.untilPrinted(/it reads 0/);
  assertEquals((await process.ended).code, 0);
});
