/** The examples as people run them: with three local nodes by one command, and each node on a console. */

import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { decode } from "npm:fast-png@8.0.0";
import { ProcessCluster } from "../support/process_cluster.ts";

/** The command line of an example. */
function example(name: string, ...args: string[]): string[] {
  return ["run", "-A", "--no-prompt", `examples/${name}.ts`, ...args];
}

/** Runs an example that must end well; returns what its node 1 printed, which alone prints. */
async function runWell(name: string, ...args: string[]): Promise<string> {
  await using cluster = new ProcessCluster();
  const { code, stdout, stderr } = await cluster.spawn(name, { args: example(name, ...args) })
    .exit();
  assertEquals([code, stderr], [0, ""], stdout);
  const lines = stdout.trimEnd().split("\n");
  assert(lines.every((line) => line.startsWith("[1] ")), stdout);
  const printed = lines.map((line) => line.slice("[1] ".length));
  assertEquals(printed.at(-1), "OK");
  return printed.join("\n");
}

/** What a table of what nodes have moved says of each, in its order. */
function movedBy(stdout: string): { node: number; pagesIn: number; pagesOut: number }[] {
  const [, table] = /^NODE +FAULTS +PAGES IN +PAGES OUT +BYTES IN +BYTES OUT\n((?: +\d.*\n)+)/m
    .exec(stdout)!;
  return table!.trimEnd().split("\n").map((row) => {
    const [node, , pagesIn, pagesOut] = row.trim().split(/ +/).map(Number);
    return { node: node!, pagesIn: pagesIn!, pagesOut: pagesOut! };
  });
}

const nodesOf = (stdout: string): number[] => movedBy(stdout).map(({ node }) => node);

/** What a program says of arguments that it does not know. */
const HELP = "--help tells what there is (InvalidOption)";

/** Gives a path for a picture to `use`, and removes what is there after it. */
async function withPicture(use: (path: string) => Promise<void>): Promise<void> {
  const path = await Deno.makeTempFile({ suffix: ".png" });
  try {
    await use(path);
  } finally {
    await Deno.remove(path);
  }
}

Deno.test("demo: every step shows what it promises", async () => {
  const stdout = await runWell("demo");
  assertEquals(stdout.match(/^\d\. .*$/gm)?.length, 8);
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
  ) assertStringIncludes(stdout, outcome);
  assertEquals(nodesOf(stdout), [1, 2, 3]);
});

Deno.test("vector_add: the sum is right, and the numbers travel as pages", async () => {
  const stdout = await runWell("vector_add", "--length=100000");
  assertMatch(stdout, /^2 nodes added 100000 numbers in .* MiB\/s$/m);
  // 196 pages each: the two addends go to other nodes, and the sum comes from them.
  const [first, ...servers] = movedBy(stdout);
  assert(first!.pagesIn >= 196 && first!.pagesOut >= 392, stdout);
  assertEquals(servers.map(({ node }) => node), [2, 3]);
});

Deno.test("vector_add: three consoles, of which the second and the third end by themselves", async () => {
  await using cluster = new ProcessCluster();
  const start = (name: string, env: Record<string, string>) =>
    cluster.spawn(name, { args: example("vector_add"), env });
  const first = start("console 1", { DIRECTORY: "1", PORT: "0" });
  const [, at] = await first.untilPrinted(/^Node 1 at (\S+): /m);
  const server = { RPC_SERVER: "1", DIRECTORY_ADDRESS: at! };
  const servers = [start("console 2", server), start("console 3", server)];
  const { code, stdout } = await first.exit();
  assertEquals([code, stdout.trimEnd().split("\n").at(-1)], [0, "OK"]);
  const ends = await Promise.all(servers.map((process) => process.exit()));
  assertEquals(ends.map(({ code, stdout, stderr }) => [code, stdout + stderr]), [[0, ""], [0, ""]]);
});

Deno.test("heat: the plate is that of one thread, and the picture is that of the plate", async () => {
  await withPicture(async (path) => {
    const stdout = await runWell("heat", "--cells=128", "--steps=25", `--png=${path}`);
    assertMatch(stdout, /^25 steps of 128 × 128 cells in .* million cells\/s; one thread took/m);
    assertEquals(nodesOf(stdout), [1, 2, 3]);
    const { width, height, data } = decode(await Deno.readFile(path));
    assertEquals([width, height], [128, 128]);
    const colour = (row: number, column: number) => {
      const at = 3 * (row * width + column);
      return [...data.subarray(at, at + 3)];
    };
    // The edge is cold, and not far from the middle it is as hot as at first.
    assertEquals(colour(0, 64), [0, 0, 80]);
    assert(colour(64, 69)[0]! > 200);
  });
});

Deno.test("heat: nodes that are started one by one, with a fourth that is too many", async () => {
  await using cluster = new ProcessCluster();
  const args = example("heat", "--cells=64", "--steps=10", "--port=0");
  const first = cluster.spawn("node 1", { args, env: { DIRECTORY: "1" } });
  const [, at] = await first.untilPrinted(/^Node 1 at (\S+): /m);
  const others = [2, 3, 4].map((node) => {
    const role: Record<string, string> = node === 3 ? { RPC_SERVER: "1" } : {};
    return cluster.spawn(`process ${node}`, { args, env: { DIRECTORY_ADDRESS: at!, ...role } });
  });
  const { code, stdout } = await first.exit();
  assertEquals([code, stdout.trimEnd().split("\n").at(-1)], [0, "OK"], stdout);
  const ends = await Promise.all(others.map((process) => process.exit()));
  // The fourth may also find that all is over.
  assert(ends.filter(({ code }) => code === 0).length >= 2);
});

