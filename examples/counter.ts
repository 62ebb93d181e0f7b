/**
 * A native module on every node: its global variables are the same cells everywhere. The module,
 * `examples/native/counter.c`, knows of no other node: it adds to a variable, and fills a table.
 *
 * ```sh
 * deno run -A examples/counter.ts
 * ```
 */

import { fileURLToPath } from "node:url";
import type { Node } from "../mod.ts";
import { formatSize } from "../runtime/size.ts";
import { collect, count, ExampleError, runExample } from "./example.ts";

const HELP = `Shares the global variables of a native module between nodes.

Usage: counter.ts [OPTIONS]

Options:
  --bumps N      How often each node adds one (default 10000)
  --module FILE  The module, built as examples/native/README.md says; else each node builds it,
                 by cc or zig cc
`;
const ROOT = fileURLToPath(new URL("..", import.meta.url));
const STEP = 0.5;

/** The values of the flags. */
interface Told {
  readonly bumps: number;
  /** The module's path, where it is not to be built. */
  readonly module: string | undefined;
}

/** Builds the module with the first compiler that there is; returns its path. */
function build(folder: string): string {
  const path = `${folder}/libcounter.so`;
  const script = `${ROOT}zig/rdma.ld`;
  const args = ["-shared", "-fPIC", "-O2", `-I${ROOT}zig/include`, `-Wl,-T,${script}`, "-o", path];
  const compilers = [["cc"], [Deno.env.get("TDSM_ZIG") ?? "zig", "cc"]] as const;
  for (const [program, ...words] of compilers) {
    const all = [...words, ...args, `${ROOT}examples/native/counter.c`];
    try {
      const { success, stderr } = new Deno.Command(program, { args: all }).outputSync();
      if (!success) throw new ExampleError(new TextDecoder().decode(stderr));
      return path;
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
  }
  throw new ExampleError("Neither cc nor zig is on PATH: build the module, and give --module");
}

async function main(node: Node, nodes: number, { bumps, module }: Told): Promise<void> {
  const folder = Deno.makeTempDirSync({ prefix: "tdsm-counter-" });
  try {
    await useModule(node, nodes, bumps, module ?? build(folder));
  } finally {
    Deno.removeSync(folder, { recursive: true });
  }
}

async function useModule(node: Node, nodes: number, bumps: number, path: string): Promise<void> {
  using counter = await node.loadModule(path, {
    bump: { parameters: [], result: "i32" },
    fill: { parameters: ["f64"], result: "void" },
    look_up: { parameters: ["i32"], result: "f64" },
  });
  const { bump, fill, look_up: lookUp } = counter.symbols;
  const phase = node.barrier("phase", nodes);
  await phase.wait();

  const since = performance.now();
  let last = 0;
  for (let i = 0; i < bumps; i++) last = bump();
  await phase.wait();
  if (node.id === 1) {
    const ms = performance.now() - since;
    const total = bump() - 1;
    if (total !== nodes * bumps) throw new ExampleError(`${nodes * bumps} became ${total}`);
    console.log(
      `${nodes} nodes added ${bumps} each to one C variable in ${ms.toFixed(0)} ms: ${total}`,
    );
    fill(STEP);
  }
  await phase.wait();

  const index = 1000 * node.id;
  const found = lookUp(index);
  if (found !== index * STEP) throw new ExampleError(`table[${index}] is ${found} here`);
  const bytes = formatSize(counter.memory.length);
  const lasts = await collect(node, nodes, "the last of each node", last);
  const reads = await collect(node, nodes, "what each node reads", found);
  if (node.id !== 1) return;
  for (const [i, last] of lasts.entries()) {
    console.log(`Node ${i + 1} got ${last} last, and reads ${reads[i]} in globals of ${bytes}`);
  }
}

await runExample({
  program: import.meta.filename!,
  help: HELP,
  flags: ["bumps", "module"],
  read: ({ bumps, module }) => ({ bumps: count(bumps, "bumps", 10_000, 1, 10_000_000), module }),
  // The module's table alone is as large as the default region.
  options: { size: "128MiB" },
  main,
});
