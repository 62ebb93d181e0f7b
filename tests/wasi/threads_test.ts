/** A wasi-threads program on several nodes, started by the command as users start it. */

import { assertEquals, assertMatch, assertNotEquals } from "@std/assert";
import { type Exit, ProcessCluster, type TestProcess } from "../support/process_cluster.ts";
import { withFolder } from "../support/folder.ts";
import { untilEnded } from "../support/processes.ts";
import {
  body,
  functionType,
  section,
  sharedMemory,
  sized,
  text,
  wasmModule,
} from "../support/wasm_module.ts";
import { Section } from "../../runtime/wasm/binary.ts";
import { buildThreads } from "./build_threads.ts";

const folder = await Deno.makeTempDir();
const PROGRAM = `${folder}/threads.wasm`;
await buildThreads(PROGRAM);
addEventListener("unload", () => Deno.removeSync(folder, { recursive: true }));

function start(cluster: ProcessCluster, ...words: string[]): TestProcess {
  const args = ["run", "-A", "--no-prompt", "mod.ts", "wasm", ...words];
  return cluster.spawn(`wasm ${words.at(-1)}`, { args });
}

/** Runs the program to its end. */
async function run(...words: string[]): Promise<Exit> {
  await using cluster = new ProcessCluster();
  return await start(cluster, ...words).exit();
}

/** The processes that a process has started. */
async function childrenOf(process: TestProcess): Promise<number[]> {
  const text = await process.proc(`task/${process.pid}/children`);
  return text.split(" ").filter((pid) => pid !== "").map(Number);
}

Deno.test("wasm: threads are placed on each node in turn, and count together", async () => {
  const { code, stdout, stderr } = await run("-n", "3", PROGRAM, "count");
  const nodes = [2, 3, 1, 2, 3, 1].map((node) => `node ${node}\n`).join("");
  assertEquals([code, stdout, stderr], [0, `${nodes}counted 1200\n`, ""]);
});

Deno.test("wasm: one node alone needs no more permissions than a node, and the file", async () => {
  await using cluster = new ProcessCluster();
  const permissions = ["--allow-ffi", "--allow-net=127.0.0.1", "--allow-read", "--no-prompt"];
  const args = ["run", ...permissions, "mod.ts", "wasm", PROGRAM, "check"];
  const { code, stdout, stderr } = await cluster.spawn("one node", { args }).exit();
  assertEquals([code, stdout, stderr], [0, "checked\n", ""]);
});

Deno.test("wasm: several nodes without the permission to start them are refused in one line", async () => {
  await using cluster = new ProcessCluster();
  const permissions = ["--allow-ffi", "--allow-net", "--allow-read", "--allow-env", "--no-prompt"];
  const args = ["run", ...permissions, "mod.ts", "wasm", "-n", "2", PROGRAM, "check"];
  const { code, stderr } = await cluster.spawn("no permission", { args }).exit();
  const line = "Cannot start node 2: run Deno with --allow-run (PermissionMissing)";
  assertEquals([code, stderr], [2, `tdsm: error: ${line}\n`]);
});

Deno.test("wasm: a thread names the node of those that it starts", async () => {
  const { code, stdout } = await run("--nodes=2", PROGRAM, "choose");
  assertEquals([code, stdout], [0, "nodes 2\nnode 2\nnode 2\n"]);
});

Deno.test("wasm: no node has more threads than it may have", async () => {
  const { code, stdout } = await run("-n2", "--threads-per-node", "2", PROGRAM, "fill");
  // Beside the main thread.
  assertEquals([code, stdout], [0, "made 3\n"]);
});

Deno.test("wasm: a thread that has ended leaves its room to the next one", async () => {
  const { code, stdout } = await run("-n", "2", "--threads-per-node=1", PROGRAM, "repeat");
  assertEquals([code, stdout], [0, "repeated\n"]);
});

Deno.test("wasm: proc_exit of a thread on another node ends the program by its code", async () => {
  const { code, stdout, stderr } = await run("-n", "2", PROGRAM, "exit");
  assertEquals([code, stdout, stderr], [7, "starts\n", ""]);
});

Deno.test("wasm: proc_exit ends a program that catches whatever is thrown", () =>
  withFolder(async (folder) => {
    const path = `${folder}/program.wasm`;
    const [I32, FUNCTION, EXIT, START] = [0x7f, 0, 0, 1];
    const [TRY, CATCH_ALL, END, NOTHING, CONSTANT, CALL] = [0x06, 0x19, 0x0b, 0x40, 0x41, 0x10];
    await Deno.writeFile(
      path,
      wasmModule(
        section(Section.Type, functionType([I32], []), functionType([], [])),
        section(Section.Import, [
          ...[...text("wasi_snapshot_preview1"), ...text("proc_exit"), FUNCTION, 0],
        ]),
        section(Section.Function, [1]),
        sharedMemory(1, 2),
        section(Section.Export, [...text("_start"), FUNCTION, START]),
        section(Section.Code, body(TRY, NOTHING, CONSTANT, 3, CALL, EXIT, CATCH_ALL, END)),
      ),
    );
    const { code, stderr } = await run(path);
    assertEquals([code, stderr], [3, ""]);
  }));

