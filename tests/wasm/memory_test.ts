/** WebAssembly memories in the region of several nodes. */

import { assert, assertEquals, assertRejects } from "@std/assert";
import { ProcessCluster, RemoteError, type RemoteNode } from "../support/process_cluster.ts";
import { rewriteWasm, type WasmMemory } from "../../mod.ts";
import { buildProgram } from "./programs/build.ts";
import type { CellsTask } from "./programs/cells_worker.ts";
import {
  body,
  functionType,
  I32,
  I64,
  section,
  sharedMemory,
  text,
  wasmModule,
} from "../support/wasm_module.ts";
import { Section } from "../../runtime/wasm/binary.ts";

/** What a test keeps in the nodes' processes. */
declare const kept: {
  readonly shared: WasmMemory;
  readonly module: WebAssembly.Module;
  readonly cells: Record<string, (...parameters: unknown[]) => number>;
};

const PAGE = 65_536;
const PAGES = 4;
const MAXIMUM = 64;
const GIB = 2 ** 30;
const WORKER = new URL("programs/cells_worker.ts", import.meta.url).href;

/** Nodes that each have an instance of `cells.c`, which has the same memory on all of them. */
async function start(cluster: ProcessCluster, count: number): Promise<RemoteNode[]> {
  const folder = await Deno.makeTempDir();
  try {
    const path = `${folder}/cells.wasm`;
    await buildProgram("cells.c", path, { pages: PAGES, maximum: MAXIMUM });
    const nodes = await cluster.start(count);
    await Promise.all(nodes.map((node) =>
      node.evaluate(
        async (node, path, pages, maximum) => {
          const shared = await node.wasmMemory({ name: "cells", pages, maximum });
          const module = new WebAssembly.Module(await Deno.readFile(path));
          const imports = { tdsm: node.wasmImports(shared), env: { memory: shared.memory } };
          const cells = new WebAssembly.Instance(module, imports).exports;
          Object.assign(globalThis, { kept: { shared, module, cells } });
        },
        path,
        PAGES,
        MAXIMUM,
      )
    ));
    return nodes;
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** Calls a function of a node's instance. */
function call(node: RemoteNode, name: string, ...parameters: number[]): Promise<number> {
  return node.evaluate(
    (_node, name, parameters) => kept.cells[name]!(...parameters),
    name,
    parameters,
  );
}

async function leave(nodes: readonly RemoteNode[]): Promise<void> {
  const ends = await Promise.all(nodes.map((node) => node.leave()));
  assertEquals(ends.map(({ code }) => code), nodes.map(() => 0));
}

Deno.test("wasm memory: instances on three nodes count in it, at once and under a lock of their own", async () => {
  await using cluster = new ProcessCluster();
  const nodes = await start(cluster, 3);
  // The first instance has filled it, and no other did so again.
  const first = [];
  for (const node of nodes) first.push(await call(node, "first_value", 1));
  assertEquals(first, [22, 23, 24]);
  await Promise.all(nodes.map((node) => call(node, "count", 2_000)));
  assertEquals(await call(nodes[1]!, "count", 1), 6_001);
  await Promise.all(nodes.map((node) => call(node, "count_locked", 300)));
  assertEquals(await call(nodes[2]!, "count_locked", 0), 900);
  await leave(nodes);
});

Deno.test("wasm memory: instances on three nodes take turns by wait and notify", async () => {
  await using cluster = new ProcessCluster();
  const nodes = await start(cluster, 3);
  const turns = 100;
  await Promise.all(nodes.map((node, index) => call(node, "take_turns", index, 3, turns)));
  assertEquals(await call(nodes[0]!, "take_turns", 0, 3, 0), 3 * turns);
  await leave(nodes);
});

Deno.test("wasm memory: a wait ends as the instruction does, and a notify says how many it woke", async () => {
  await using cluster = new ProcessCluster();
  const nodes = await start(cluster, 2);
  const [one, two] = nodes as [RemoteNode, RemoteNode];
  const wait = (node: RemoteNode, expected: string, timeoutNs: string): Promise<number> =>
    node.evaluate(
      (_node, expected, timeoutNs) => kept.cells.wait_long!(BigInt(expected), BigInt(timeoutNs)),
      expected,
      timeoutNs,
    );
  assertEquals(await wait(two, "5", "-1"), 1);
  assertEquals(await wait(two, "0", "0"), 2);
  assertEquals(await wait(two, "0", "1000000"), 2);
  const value = String(2n ** 40n);
  const store = (): Promise<number> =>
    one.evaluate((_node, value) => kept.cells.store_long!(BigInt(value)), value);
  assertEquals(await store(), 0);
  const woken = wait(two, value, "-1");
  // Until the other waits there is nothing to wake.
  while (await store() === 0);
  assertEquals(await woken, 0);
  await leave(nodes);
});

Deno.test("wasm memory: a page that one node has grown it by is there on the other", async () => {
  await using cluster = new ProcessCluster();
  const nodes = await start(cluster, 2);
  const [one, two] = nodes as [RemoteNode, RemoteNode];
  assertEquals([await call(one, "size"), await call(two, "size")], [PAGES, PAGES]);
  assertEquals(await call(one, "grow_and_write", 2, 77), PAGES);
  assertEquals(await call(two, "size"), PAGES + 2);
  assertEquals(await call(two, "load", PAGES * PAGE), 77);
  // At once: each gets pages of its own.
  const firsts = await Promise.all(
    nodes.map((node) =>
      node.evaluate(() => Array.from({ length: 20 }, () => kept.cells.grow_and_write!(1, 5)))
    ),
  );
  const pages = firsts.flat().sort((a, b) => a - b);
  assertEquals(pages, Array.from({ length: 40 }, (_, index) => PAGES + 2 + index));
  assertEquals(await call(two, "grow_and_write", MAXIMUM, 1), -1);
  assertEquals(await call(one, "size"), PAGES + 42);
  await leave(nodes);
});

Deno.test("wasm memory: accesses behind its maximum trap, and waits on no word throw", async () => {
  await using cluster = new ProcessCluster();
  const nodes = await start(cluster, 2);
  const [one, two] = nodes as [RemoteNode, RemoteNode];
  const end = MAXIMUM * PAGE;
  await call(one, "store", end - 4, 9);
  assertEquals(await call(two, "load", end - 4), 9);
  for (const address of [end, end - 2, -4]) {
    const error = await assertRejects(() => call(two, "load", address), RemoteError);
    assertEquals([error.code, error.message], ["RuntimeError", "memory access out of bounds"]);
  }
  for (
    const [address, message] of [
      [end, "memory access out of bounds"],
      [-4, "memory access out of bounds"],
      [66, "operation does not support unaligned accesses"],
    ] as const
  ) {
    const error = await assertRejects(() => call(two, "wait_at", address), RemoteError);
    assertEquals([error.code, error.message], ["RuntimeError", message]);
  }
  await leave(nodes);
});

Deno.test("wasm memory: Workers of two nodes have instances in it, and nodes share what views name", async () => {
  await using cluster = new ProcessCluster();
  const nodes = await start(cluster, 2);
  const runs = await Promise.all(nodes.map((node) =>
    node.evaluate(async (node, url) => {
      const workers = [1, 2].map(() => new Worker(url, { type: "module" }));
      const { shared, module } = kept;
      const answers = workers.map((worker) =>
        new Promise<number>((resolve, reject) => {
          worker.onmessage = ({ data }) => resolve(data);
          worker.onerror = (event) => reject(new Error(event.message));
          const task = { handle: node.handle, shared, module, name: "count_locked" };
          worker.postMessage({ ...task, parameters: [200] } satisfies CellsTask);
        })
      );
      const last = await Promise.all(answers);
      for (const worker of workers) worker.terminate();
      const view = new Int32Array(shared.memory.buffer, 4096, 4);
      return { last, offset: node.offsetOf(view) - shared.byteOffset };
    }, WORKER)
  ));
  assertEquals(Math.max(...runs.flatMap(({ last }) => last)), 800);
  assertEquals(runs.map(({ offset }) => offset), [4096, 4096]);
  await leave(nodes);
});

Deno.test("wasm memory: another size by the same name is refused, and so is one that has no room", async () => {
  await using cluster = new ProcessCluster();
  const nodes = await cluster.start(2);
  const [one, two] = nodes as [RemoteNode, RemoteNode];
  const make = (node: RemoteNode, options: Record<string, unknown>): Promise<number> =>
    node.evaluate(async (node, options) => {
      const shared = await node.wasmMemory(options);
      const again = await node.wasmMemory(options);
      // This thread knows it, so that it can wait for its words by Atomics.
      const view = new Int32Array(shared.memory.buffer, 8, 1);
      const known = node.offsetOf(view) === shared.byteOffset + 8 &&
        Atomics.wait(view, 0, 0, 1) === "timed-out";
      return again === shared && known ? shared.maximum : 0;
    }, options);
  const refused = async (options: Record<string, unknown>): Promise<string> => {
    const error = await assertRejects(() => make(two, options), RemoteError);
    return `${error.code}: ${error.message}`;
  };
  assertEquals(await make(one, { pages: 2, maximum: 4 }), 4);
  assertEquals(await make(two, { maximum: 4, pages: 2 }), 4);
  assertEquals(
    await refused({ maximum: 4 }),
    'NameConflict: Cannot make the WebAssembly memory "memory": another node has made it with 2 ' +
      "pages in use at first; ask for the same on every node, or for another name",
  );
  assert((await refused({ pages: 2, maximum: 4, address: "i64" })).includes("another type of"));
  assert((await refused({ pages: 2, maximum: 5 })).startsWith("NameConflict: "));
  const large = await refused({ name: "large", maximum: 65_536 });
  assert(large.startsWith("OutOfMemory: Cannot allocate ") && large.includes("--size"), large);
  await leave(nodes);
});

Deno.test("wasm memory: when its node is closed, instances read zeros", async () => {
  await using cluster = new ProcessCluster();
  const [node] = await start(cluster, 1);
  const seen = await node!.evaluate(async (node) => {
    kept.cells.store!(4096, 5);
    const before = kept.cells.load!(4096);
    await node.close();
    return [before, kept.cells.load!(4096)];
  });
  assertEquals(seen, [5, 0]);
  await node!.process.write("leave");
});

/** A module with a memory of so many pages that loads and stores words of 64 bits. */
function wordsModule(pages: number, is64: boolean): number[] {
  const address = is64 ? I64 : I32;
  // load(address), load_behind(address): 8 bytes farther on; store(address, word).
  return [...rewriteWasm(wasmModule(
    section(Section.Type, functionType([address], [I64]), functionType([address, I64], [])),
    section(Section.Function, [0], [0], [1]),
    sharedMemory(1, pages, is64),
    section(
      Section.Export,
      ...["load", "load_behind", "store"].map((name, index) => [...text(name), 0, index]),
    ),
    section(
      Section.Code,
      body(0x20, 0, 0x29, 3, 0),
      body(0x20, 0, 0x29, 3, 8),
      body(0x20, 0, 0x20, 1, 0x37, 3, 0),
    ),
  ))];
}

for (const [address, gib] of [["i32", 4], ["i64", 16]] as const) {
  Deno.test(`wasm memory: all ${gib} GiB of ${address} are there on both nodes`, async () => {
    await using cluster = new ProcessCluster();
    const nodes = await cluster.start(2, `--size=${gib + 1}GiB`);
    const pages = gib * GIB / PAGE;
    const module = wordsModule(pages, address === "i64");
    await Promise.all(nodes.map((node) =>
      node.evaluate(
        async (node, pages, address, bytes) => {
          const shared = await node.wasmMemory({ pages, address });
          const module = new WebAssembly.Module(Uint8Array.from(bytes));
          const imports = { tdsm: node.wasmImports(shared) };
          const { exports: cells } = new WebAssembly.Instance(module, imports);
          Object.assign(globalThis, { kept: { shared, module, cells } });
        },
        pages,
        address,
        module,
      )
    ));
    const use = (
      node: RemoteNode,
      name: string,
      at: number,
      word: number | null = null,
    ): Promise<string> =>
      node.evaluate(
        (_node, name, at, word) => {
          const place = kept.shared.address === "i64" ? BigInt(at) : at;
          return String(kept.cells[name]!(place, ...(word === null ? [] : [BigInt(word)])));
        },
        name,
        at,
        word,
      );
    const [one, two] = nodes as [RemoteNode, RemoteNode];
    for (const at of [0, gib * GIB / 2, gib * GIB - 4096, gib * GIB - 8]) {
      await use(one, "store", at, at + 5);
      assertEquals(await use(two, "load", at), String(at + 5));
    }
    const behind = () => use(two, "load_behind", gib * GIB - 8);
    const { message } = await assertRejects(behind, RemoteError);
    assertEquals(message, "memory access out of bounds");
    await leave(nodes);
  });
}