Deno.test("mandelbrot: Workers of all nodes draw every tile once", async () => {
  await withPicture(async (path) => {
    const stdout = await runWell("mandelbrot", "--width=320", "--height=240", `--png=${path}`);
    const drawn = [
      ...stdout.matchAll(/^Node (\d) drew (\d+) tiles, \d+ of other nodes' shares$/gm),
    ];
    assertEquals(drawn.map(([, id]) => id), ["1", "2", "3"]);
    // 38 pages of 2,048 pixels each.
    assertEquals(drawn.reduce((sum, [, , tiles]) => sum + Number(tiles), 0), 38);
    assertMatch(stdout, /^3 nodes with 2 Workers each drew 38 tiles in .* million pixels\/s$/m);
    const { width, height, data } = decode(await Deno.readFile(path));
    assertEquals([width, height], [320, 240]);
    // The point 0 is in the set, the left upper corner is not.
    const zero = 3 * (120 * width + Math.round(2.2 / 3 * width));
    assertEquals([...data.subarray(zero, zero + 3)], [0, 0, 0]);
    assert(data[2]! > 0);
  });
});

Deno.test("counter: a C variable is one variable on all nodes", async () => {
  const stdout = await runWell("counter", "--bumps=5000");
  assertMatch(stdout, /^3 nodes added 5000 each to one C variable in \d+ ms: 15000$/m);
  const lasts = [...stdout.matchAll(/^Node (\d) got (\d+) last, and reads (\d+) in globals of/gm)];
  assertEquals(lasts.map(([, id, , read]) => `${id}: ${read}`), [
    "1: 500",
    "2: 1000",
    "3: 1500",
  ]);
  assertEquals(Math.max(...lasts.map(([, , last]) => Number(last))), 15000);
});

Deno.test("every example tells how it is used, and what it cannot use", async () => {
  await using cluster = new ProcessCluster();
  const names = ["demo", "vector_add", "heat", "mandelbrot", "counter"];
  await Promise.all(names.map(async (name) => {
    const run = (...args: string[]) => cluster.spawn(name, { args: example(name, ...args) }).exit();
    const [help, few, extra, unknown, near] = await Promise.all([
      run("--help"),
      run("--nodes=1"),
      run("extra"),
      run("--foo"),
      run("--directory-adress=127.0.0.1"),
    ]);
    assertEquals([help.code, help.stderr], [0, ""]);
    assertStringIncludes(help.stdout, `Usage: ${name}.ts [OPTIONS]`);
    const refused = [few, extra, unknown, near];
    assertEquals(refused.map(({ code, stdout }) => [code, stdout]), Array(4).fill([2, ""]));
    assertEquals(
      few.stderr,
      'tdsm: error: Cannot use "1" of --nodes: it must be a whole number from 2 to 64 (InvalidOption)\n',
    );
    assertEquals(extra.stderr, `tdsm: error: Cannot use extra: ${HELP}\n`);
    assertEquals(unknown.stderr, `tdsm: error: Cannot use --foo: ${HELP}\n`);
    assertMatch(
      near.stderr,
      /^tdsm: error: Cannot use flag --directory-adress: did you mean --directory-address\?/,
    );
  }));
});

Deno.test("a node of an example that fails is told, and ends the others", async () => {
  await using cluster = new ProcessCluster();
  const args = example("counter", "--module=/nowhere/libcounter.so");
  const { code, stdout, stderr } = await cluster.spawn("counter", { args }).exit();
  assertEquals([code, stdout.includes("OK")], [1, false]);
  assertMatch(stderr, /^\[\d\] tdsm: error: Cannot load \/nowhere\/libcounter\.so/m);
  assertMatch(stderr, /^tdsm: node \d ended with exit code 1/m);
});

Deno.test("an example has colours where they are wanted", async () => {
  await using cluster = new ProcessCluster();
  const run = (name: string, env: Record<string, string>) =>
    cluster.spawn(name, { args: example("vector_add", "--nodes=2", "--length=1000"), env }).exit();
  const coloured = await run("with colours", { NO_COLOR: "", FORCE_COLOR: "1" });
  const plain = await run("without", {});
  assertStringIncludes(coloured.stdout, "[1] \x1b[32mOK\x1b[39m\n");
  assertStringIncludes(plain.stdout, "[1] OK\n");
});

Deno.test("./tdsm launch runs an example as its nodes do by themselves", async () => {
  await using cluster = new ProcessCluster();
  const args = ["run", "-A", "--no-prompt", "runtime/cli/launch.ts", "-n", "2"];
  const flags = ["--cells=64", "--steps=10"];
  const run = cluster.spawn("launch", { args: [...args, "examples/heat.ts", ...flags] });
  const { code, stdout, stderr } = await run.exit();
  assertEquals([code, stderr], [0, ""], stdout);
  assertMatch(stdout, /^\[1\] OK$/m);
});
