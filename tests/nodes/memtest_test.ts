/** The memory test as people run it: on three consoles, and all by itself. */

import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { untilEnded } from "../support/processes.ts";
import { ProcessCluster, RemoteNode, type TestProcess } from "../support/process_cluster.ts";

const PERMISSIONS = ["ffi", "net", "env", "read", "run"].map((name) => `--allow-${name}`);
const ARGS = ["run", "--no-prompt", ...PERMISSIONS, "tests/tools/memtest.ts"];

/** Waits until a test fills its region with three nodes; returns their processes. */
async function nodesOf(test: TestProcess): Promise<number[]> {
  await test.untilPrinted(/ nodes are here /);
  const children = (await test.proc(`task/${test.pid}/children`)).split(" ");
  const nodes = await Promise.all(
    children.filter((pid) => pid !== "").map(async (pid) => {
      const cat = new Deno.Command("cat", { args: [`/proc/${pid}/cmdline`] });
      const words = new TextDecoder().decode((await cat.output()).stdout).split("\0");
      return words.includes("run") ? [Number(pid)] : [];
    }),
  );
  return nodes.flat();
}

Deno.test("memtest: three consoles, of which the second and the third end by themselves", async () => {
  await using cluster = new ProcessCluster();
  const consoles = [
    cluster.spawn("console 1", { args: ARGS, env: { DIRECTORY: "1", PORT: "7000" } }),
    cluster.spawn("console 2", { args: ARGS, env: { RPC_SERVER: "1", PORT: "7001" } }),
    cluster.spawn("console 3", { args: ARGS, env: { RPC_SERVER: "1", PORT: "7002" } }),
  ];
  const exits = await Promise.all(consoles.map((process) => process.exit()));
  assertEquals(exits.map(({ code, stderr }) => [code, stderr]), Array(3).fill([0, ""]));
  const printed = exits[0]!.stdout.trimEnd().split("\n");
  assertEquals(printed.at(-1), "OK");
  assertMatch(printed[0]!, /^Node 1 at 127\.0\.0\.1:7000: /);
  assertEquals(
    exits.slice(1).map(({ stdout }) => /^Node \d at (\S+) takes part$/m.exec(stdout)?.[1]),
    ["127.0.0.1:7001", "127.0.0.1:7002"],
  );
});

for (
  const flags of [
    [],
    ["--nodes=2"],
    ["--workers=4"],
    ["--port=7000", "--no-checksums"],
    ["--nodes=5", "--size=1MiB", "--workers=1"],
    ["--page-size=2MiB"],
  ]
) {
  Deno.test(`memtest: all by itself ${flags.join(" ")}`, async () => {
    await using cluster = new ProcessCluster();
    const test = cluster.spawn("memtest", { args: [...ARGS, ...flags] });
    const { code, stdout, stderr } = await test.exit();
    assertEquals([code, stderr], [0, ""]);
    assertEquals(stdout.trimEnd().split("\n").at(-1), "[1] OK");
  });
}

Deno.test("memtest: a wrong word is found, and reported with its offset", async () => {
  await using cluster = new ProcessCluster();
  const test = cluster.spawn("memtest", {
    args: [...ARGS, "--directory", "--port=0", "--nodes=2", "--size=1MiB"],
  });
  const [, at] = await test.untilPrinted(/^Node 1 at (\S+): /m);
  const other = await RemoteNode.ready(cluster.spawnNode([`--directory-address=${at}`]));
  const steps = new URL("../../examples/memtest_steps.ts", import.meta.url).href;
  // The test that fails ends this node, too, maybe before it has answered.
  const spoiled = other.evaluate(async (node, steps) => {
    const { Memtest } = await import(steps);
    const test = new Memtest(node);
    await test.attend();
    Atomics.add(node.view(Int32Array, node.pageSize, 1), 0, 1);
    await test.count();
  }, steps).catch(() => {});
  const { code, stdout, stderr } = await test.exit();
  assertEquals(code, 1);
  assertMatch(
    stderr,
    /^tdsm: error: .*MemtestError: Mismatch at node 1, offset 4096: expected 0x0001fffe, found 0x0001ffff$/m,
  );
  await spoiled;
  assertEquals(stdout.includes("OK"), false);
});

Deno.test("memtest: a node that is killed fails the test, and ends it", async () => {
  await using cluster = new ProcessCluster();
  const test = cluster.spawn("memtest", { args: [...ARGS, "--size=1GiB"] });
  const nodes = await nodesOf(test);
  assertEquals(nodes.length, 3);
  Deno.kill(nodes[2]!, "SIGKILL");
  const { code, stdout, stderr } = await test.exit();
  assertEquals([code, stdout.includes("OK")], [128 + 9, false]);
  assertMatch(stderr, /^tdsm: node 3 was ended by SIGKILL, so the others are ended$/m);
  await cluster.bounded("the end of all nodes", untilEnded(nodes));
});

