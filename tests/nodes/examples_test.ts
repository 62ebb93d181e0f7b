/**
 * The examples as people run them: by the launcher, as their first lines say, and each node on a
 * console.
 */

import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { decode } from "fast-png";
import { fileURLToPath } from "node:url";
import { withFolder } from "../support/folder.ts";
import { ProcessCluster } from "../support/process_cluster.ts";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));

/** What a node needs, and no more. */
const PERMISSIONS = ["run", "--no-prompt", "--allow-ffi", "--allow-net"];

/** The source of an example; nothing for a folder. */
function textOf(name: string): string {
  return name.endsWith(".ts") ? Deno.readTextFileSync(`${ROOT}examples/${name}`) : "";
}

/** What was printed, but for packages that Deno had yet to fetch. */
function withoutDownloads(stderr: string): string {
  return stderr.replace(/^(?:\[\d\] )?Download .*\n/gm, "");
}

/** The words after `./tdsm launch` that an example names in its first lines. */
function launchedAs(name: string): string[] {
  const text = textOf(`${name}.ts`);
  const [, words] = /^\/\/ {3}\.\/tdsm launch (.* examples\/\w+\.ts)$/m.exec(text)!;
  return words!.replace("examples/", `${ROOT}examples/`).split(" ");
}

/** Runs an example that must end well; returns what was printed behind the number of each node. */
async function runWell(name: string, cwd = ROOT): Promise<(node: number) => string> {
  await using cluster = new ProcessCluster();
  const launcher = ["run", "-A", "--no-prompt", `${ROOT}runtime/cli/launch.ts`];
  const args = [...launcher, ...launchedAs(name)];
  const { code, stdout, stderr } = await cluster.spawn(name, { args, cwd }).exit();
  assertEquals([code, withoutDownloads(stderr)], [0, ""], stdout);
  const linesOf = (node: number) =>
    stdout.split("\n").filter((line) => line.startsWith(`[${node}] `)).map((line) => line.slice(4));
  assertEquals(linesOf(1).at(-1), "OK");
  return (node) => linesOf(node).join("\n");
}

Deno.test("hello: as many nodes as are launched count", async () => {
  await using cluster = new ProcessCluster();
  const launcher = ["run", "-A", "--no-prompt", `${ROOT}runtime/cli/launch.ts`];
  const args = [...launcher, "-n", "3", `${ROOT}examples/hello.ts`];
  const { code, stdout, stderr } = await cluster.spawn("hello", { args }).exit();
  const expected = [1, 2, 3].map((node) => `[${node}] Node ${node} of 3 reads 300000`);
  assertEquals([code, stderr], [0, ""], stdout);
  assertEquals(stdout.trimEnd().split("\n").sort(), expected);
});

Deno.test("demo: every step shows what it promises", async () => {
  const printedBy = await runWell("demo");
  assertEquals(printedBy(1).match(/^\d\. .*$/gm)?.length, 8);
  for (
    const outcome of [
      "none is lost: 30000",
      "one at a time: 300",
      "in the order 1,2,3",
      "3 elements, of nodes 1, 2, 3",
      "1 + 2 is 3, and all cells are 42",
      "node 3 threw a TypeError: this was thrown on purpose",
      "node 1 says 11, node 2 says 11, node 3 says 11",
    ]
  ) assertStringIncludes(printedBy(1), outcome);
  assertEquals([printedBy(2), printedBy(3)], ["", ""]);
});

Deno.test("vector_add: the sum is right, and the numbers travel as pages", async () => {
  const printedBy = await runWell("vector_add");
  assertMatch(printedBy(1), /^2 nodes added 1000000 numbers in \d+ ms$/m);
  const [, sent, received] = /^Node 1 sent (\d+) pages and received (\d+)$/m.exec(printedBy(1))!;
  // 1,954 pages each: the two addends go to other nodes, and the sum comes from them.
  assert(Number(sent) >= 2 * 1954 && Number(received) >= 1954, printedBy(1));
});