Deno.test("wasm: a trap tells the thread, its node and the program's functions", async () => {
  const { code, stdout, stderr } = await run("-n", "2", PROGRAM, "trap");
  assertEquals([code, stdout], [134, "starts\n"]);
  assertMatch(
    stderr,
    new RegExp(
      "^tdsm: error: Thread 1, on node 2, has trapped: unreachable\n" +
        "    at threads.fall \\(function \\d+\\)\n" +
        "    at threads.execute \\(function \\d+\\)\n" +
        "    at threads.wasi_thread_start \\(function \\d+\\)\n$",
    ),
  );
});

Deno.test("wasm: a start function that traps is told in one line", () =>
  withFolder(async (folder) => {
    const path = `${folder}/program.wasm`;
    const [UNREACHABLE, FIRST] = [0x00, 0];
    await Deno.writeFile(
      path,
      wasmModule(
        section(Section.Type, functionType([], [])),
        section(Section.Function, [FIRST]),
        sharedMemory(1, 2),
        section(Section.Export, [...text("_start"), 0, FIRST]),
        [Section.Start, ...sized([FIRST])],
        section(Section.Code, body(UNREACHABLE)),
      ),
    );
    const { code, stderr } = await run(path);
    assertEquals(code, 134);
    assertEquals(
      stderr,
      "tdsm: error: The main thread, on node 1, cannot start: " +
        "the start function of the module traps: unreachable\n",
    );
  }));

Deno.test("wasm: standard input is read as it comes, line by line", async () => {
  await using cluster = new ProcessCluster();
  const process = start(cluster, PROGRAM, "echo");
  for (const line of ["one", "two"]) {
    await process.write(line);
    await process.untilPrinted(new RegExp(`${line}\n`));
  }
  await process.endInput();
  assertEquals((await process.exit()).code, 0);
});

Deno.test("wasm: where a node dies, the program ends with NodeFailed and names its threads", async () => {
  await using cluster = new ProcessCluster();
  const process = start(cluster, "-n", "2", PROGRAM, "stay");
  await process.untilPrinted(/started/);
  const [child] = await childrenOf(process);
  Deno.kill(child!, "SIGKILL");
  const { code, stderr } = await process.exit();
  assertEquals(code, 1);
  assertMatch(
    stderr,
    /error: Node 2 of the program is lost, and with it thread 1 \(NodeFailed\)\n$/,
  );
});

Deno.test("wasm: a signal ends all nodes", async () => {
  await using cluster = new ProcessCluster();
  const process = start(cluster, "-n", "2", PROGRAM, "stay");
  await process.untilPrinted(/started/);
  const children = await childrenOf(process);
  assertEquals(children.length, 1);
  process.kill("SIGTERM");
  assertEquals((await process.exit()).code, 143);
  await cluster.bounded("the end of the other node", untilEnded(children));
});

Deno.test("wasm: nodes that a launcher starts share the program; another version is refused", async () => {
  await withFolder(async (folder) => {
    await using cluster = new ProcessCluster();
    const meet = (program: string, name: string): TestProcess =>
      start(cluster, `--rendezvous=file:${folder}/${name}`, "--nodes=2", program, "count");
    const same = await Promise.all([1, 2].map(() => meet(PROGRAM, "same").exit()));
    assertEquals(same.map(({ code }) => code), [0, 0]);
    assertEquals(same.map(({ stdout }) => stdout).filter((text) => text !== "").length, 1);

    const other = `${folder}/other.wasm`;
    // A custom section, of which the program does not know.
    await Deno.writeFile(
      other,
      [await Deno.readFile(PROGRAM), Uint8Array.of(0, 2, 1, 0x78)].reduce(
        (all, part) => Uint8Array.of(...all, ...part),
      ),
    );
    const differ = await Promise.all([PROGRAM, other].map((path) => meet(path, "two").exit()));
    for (const { code, stdout } of differ) {
      assertNotEquals(code, 0);
      assertEquals(stdout, "");
    }
    assertMatch(
      differ.map(({ stderr }) => stderr).join(""),
      /Cannot run \S+: node 2 has another program, or another version of it/,
    );
  });
});
