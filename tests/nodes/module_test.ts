/** A native module on three nodes: its globals are the same cells on each. */

import { fileURLToPath, pathToFileURL } from "node:url";
import { assertEquals, assertMatch } from "@std/assert";
import { ProcessCluster, type RemoteNode } from "../support/process_cluster.ts";
import { failure } from "../support/heard.ts";
import { startRpcNodes } from "../support/rpc_nodes.ts";
import { findZig } from "../../zig/build.ts";
import { buildModule } from "../../zig/testdata/build_module.ts";
import type { LoadModuleOptions } from "../../mod.ts";
import type { Procedures } from "./programs/procedures.ts";

declare const procedures: Procedures;
/** What the last test keeps in the nodes' processes. */
declare const cells: {
  readonly ints: Int32Array<ArrayBuffer>;
  readonly symbols: { cell(index: number): number };
};

/** A module with one counter. */
const COUNTER_C = `#include "tdsm.h"
  TDSM_SHARED _Atomic int counter;
  int bump(void) { return ++counter; }`;

const ROOT = fileURLToPath(new URL("../..", import.meta.url));

/** Builds a module with the Zig that the project is pinned to. */
async function build(source: string, target: string): Promise<void> {
  const words = "cc -shared -fPIC -O2 -Izig/include -Wl,-T,zig/rdma.ld -o".split(" ");
  const compiler = new Deno.Command(await findZig(), {
    args: [...words, target, source],
    cwd: ROOT,
  });
  const { success, stderr } = await compiler.output();
  if (!success) throw new Error(new TextDecoder().decode(stderr));
}

/** Loads a build of `counter.c` on a node, and keeps it for the functions that follow. */
function load(node: RemoteNode, path: string): Promise<number> {
  return node.evaluate(async (node, path) => {
    const loaded = await node.loadModule(path, {
      bump: { parameters: [], result: "i32" },
      fill: { parameters: ["f64"], result: "void" },
      look_up: { parameters: ["i32"], result: "f64" },
    });
    Object.assign(globalThis, { loaded });
    return loaded.memory.length;
  }, path);
}

/** What {@linkcode load} keeps in the node's process. */
declare const loaded: {
  readonly memory: Uint8Array<ArrayBuffer>;
  readonly symbols: {
    bump(): number;
    fill(step: number): void;
    look_up(index: number): number;
  };
};