for (const [signal, number] of [["SIGINT", 2], ["SIGKILL", 9], ["SIGTERM", 15]] as const) {
  Deno.test(`memtest: ends its nodes when it is ended by ${signal}`, async () => {
    await using cluster = new ProcessCluster();
    const test = cluster.spawn("memtest", { args: [...ARGS, "--size=1GiB"] });
    const nodes = await nodesOf(test);
    assertEquals(nodes.length, 3);
    test.kill(signal);
    const ended = cluster.bounded("the end of all nodes", untilEnded(nodes));
    const { code } = await test.exit();
    await ended;
    assertEquals(code, 128 + number);
  });
}

Deno.test("memtest: a long step shows its progress, its rate and the time that is left", async () => {
  await using cluster = new ProcessCluster();
  const args = [...ARGS, "--directory", "--port=0", "--size=4GiB"];
  const test = cluster.spawn("memtest", { args, env: { TDSM_TERMINAL: "1" } });
  await test.untilPrinted(
    /\rnode 1 filled the region █+░+ +\d+ %, \d+ MiB\/s, (?:\d+ min )?\d+ s left/,
  );
});

Deno.test("memtest: its table has titles, and sizes are written as people do", async () => {
  await using cluster = new ProcessCluster();
  const { code, stdout } = await cluster.spawn("memtest", { args: [...ARGS, "--nodes=2"] }).exit();
  assertEquals(code, 0);
  const lines = stdout.split("\n").filter((line) => line.startsWith("[1] "));
  assertMatch(lines[0]!, /^\[1\] Node 1 at \S+: 64MiB in pages of 4KiB, waiting for 1 node$/);
  const [title, first] = lines.slice(1);
  assertMatch(title!, /^\[1\] STEP +TIME +RATE$/);
  assertMatch(first!, /^\[1\] node 1 filled the region +\d+\.\d ms +\d+ MiB\/s$/);
  assertEquals(title!.length, first!.length);
});

Deno.test("memtest: it has colours where they are wanted", async () => {
  await using cluster = new ProcessCluster();
  const run = (name: string, env: Record<string, string>) =>
    cluster.spawn(name, { args: [...ARGS, "--nodes=2", "--size=1MiB"], env }).exit();
  const coloured = await run("with colours", { NO_COLOR: "", FORCE_COLOR: "1" });
  const plain = await run("without", {});
  assertStringIncludes(coloured.stdout, "[1] \x1b[32mOK\x1b[0m\n");
  assertStringIncludes(plain.stdout, "[1] OK\n");
});

Deno.test("memtest: what it cannot do, it says", async () => {
  await using cluster = new ProcessCluster();
  const run = (args: string[], env = {}) =>
    cluster.spawn(args.join(" "), { args: [...ARGS, ...args], env }).exit();
  const [help, nodes, workers, small, lost] = await Promise.all([
    run(["--help"]),
    run(["--nodes=1"]),
    run(["--workers=17"]),
    run(["--size=16KiB"]),
    run(["--rpc-server", "--directory-address=127.0.0.1:1"], { JOIN_TIMEOUT_MS: "100" }),
  ]);
  const [extra, unknown, near] = await Promise.all([
    run(["extra"]),
    run(["--foo"]),
    run(["--worker=2"]),
  ]);
  assertEquals([help, nodes, workers, small, lost].map(({ code }) => code), [0, 2, 2, 1, 70]);
  assertEquals([extra, unknown, near].map(({ code }) => code), [2, 2, 2]);
  assertMatch(extra.stderr, /Cannot use extra: --help tells what there is/);
  assertMatch(unknown.stderr, /Cannot use --foo: --help tells what there is/);
  assertMatch(near.stderr, /Cannot use --worker=2: did you mean --workers\?/);
  assertMatch(help.stdout, /--nodes N/);
  assertMatch(nodes.stderr, /Cannot use "1" of --nodes: it must be a whole number from 2/);
  assertMatch(
    workers.stderr,
    /Cannot use "17" of --workers: it must be a whole number from 0 to 16/,
  );
  assertMatch(small.stderr, /The region has 4 pages; the test needs 8/);
  assertMatch(lost.stderr, /^tdsm: error: Cannot join: no directory at 127\.0\.0\.1:1 /);
});
