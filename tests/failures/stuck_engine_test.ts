/** A node whose engine does not run: a debugger has stopped the engine's thread, and no other. */

import { assertEquals, assertMatch } from "@std/assert";
import { inlineProgram } from "../support/inline_program.ts";
import { ProcessCluster, type TestProcess } from "../support/process_cluster.ts";

const PTRACE_SEIZE = 0x4206;
const PTRACE_INTERRUPT = 0x4207;
const WALL = 0x40000000;

/** Why the test cannot run here; empty when it can. */
function obstacle(): string {
  if (Deno.uid() === 0) return "";
  const cat = new Deno.Command("cat", { args: ["/proc/sys/kernel/yama/ptrace_scope"] });
  const scope = new TextDecoder().decode(cat.outputSync().stdout).trim();
  return ["", "0", "1"].includes(scope) ? "" : `kernel.yama.ptrace_scope is ${scope}`;
}

/** The thread of a process that runs the engine: the only Worker of the program. */
async function engineOf({ pid }: TestProcess): Promise<number> {
  const script = `cd /proc/${pid}/task && grep -l "^worker-" */comm`;
  const { stdout } = await new Deno.Command("sh", { args: ["-c", script] }).output();
  // A thread has the name of the one that made it until it takes its own; the Worker is the oldest.
  const threads = new TextDecoder().decode(stdout).trim().split("\n").map((path) => parseInt(path));
  return Math.min(...threads);
}

const PROGRAMS = [
  ["spins on a page that it may read", `while (Atomics.load(word, 0) !== -1);`],
  ["awaits", `await new Promise(() => {});`],
] as const;

const reason = obstacle();

Deno.test({
  name: `stuck engine: the library fences its node in time, and says why${
    reason && ` (skipped: ${reason})`
  }`,
  ignore: reason !== "",
  async fn() {
    await using cluster = new ProcessCluster();
    const libc = Deno.dlopen("libc.so.6", {
      ptrace: { parameters: ["i64", "i32", "pointer", "pointer"], result: "i64" },
      waitpid: { parameters: ["i32", "pointer", "i32"], result: "i32", nonblocking: true },
    });
    using _libc = { [Symbol.dispose]: () => libc.close() };
    const { ptrace, waitpid } = libc.symbols;
    const directory = await cluster.host("--size=1MiB");
    await directory.store(0, 1);
    const flags = [`--directory-address=${directory.at}`];
    const processes = PROGRAMS.map(([what, code]) => {
      const program = `await run(async (node) => {
        const word = node.view(Int32Array, 0, 1);
        console.log("read", Atomics.load(word, 0));
        ${code}
      });`;
      return inlineProgram(cluster, what, program, { flags });
    });
    const reaped: Promise<number>[] = [];
    for (const process of processes) {
      await process.untilPrinted(/^read 1$/m);
      const engine = await engineOf(process);
      assertEquals(ptrace(BigInt(PTRACE_SEIZE), engine, null, null), 0n, "cannot trace");
      assertEquals(ptrace(BigInt(PTRACE_INTERRUPT), engine, null, null), 0n, "cannot stop");
      assertEquals(await waitpid(engine, null, WALL), engine);
      // A process ends only once its tracer has been told that the traced thread has ended.
      reaped.push(waitpid(engine, null, WALL));
    }
    await Promise.all(reaped);
    for (const process of processes) {
      const { code, stdout, stderr } = await process.exit();
      assertEquals([code, stdout], [70, "read 1\n"], `${process.name}: ${stderr}`);
      const why = /^tdsm: error: .*The engine of this node does not run, .* \(DirectoryLost\)\n$/;
      assertMatch(stderr, why, process.name);
    }
    assertEquals(await directory.load(0), 1);
  },
});