Deno.test("modules: examples/native/counter.c counts over three nodes, and another layout is refused", async () => {
  const folder = await Deno.makeTempDir();
  try {
    await using cluster = new ProcessCluster();
    const path = `${folder}/libcounter.so`;
    await build("examples/native/counter.c", path);
    const nodes = await cluster.start(3, "--size=256MiB");
    // All at once: the first node makes the cells, the others find them.
    const sizes = await Promise.all(nodes.map((node) => load(node, path)));
    assertEquals(new Set(sizes).size, 1);
    const last = await Promise.all(nodes.map((node) =>
      node.evaluate(() => {
        let last = 0;
        for (let round = 0; round < 2_000; round++) {
          const next = loaded.symbols.bump();
          if (next <= last) throw new Error(`${next} after ${last}`);
          last = next;
        }
        return last;
      })
    ));
    assertEquals(Math.max(...last), 6_000);

    // 64 MiB that one node fills, native code and JavaScript of the others read.
    await nodes[1]!.evaluate(() => loaded.symbols.fill(0.5));
    const indices = [0, 1, 511, 512, 1 << 20, (1 << 23) - 1];
    for (const node of nodes) {
      const [native, script] = await node.evaluate((_, indices) => {
        const { buffer, byteOffset, byteLength } = loaded.memory;
        const doubles = new Float64Array(buffer, byteOffset, byteLength / 8);
        // Where the linker put the table in the section: behind its cell 1 is cell 2.
        const table = doubles.findIndex((x, i) => x === 0.5 && doubles[i + 1] === 1) - 1;
        return [
          indices.map((index) => loaded.symbols.look_up(index)),
          indices.map((index) => doubles[table + index]!),
        ];
      }, indices);
      assertEquals(native, indices.map((index) => index / 2));
      assertEquals(script, native);
    }

    // The same file name, but one variable more.
    const source = await Deno.readTextFile(`${ROOT}/examples/native/counter.c`);
    const other = `${folder}/other`;
    await Deno.mkdir(other);
    const more = "TDSM_SHARED _Atomic int32_t counter, more;";
    await Deno.writeTextFile(
      `${other}/counter.c`,
      source.replace("TDSM_SHARED _Atomic int32_t counter;", more),
    );
    await build(`${other}/counter.c`, `${other}/libcounter.so`);
    const late = await cluster.join(nodes[0]!);
    const [code, message] = await failure(load(late, `${other}/libcounter.so`));
    assertEquals(code, "LibraryMismatch", message);
    assertMatch(message, /libcounter\.so/);
    // The refusal leaves nothing locked, so the right build can be loaded on that node.
    await load(late, path);
    assertEquals(await late.evaluate(() => loaded.symbols.bump()), 6_001);
    assertEquals((await late.leave()).code, 0);
    assertEquals(await nodes[2]!.evaluate(() => loaded.symbols.bump()), 6_002);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("modules: native code sums numbers of the region that another node wrote", async () => {
  const folder = await Deno.makeTempDir();
  try {
    await using cluster = new ProcessCluster();
    const path = `${folder}/libcounter.so`;
    await build("examples/native/counter.c", path);
    const [first, second] = await cluster.start(2, "--size=256MiB");
    const length = 300_000;
    const at = await first!.evaluate(async (node, length) => {
      const numbers = await node.alloc(Float64Array, length);
      for (let index = 0; index < length; index++) numbers[index] = index;
      return node.offsetOf(numbers);
    }, length);
    const [total, received] = await second!.evaluate(
      async (node, path, at, length) => {
        const module = await node.loadModule(path, {
          sum: { parameters: ["buffer", "i32"], result: "f64" },
        });
        const before = node.stats().pagesReceived;
        const total = module.symbols.sum(node.at(Float64Array, at, length), length);
        return [total, node.stats().pagesReceived - before];
      },
      path,
      at,
      length,
    );
    assertEquals(total, length * (length - 1) / 2);
    assertEquals(received, Math.ceil(length * 8 / 4096));
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("modules: a path and a URL name the same module, whatever is in its name", async () => {
  const folder = await Deno.makeTempDir();
  try {
    await using cluster = new ProcessCluster();
    const path = `${folder}/lib counter%41.so`;
    await build("examples/native/counter.c", path);
    const [first, second] = await cluster.start(2, "--size=256MiB");
    await load(first!, path);
    assertEquals(await first!.evaluate(() => loaded.symbols.bump()), 1);
    const next = await second!.evaluate(async (node, url) => {
      const { symbols } = await node.loadModule(new URL(url), {
        bump: { parameters: [], result: "i32" },
      });
      return symbols.bump();
    }, pathToFileURL(path).href);
    assertEquals(next, 2);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

/** What a node says of loading a module: its counter after one more, or why it cannot be loaded. */
function tryLoad(
  node: RemoteNode,
  path: string,
  options: LoadModuleOptions = {},
): Promise<[name: string, last: number | string]> {
  return node.evaluate(
    async (node, path, options) => {
      try {
        const { name, symbols } = await node.loadModule(path, {
          bump: { parameters: [], result: "i32" },
        }, options);
        return [name, symbols.bump()];
      } catch (error) {
        const { code, name, message } = error as Error & { code?: string };
        return [code ?? name, message];
      }
    },
    path,
    options,
  );
}

Deno.test("modules: a file is one module by any of its names, and no other library of its name is taken for it", async () => {
  const folder = await Deno.makeTempDir();
  try {
    await using cluster = new ProcessCluster();
    for (const part of ["a", "b"]) await Deno.mkdir(`${folder}/${part}`);
    const path = await buildModule(`${folder}/a/libcounter.so`, COUNTER_C);
    await Deno.copyFile(path, `${folder}/b/libcounter.so`);
    await Deno.symlink("libcounter.so", `${folder}/a/liblink.so`);
    const [first, second] = await cluster.start(2, "--size=1MiB");
    assertEquals(await tryLoad(first!, path), ["libcounter.so", 1]);
    // Another folder on another node, such as another machine's.
    assertEquals(await tryLoad(second!, `${folder}/b/libcounter.so`), ["libcounter.so", 2]);
    assertEquals(await tryLoad(first!, `${folder}/a/liblink.so`), ["libcounter.so", 3]);
    assertEquals(await tryLoad(first!, `${folder}/a/../a/libcounter.so`), ["libcounter.so", 4]);
    const [code, message] = await tryLoad(first!, `${folder}/b/libcounter.so`);
    assertEquals(code, "NameConflict", String(message));
    assertMatch(String(message), /b\/libcounter\.so.*a\/libcounter\.so.*\{ name \}/);
    // By a name of its own it has cells of its own, which other nodes find by that name.
    const other = { name: "the other counter" };
    assertEquals(await tryLoad(first!, `${folder}/b/libcounter.so`, other), [other.name, 1]);
    const copy = `${folder}/a/libcopy.so`;
    await Deno.copyFile(path, copy);
    assertEquals(await tryLoad(second!, copy, other), [other.name, 2]);
    assertEquals(await tryLoad(second!, copy), [
      "InvalidOption",
      `Cannot map ${copy}: this process shares the native module's variables already, with another ` +
      "node or under another name; start a process for each node, and use one name",
    ]);
    for (const name of ["", "x".repeat(241)]) {
      assertEquals((await tryLoad(second!, copy, { name }))[0], "RangeError");
    }
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("modules: a name is free again once the last module of it is disposed of", async () => {
  const folder = await Deno.makeTempDir();
  try {
    await using cluster = new ProcessCluster();
    const node = await cluster.host("--size=1MiB");
    for (const part of ["a", "b"]) await Deno.mkdir(`${folder}/${part}`);
    await buildModule(`${folder}/a/libcounter.so`, COUNTER_C);
    await Deno.copyFile(`${folder}/a/libcounter.so`, `${folder}/b/libcounter.so`);
    const counts = await node.evaluate(async (node, folder) => {
      const symbols = { bump: { parameters: [], result: "i32" } } as const;
      const one = await node.loadModule(`${folder}/a/libcounter.so`, symbols);
      const again = await node.loadModule(`${folder}/a/libcounter.so`, symbols);
      const counts = [one.symbols.bump(), again.symbols.bump()];
      for (const module of [one, one, again]) module[Symbol.dispose]();
      using other = await node.loadModule(`${folder}/b/libcounter.so`, symbols);
      return [...counts, other.symbols.bump()];
    }, folder);
    assertEquals(counts, [1, 2, 3]);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("modules: views of a module's variables are views of the region, also as arguments", async () => {
  const folder = await Deno.makeTempDir();
  try {
    await using cluster = new ProcessCluster();
    const path = await buildModule(
      `${folder}/libcells.so`,
      `#include "tdsm.h"
      TDSM_SHARED int cells[4096];
      int cell(int index) { return cells[index]; }`,
    );
    const nodes = await startRpcNodes(cluster, 2);
    const [first, second] = await Promise.all(
      nodes.map((node) =>
        node.evaluate(async (node, path) => {
          const { memory, symbols } = await node.loadModule(path, {
            cell: { parameters: ["i32"], result: "i32" },
          });
          const ints = new Int32Array(memory.buffer);
          Object.assign(globalThis, { cells: { ints, symbols } });
          return [node.offsetOf(ints), node.offsetOf(ints.subarray(1024))];
        }, path)
      ),
    );
    assertEquals(first, second);
    assertEquals(first![1], first![0]! + 4096);
    // Node 2 adds to the cells, and gives back views of the same.
    const [cell, offset] = await nodes[0]!.evaluate(async (node) => {
      const { ints, symbols } = cells;
      const rows = [ints.subarray(1024, 1028), ints.subarray(2048, 2050)];
      const answer = await procedures.bumpRows.on(2)({ name: "cells", rows });
      answer.rows[0]![0] = 70;
      return [symbols.cell(1027), node.offsetOf(answer.rows[0]!)];
    });
    assertEquals([cell, offset], [1, first![0]! + 2049 * 4]);
    const seen = await nodes[1]!.evaluate(() => [1024, 2048, 2049].map(cells.symbols.cell));
    assertEquals(seen, [1, 1, 70]);
    // The buffer of a module can be taken away as the region's can.
    const taken = await nodes[0]!.evaluate(async (node, path) => {
      using module = await node.loadModule(path, {});
      const { length } = module.memory;
      module.memory.buffer.transfer();
      return [module.memory.length - length, node.offsetOf(module.memory)];
    }, path);
    assertEquals(taken, [0, first![0]!]);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("modules: a native call goes on when its node is closed, over variables that are zero", async () => {
  const folder = await Deno.makeTempDir();
  try {
    await using cluster = new ProcessCluster();
    const path = `${folder}/libslow.so`;
    const source = `${folder}/slow.c`;
    await Deno.writeTextFile(
      source,
      `#include "tdsm.h"
       #include <unistd.h>
       TDSM_SHARED _Atomic int begun, ended;
       int slow(void) { begun = 7; while (!ended) usleep(1000); return begun; }
       void end(void) { ended = 1; }`,
    );
    await build(source, path);
    const node = await cluster.host("--size=1MiB");
    const found = await node.evaluate(async (node, path) => {
      const { symbols, memory } = await node.loadModule(path, {
        slow: { parameters: [], result: "i32", nonblocking: true },
      });
      const { end } = Deno.dlopen(path, { end: { parameters: [], result: "void" } }).symbols;
      const call = symbols.slow();
      while (!memory.includes(7)) await new Promise<void>((go) => setImmediate(go));
      await node.close();
      end();
      return await call;
    }, path);
    assertEquals(found, 0);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