Deno.test("vector_add: three consoles, of which the second and the third end by themselves", async () => {
  await using cluster = new ProcessCluster();
  const start = (name: string, env: Record<string, string>) =>
    cluster.spawn(name, { args: ["run", "-A", "--no-prompt", "examples/vector_add.ts"], env });
  const first = start("console 1", { DIRECTORY: "1", PORT: "0", NODES: "3", LOGLEVEL: "3" });
  const [, at] = await first.untilPrinted(/Others join with --directory-address (\S+)/);
  const server = { RPC_SERVER: "1", DIRECTORY_ADDRESS: at! };
  const servers = [start("console 2", server), start("console 3", server)];
  const { code, stdout } = await first.exit();
  assertEquals([code, stdout.trimEnd().split("\n").at(-1)], [0, "OK"]);
  const ends = await Promise.all(servers.map((process) => process.exit()));
  assertEquals(ends.map(({ code, stdout, stderr }) => [code, stdout + stderr]), [[0, ""], [0, ""]]);
});

Deno.test("examples: a flag that none has is refused, before anything starts", async () => {
  const names = [...Deno.readDirSync(`${ROOT}examples`)].map(({ name }) => name)
    .filter((name) => /\brun\(main\b/.test(textOf(name)));
  assert(names.includes("heat.ts") && names.length >= 8, `${names}`);
  await using cluster = new ProcessCluster();
  const refusals = await Promise.all(names.map(async (name) => {
    const args = [...PERMISSIONS, `examples/${name}`, "--foo"];
    const { code, stdout, stderr } = await cluster.spawn(name, { args }).exit();
    return [name, code, stdout, withoutDownloads(stderr)];
  }));
  const line = "tdsm: error: Cannot use --foo: --help tells what there is (InvalidOption)\n";
  assertEquals(refusals, names.map((name) => [name, 2, "", line]));
});

Deno.test("examples: what cannot start its Workers, or read its environment, says so and ends", async () => {
  await using cluster = new ProcessCluster();
  const start = (name: string) => {
    const args = [...PERMISSIONS, `examples/${name}`, "--directory", "--port=0"];
    return cluster.spawn(name, { args }).exit();
  };
  for (const name of ["atomics.ts", "mandelbrot.ts"]) {
    const { code, stderr } = await start(name);
    assertEquals(code, 1, stderr);
    assertMatch(
      stderr,
      /^tdsm: error: The program of node 1 has failed: Requires read access to /m,
    );
  }
  const args = [...PERMISSIONS, "examples/memtest.ts", "--directory", "--port=0", "--nodes=1"];
  const { code, stderr } = await cluster.spawn("memtest", { args }).exit();
  assertEquals(code, 1, stderr);
  assertMatch(stderr, /^tdsm: error: .* MemtestError: The test is for 2 to 64 nodes/);
});

Deno.test("demo and vector_add say what they need where no other node is there", async () => {
  await using cluster = new ProcessCluster();
  const run = (name: string) => {
    const args = ["run", "-A", "--no-prompt", `examples/${name}.ts`, "--port=0"];
    return cluster.spawn(name, { args }).exit();
  };
  const [demo, vectorAdd] = await Promise.all([run("demo"), run("vector_add")]);
  assertEquals([demo.code, demo.stdout, vectorAdd.code, vectorAdd.stdout], [1, "", 1, ""]);
  assertStringIncludes(demo.stderr, "Start several nodes: one has nobody to share memory with");
  assertStringIncludes(vectorAdd.stderr, "Start node 1, and beside it nodes with --rpc-server");
});

Deno.test("heat: the plate is that of one thread, and rows at the edges of shares move", async () => {
  const printedBy = await runWell("heat");
  assertMatch(printedBy(1), /^200 steps of 512 × 512 cells in \d+ ms; one thread took \d+ ms$/m);
  for (const node of [1, 2, 3]) {
    const [, moved] = /^\d+ faults; (\d+) pages came in, \d+ went out$/m.exec(printedBy(node))!;
    assert(Number(moved) >= 200, printedBy(node));
  }
});

Deno.test("mandelbrot: Workers of all nodes draw every tile once, and there is a picture", async () => {
  await withFolder(async (folder) => {
    const printedBy = await runWell("mandelbrot", folder);
    const tiles = [1, 2, 3].flatMap((node) => {
      const drew = /^My Workers drew (\d+) and (\d+) tiles in \d+ ms$/m.exec(printedBy(node))!;
      return drew.slice(1).map(Number);
    });
    // 384 pages of 2,048 pixels each.
    assertEquals(tiles.reduce((sum, count) => sum + count), 384);
    const { width, height, data } = decode(await Deno.readFile(`${folder}/mandelbrot.png`));
    assertEquals([width, height], [1024, 768]);
    // The point 0 is in the set, the left upper corner is not.
    const zero = 3 * (384 * width + Math.round(2.2 / 3 * width));
    assertEquals([...data.subarray(zero, zero + 3)], [0, 0, 0]);
    assert(data[2]! > 0);
  });
});

Deno.test("atomics: code that knows nothing of nodes waits for Workers of all nodes", async () => {
  const printedBy = await runWell("atomics");
  assertMatch(printedBy(1), /^2000 squares by Workers of 3 nodes add up to 2664667000$/m);
  const done = [1, 2, 3].flatMap((node) =>
    /^My Workers did (\d+) and (\d+) of them$/m.exec(printedBy(node))!.slice(1).map(Number)
  );
  assertEquals(done.reduce((sum, count) => sum + count), 2_000);
});

Deno.test("counter: a C variable is one variable on all nodes", async () => {
  await withFolder(async (folder) => {
    const text = await Deno.readTextFile(`${ROOT}examples/counter.ts`);
    const [, words] = /^\/\/ {3}gcc (.*)$/m.exec(text)!;
    const args = words!.replace("libcounter.so", `${folder}/libcounter.so`).split(" ");
    const built = await new Deno.Command("gcc", { args, cwd: ROOT }).output();
    assert(built.success, new TextDecoder().decode(built.stderr));
    const printedBy = await runWell("counter", folder);
    assertMatch(printedBy(1), /^3 nodes added 10000 each to one C variable: 30000$/m);
    const parts = [1, 2, 3].map((node) => {
      const part = /^The counter was (\d+) at .* I read (\d+) in the table$/m;
      const [, last, read] = part.exec(printedBy(node))!;
      return { last: Number(last), read: Number(read) };
    });
    assertEquals(parts.map(({ read }) => read), [500, 1000, 1500]);
    assertEquals(Math.max(...parts.map(({ last }) => last)), 30000);
  });
});

Deno.test("native_threads: threads of C++ on two nodes compute what one thread does", async () => {
  await withFolder(async (folder) => {
    const text = await Deno.readTextFile(`${ROOT}examples/native_threads.ts`);
    const [, words] = /^\/\/ {3}g\+\+ (.*)$/m.exec(text)!;
    const target = `${folder}/libthreads.so`;
    const args = ["-Wall", "-Wextra", "-pedantic", "-Werror"];
    args.push(...words!.replace("libthreads.so", target).split(" "));
    const built = await new Deno.Command("g++", { args, cwd: ROOT }).output();
    assert(built.success, new TextDecoder().decode(built.stderr));
    const printedBy = await runWell("native_threads", folder);
    for (const job of ["run_matrix_product", "run_stencil", "run_work_queue"]) {
      assertMatch(printedBy(1), new RegExp(`^${job} by 2 × 2 threads: right, \\d+ ms$`, "m"));
    }
  });
});

Deno.test("counter: a node without the module fails, and ends the others", async () => {
  await withFolder(async (folder) => {
    await using cluster = new ProcessCluster();
    const launcher = ["run", "-A", "--no-prompt", `${ROOT}runtime/cli/launch.ts`];
    const args = [...launcher, ...await launchedAs("counter")];
    const { code, stdout, stderr } = await cluster.spawn("counter", { args, cwd: folder }).exit();
    assertEquals([code, stdout.includes("OK")], [1, false]);
    assertMatch(stderr, /^\[\d\] tdsm: error: Cannot load \.\/libcounter\.so/m);
    assertMatch(stderr, /^tdsm: node \d ended with exit code 1/m);
  });
});

Deno.test("false_sharing: nodes whose cells share a page fault, those whose cells do not hardly do", async () => {
  const printedBy = await runWell("false_sharing");
  const faults = [1, 2].map((node) => {
    const [, count] = /^\d+ lines match; \d+ ms, (\d+) faults$/m.exec(printedBy(node))!;
    return Number(count);
  });
  assert(Math.max(...faults) > 1, `${faults}`);
  await using cluster = new ProcessCluster();
  const launcher = ["run", "-A", "--no-prompt", `${ROOT}runtime/cli/launch.ts`];
  const args = [...launcher, "-n", "2", `${ROOT}examples/false_sharing.ts`, "--apart"];
  const { code, stdout } = await cluster.spawn("apart", { args }).exit();
  assertEquals(code, 0);
  assertEquals(stdout.match(/^\[[12]\] \d+ lines match; \d+ ms, 1 faults$/gm)?.length, 2, stdout);
});
