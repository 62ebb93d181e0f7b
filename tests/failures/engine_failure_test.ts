/** How a node ends whose engine itself has failed. */

import { assertEquals, assertMatch } from "@std/assert";
import { buildModule } from "../../zig/testdata/build_module.ts";
import { joiningProgram } from "../support/inline_program.ts";
import { ProcessCluster } from "../support/process_cluster.ts";

Deno.test("failed engine: an engine that can do nothing ends its process, though a thread keeps calling it", async () => {
  await using cluster = new ProcessCluster();
  const node = await cluster.host("--size=1MiB");
  const asking = node.evaluate((node) => {
    const libc = Deno.dlopen("libc.so.6", { close: { parameters: ["i32"], result: "i32" } });
    for (const { name } of [...Deno.readDirSync("/proc/self/fd")]) {
      try {
        const target = Deno.readLinkSync(`/proc/self/fd/${name}`);
        // Without it no fault can be read, nor refused.
        if (target === "anon_inode:[userfaultfd]") libc.symbols.close(Number(name));
      } catch (error) {
        // That by which the folder was read.
        if (!(error instanceof Deno.errors.NotFound)) throw error;
      }
    }
    for (;;) {
      try {
        node.semaphore(1n).acquireSync();
      } catch (error) {
        console.error((error as Error).message);
      }
    }
  });
  asking.catch(() => {});
  const { code, stderr } = await node.process.exit();
  assertEquals(code, 70, stderr);
  assertMatch(stderr, /^tdsm: error: Cannot .* \(\w+\)$/m);
});

Deno.test("failed engine: one that fails over the very page that the main thread waits for ends the process", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const module = await buildModule(
      `${folder}/libcells.so`,
      `#include "tdsm.h"
      TDSM_SHARED int cells[4096];
      int read_cell(int index) { return *(volatile int *)&cells[index]; }`,
    );
    await using cluster = new ProcessCluster();
    const directory = await cluster.host("--size=1MiB");
    // The module's variables are seen in its own window and in the main one, whose page is
    // unmapped: the page is granted, the engine fails over the main window, and never gets to the
    // other.
    const program = joiningProgram(
      cluster,
      directory,
      "a program that joins",
      `const [module] = Deno.args.slice(-1);
      const node = await join({ directoryAddress: ${JSON.stringify(directory.at)} });
      const { memory, symbols } = await node.loadModule(module, {
        read_cell: { parameters: ["i32"], result: "i32" },
      });
      const cells = node.view(Uint8Array, node.offsetOf(memory), memory.length);
      const { munmap } = Deno.dlopen("libc.so.6", {
        munmap: { parameters: ["buffer", "usize"], result: "i32" },
      }).symbols;
      if (munmap(cells.subarray(8192), 4096n) !== 0) throw new Error("munmap failed");
      console.log(symbols.read_cell(2 * 1024 + 1));`,
      module,
    );
    const { code, stdout, stderr } = await program.exit();
    assertEquals({ code, stdout }, { code: 70, stdout: "" }, stderr);
    assertMatch(stderr, /^tdsm: error: Cannot install .* native code has unmapped/m);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
