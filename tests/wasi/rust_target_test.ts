/**
 * C and Rust programs, built as users build them, on two nodes. They are left out where Rust's
 * target for wasi-threads is not installed: `rustup target add wasm32-wasip1-threads`.
 */

import { assertEquals, assertMatch } from "@std/assert";
import { fileURLToPath } from "node:url";
import { withFolder } from "../support/folder.ts";
import { type Exit, ProcessCluster } from "../support/process_cluster.ts";
import { loadProgram } from "../../runtime/wasi/program.ts";
import { buildC, buildRust, findTarget } from "./rust_target.ts";

const libraries = await findTarget();
const ignore = libraries === undefined;

/** The path of a file of the project. */
function pathOf(path: string): string {
  return fileURLToPath(new URL(`../../${path}`, import.meta.url));
}

/** Runs a program by the command to its end. */
async function runOn(...words: string[]): Promise<Exit> {
  await using cluster = new ProcessCluster();
  const args = ["run", "-A", "--no-prompt", "mod.ts", "wasm", ...words];
  return await cluster.spawn("wasm", { args }).exit();
}

/** Runs a program on two nodes to its end. */
async function run(...words: string[]): Promise<Exit> {
  return await runOn("-n", "2", ...words);
}

Deno.test(
  "wasm: a C program has all of pthreads, and files of its folder",
  { ignore },
  () =>
    withFolder(async (folder) => {
      const [path, data] = [`${folder}/program.wasm`, `${folder}/data`];
      await Deno.mkdir(data);
      await Deno.writeTextFile(`${folder}/outside`, "secret");
      await Deno.symlink("../outside", `${data}/link`);
      await buildC(libraries!, pathOf("tests/wasi/programs/pthreads.c"), path);
      const flags = ["--dir", `${data}::/data`, "--env", "GREETING=hello"];
      const { code, stdout, stderr } = await run(...flags, path, "world");
      assertEquals([code, stdout, stderr], [0, "hello, world\nOK\n", ""]);
      assertEquals(await Deno.readTextFile(`${data}/kept`), "forty-two\n");
    }),
);

Deno.test(
  "wasm: condition variables and barriers lose no wake-up, lifted or not",
  { ignore },
  () =>
    withFolder(async (folder) => {
      const path = `${folder}/waits.wasm`;
      await buildC(libraries!, pathOf("tests/wasi/programs/waits.c"), path);
      assertEquals((await loadProgram(path, true)).lifted, ["condition variables", "barriers"]);
      for (const words of [["-n3"], ["-n2"], ["-n2", "--no-lift"], []]) {
        const { code, stdout, stderr } = await runOn(...words, path);
        assertEquals([words, code, stdout, stderr], [words, 0, "OK\n", ""]);
      }
    }),
);

Deno.test(
  "wasm: nodes that lift otherwise than the first are refused",
  { ignore },
  () =>
    withFolder(async (folder) => {
      const path = `${folder}/waits.wasm`;
      await buildC(libraries!, pathOf("tests/wasi/programs/waits.c"), path);
      const meeting = ["--nodes=2", `--rendezvous=file:${folder}/meeting`];
      const exits = await Promise.all(
        [[], ["--no-lift"]].map((words) => runOn(...meeting, ...words, path)),
      );
      for (const { code, stdout } of exits) assertEquals([code === 0, stdout], [false, ""]);
      assertMatch(
        exits.map(({ stderr }) => stderr).join(""),
        /Cannot run \S+: node 2 lifts .*, and node 1 .*; give --no-lift to all nodes or to none/,
      );
    }),
);

Deno.test(
  "wasm: a Rust program has std::thread and std::sync; a panic ends it",
  { ignore },
  () =>
    withFolder(async (folder) => {
      const path = `${folder}/program.wasm`;
      await buildRust(pathOf("tests/wasi/programs/std_threads.rs"), path);
      const [well, panicked] = await Promise.all([run(path), run(path, "panic")]);
      assertEquals([well.code, well.stdout, well.stderr], [0, "OK\n", ""]);
      assertEquals([panicked.code, panicked.stdout], [134, "OK\n"]);
      assertMatch(panicked.stderr, /panicked at .*:\nas asked\n/);
      assertMatch(
        panicked.stderr,
        /error: Thread \d+, on node [12], has trapped: unreachable\n {4}at /,
      );
    }),
);

Deno.test(
  "wasm: the example in C shares its chunks out",
  { ignore },
  () =>
    withFolder(async (folder) => {
      const path = `${folder}/primes.wasm`;
      await buildC(libraries!, pathOf("examples/wasm_threads/primes.c"), path);
      const { code, stdout } = await run(path, "4");
      assertEquals(code, 0);
      const chunks = [...stdout.matchAll(/thread \d took (\d+) chunks\n/g)].map(([, n]) =>
        Number(n)
      );
      assertEquals([chunks.length, chunks.reduce((sum, n) => sum + n)], [4, 400]);
      assertMatch(stdout, /148933 primes below 2000000\nOK\n$/);
    }),
);
