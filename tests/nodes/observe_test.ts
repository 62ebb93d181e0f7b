/** What people see of a cluster and a machine: `--status`, `--doctor` and the log, as processes. */

import { assert, assertEquals, assertMatch } from "@std/assert";
import type { Check } from "../../runtime/cli/doctor.ts";
import type { ClusterStatus } from "../../runtime/cli/status.ts";
import { ProcessCluster, RemoteNode } from "../support/process_cluster.ts";
import type { Exit } from "../support/test_process.ts";

function runMain(
  cluster: ProcessCluster,
  permissions: string[],
  ...flags: string[]
): Promise<Exit> {
  const args = ["run", "--no-prompt", ...permissions, "mod.ts", ...flags];
  return cluster.spawn(flags.join(" "), { args }).exit();
}

/**
 * Starts a program on a terminal of its own: Python, which the launcher needs anyway, has those.
 */
const ON_TERMINAL = ["python3", "-c", "import pty, sys; pty.spawn(sys.argv[1:])"];

Deno.test("status: shows every node with its pages, by the network alone, and takes no id", async () => {
  await using cluster = new ProcessCluster();
  const [directory, second] = await cluster.start(2);
  await second!.evaluate((node) => void node.memory.fill(1, 0, 3 * node.pageSize));
  assertEquals(await directory!.load(0), 0x01010101);
  const at = `--directory-address=${directory!.at}`;
  const { code, stdout, stderr } = await runMain(
    cluster,
    ["--allow-net"],
    "--status",
    "--json",
    at,
  );
  assertEquals([code, stderr], [0, ""]);
  const status = JSON.parse(stdout) as ClusterStatus;
  assertEquals(status.nodes.map(({ id, port }) => [id, port]), [
    [1, directory!.info.port],
    [2, second!.info.port],
  ]);
  for (const [index, node] of [directory!, second!].entries()) {
    const { pagesShared, pagesExclusive } = await node.evaluate((node) => node.stats());
    const { stats } = status.nodes[index]!;
    assertEquals([stats!.pagesShared, stats!.pagesExclusive], [pagesShared, pagesExclusive]);
    assert(stats!.messagesSent! > 0);
  }
  assert(status.nodes[1]!.stats!.pagesShared! >= 1, "page 0 is on both");
  assert(status.nodes[1]!.stats!.pagesExclusive! >= 1, "page 2 is on one");
  // No id was used up, and no node has learned of another one.
  assertEquals((await cluster.join(directory!)).info.id, 3);
  const table = await runMain(cluster, ["--allow-net"], "--status", at);
  assertMatch(
    table.stdout,
    /^NODE +ADDRESS +CHUNKS +SHARED +EXCLUSIVE +DEAD .*\n +1 .*\n +2 .*\n +3 .*\n\nNODE +FAULTS .*\n +1 /m,
  );
});

Deno.test("status: a directory node that listens everywhere is shown where it was reached", async () => {
  await using cluster = new ProcessCluster();
  const directory = await cluster.host("--address=0.0.0.0", "--insecure", "--log-level=0");
  const at = `127.0.0.1:${directory.info.port}`;
  await RemoteNode.ready(
    cluster.spawnNode([
      `--directory-address=${at}`,
      "--address=0.0.0.0",
      "--insecure",
      "--log-level=0",
    ]),
  );
  const { stdout } = await runMain(
    cluster,
    ["--allow-net"],
    "--status",
    "--json",
    `--directory-address=${at}`,
  );
  const { nodes } = JSON.parse(stdout) as ClusterStatus;
  assertEquals(nodes.map(({ address }) => address), ["127.0.0.1", "127.0.0.1"]);
});

Deno.test("status: with --watch it looks again and again, until the cluster ends", async () => {
  await using cluster = new ProcessCluster();
  const [directory, second] = await cluster.start(2);
  const args = ["run", "--no-prompt", "--allow-net", "mod.ts", "--status", "--watch"];
  const at = `--directory-address=${directory!.at}`;
  const json = cluster.spawn("json", { args: [...args, "--json", at] });
  const terminal = cluster.spawn("terminal", { args: [...args, at], prefix: ON_TERMINAL });
  await json.untilPrinted(/^.+\n.+\n/);
  // deno-lint-ignore no-control-regex
  await terminal.untilPrinted(/measuring[^]*\x1b\[H[^]*2 nodes, region of 64MiB: \d+ pages\/s/);
  const looks = json.stdout.trimEnd().split("\n").map((line) => JSON.parse(line));
  for (const { time, nodes } of looks) {
    assertEquals(new Date(time).toISOString(), time);
    assertEquals((nodes as ClusterStatus["nodes"]).map(({ id }) => id), [1, 2]);
  }
  assertEquals((await second!.leave()).code, 0);
  assertEquals((await directory!.leave()).code, 0);
  const { code, stderr } = await json.exit();
  assertEquals(code, 70);
  assertMatch(stderr, /^tdsm: error: Cannot get the status: .*\n$/);
});

Deno.test("status: a node that says nothing is shown without its counters", async () => {
  await using cluster = new ProcessCluster();
  const [directory, second] = await cluster.start(2);
  second!.process.kill("SIGSTOP");
  const at = `--directory-address=${directory!.at}`;
  const { code, stdout } = await runMain(cluster, ["--allow-net"], "--status", "--json", at);
  second!.process.kill("SIGCONT");
  const { nodes } = JSON.parse(stdout) as ClusterStatus;
  assertEquals([code, nodes.length, nodes[1]!.stats], [0, 2, null]);
  assert(nodes[0]!.stats !== null);
});

Deno.test("status: says that no directory listens at the address", async () => {
  await using cluster = new ProcessCluster();
  const [directory, second] = await cluster.start(2);
  const ask = (permission: string, address: string) =>
    runMain(cluster, [permission], "--status", `--directory-address=${address}`);
  const wrong = await ask("--allow-net", second!.at);
  assertEquals([wrong.code, wrong.stdout], [70, ""]);
  assertMatch(wrong.stderr, new RegExp(`not the directory, which is at ${directory!.at} `));
  const denied = await ask("--allow-ffi", directory!.at);
  assertMatch(denied.stderr, /--allow-net=127\.0\.0\.1 \(PermissionMissing\)/);
  assertEquals((await second!.leave()).code, 0);
  assertEquals((await directory!.leave()).code, 0);
  const gone = await ask("--allow-net", directory!.at);
  assertEquals(gone.code, 70);
  assertMatch(gone.stderr, /no directory at .*--directory-address \(NoDirectory\)/);
});

Deno.test("status: --join-timeout bounds the wait for a program that is no directory", async () => {
  await using cluster = new ProcessCluster();
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const at = `127.0.0.1:${listener.addr.port}`;
  const asking = runMain(
    cluster,
    ["--allow-net"],
    "--status",
    `--directory-address=${at}`,
    "--join-timeout=200",
  );
  using _connection = await listener.accept();
  const { code, stdout, stderr } = await asking;
  assert(code !== 0);
  assertEquals(stdout, "");
  const [, waited] = new RegExp(
    `Cannot get the status: what listens at ${at} does not answer .*: no answer within (\\d+) ms`,
  ).exec(stderr)!;
  assert(Number(waited) <= 200, stderr);
});

Deno.test("doctor: with the permissions of a node it finds nothing, without them it says what to do", async () => {
  await using cluster = new ProcessCluster();
  const doctor = async (permissions: string[], ...flags: string[]) => {
    const run = await runMain(cluster, permissions, "--doctor", "--json", "--port=0", ...flags);
    const { checks } = JSON.parse(run.stdout) as { checks: Check[] };
    const checkOf = (name: string) => checks.find((check) => check.name === name)!;
    return { ...run, checks, checkOf };
  };
  const healthy = await doctor(["--allow-ffi", "--allow-net"]);
  assertEquals([healthy.code, healthy.stderr], [0, ""]);
  for (const name of ["system", "--allow-ffi", "--allow-net", "library", "port"]) {
    assertEquals(healthy.checkOf(name).verdict, "ok", name);
  }
  assertMatch(healthy.checkOf("kernel").found, /^Linux \d+\.\d+/);

  const poor = await doctor([]);
  assertEquals([poor.code, poor.stderr], [1, ""]);
  assertEquals(poor.checkOf("--allow-ffi").verdict, "failed");
  assertEquals(poor.checkOf("--allow-net").verdict, "failed");
  assertEquals(poor.checkOf("userfaultfd").verdict, "unknown");

  const lost = await doctor(["--allow-ffi", "--allow-net"], "--library=/nowhere/libtdsm.so");
  assertEquals([lost.code, lost.checkOf("library").verdict], [1, "failed"]);
  for (const { verdict, remedy } of [...poor.checks, ...lost.checks]) {
    assertEquals(remedy !== undefined, verdict === "failed" || verdict === "warning");
  }
});

Deno.test("doctor: a port that is in use is told, and the flags that do not go together", async () => {
  await using cluster = new ProcessCluster();
  const { info: { port } } = await cluster.host();
  const run = (...flags: string[]) =>
    runMain(cluster, ["--allow-ffi", "--allow-net"], `--port=${port}`, ...flags);
  const { code, stdout } = await run("--doctor");
  assertEquals(code, 0);
  assertMatch(
    stdout,
    new RegExp(`^warning +port +127\\.0\\.0\\.1:${port} is in use\n +→ stop`, "m"),
  );
  const anyPort = await run("--status", "--port=0");
  assertEquals([anyPort.code, anyPort.stdout], [2, ""]);
  assertMatch(anyPort.stderr, /port 0, .*: name the directory with --directory-address HOST:PORT /);
  for (const flags of [["--json"], ["--watch"], ["--doctor", "--status"]]) {
    const refused = await run(...flags);
    assertEquals([refused.code, refused.stdout], [2, ""]);
  }
});

/** Starts a program that shows no help of its own. */
function runHello(cluster: ProcessCluster, ...flags: string[]): Promise<Exit> {
  const args = ["run", "--no-prompt", "--allow-ffi", "--allow-net", "examples/hello.ts", ...flags];
  return cluster.spawn(flags.join(" "), { args }).exit();
}

Deno.test("run: --help shows the settings, and no node is started", async () => {
  await using cluster = new ProcessCluster();
  for (const flag of ["--help", "-h"]) {
    const { code, stdout, stderr } = await runHello(cluster, "--port=0", flag);
    assertEquals([code, stderr], [0, ""]);
    assertMatch(stdout, /^This program is a node of tDSM .*:\n\n {2}--directory {2,}Host the/);
    assertMatch(stdout, /off by\s+--no-checksums; for all nodes\]\n/);
  }
});

Deno.test("run: a flag that is nearly right is refused, and no node is started", async () => {
  await using cluster = new ProcessCluster();
  for (const [wrong, right] of [["directory-adress", "directory-address"], ["sise", "size"]]) {
    const { code, stdout, stderr } = await runHello(cluster, `--${wrong}`, "127.0.0.1");
    assert(code !== 0);
    assertEquals(stdout, "");
    assertMatch(
      stderr,
      new RegExp(`Cannot use flag --${wrong}: did you mean --${right}\\? .*programFlags of run`),
    );
  }
});

Deno.test("run: a setting in the environment that may not be read is told, once, and does not count", async () => {
  await using cluster = new ProcessCluster();
  const env = { SIZE: "1MiB", PAGE_SIZE: "8KiB", COMPRESSION: "" };
  const program = "tests/nodes/programs/joins_twice.ts";
  const start = (...permissions: string[]) => {
    const args = ["run", "--no-prompt", "--allow-ffi", "--allow-net", ...permissions, program];
    return cluster.spawn(permissions.join(" "), { args, env }).exit();
  };
  const silent = await start();
  assertMatch(silent.stdout, /^67108864 67108864\n$/);
  assertMatch(
    silent.stderr,
    /^\S+Z tdsm: warning: SIZE and PAGE_SIZE are set and not read: run Deno with --allow-env=SIZE,PAGE_SIZE, or with --deny-env=SIZE,PAGE_SIZE to leave them aside\n$/,
  );
  const half = await start("--allow-env=SIZE", "--deny-env=PAGE_SIZE");
  assertEquals([half.stdout, half.stderr], ["1048576 1048576\n", ""]);
});

Deno.test("run: a directory node that is alone for a while tells on a terminal how others join", async () => {
  await using cluster = new ProcessCluster();
  const args = ["run", "-A", "examples/hello.ts", "--port=0"];
  const terminal = cluster.spawn("terminal", { args, prefix: ON_TERMINAL });
  const told =
    /(\w+): No other node is here\. Others join with --directory-address 127\.0\.0\.1:\d+/;
  const logging = cluster.spawn("log", { args: [...args, "--log-level=3"] });
  // Without a terminal, and at a log level without information, it comes later.
  const silent = cluster.spawn("no terminal", { args });
  for (const process of [terminal, logging]) {
    assertEquals((await process.untilPrinted(told))[1], "info");
  }
  assertEquals((await silent.untilPrinted(told))[1], "warning");
});

Deno.test("run: a node whose directory does not answer tells after a while that it still tries", async () => {
  await using cluster = new ProcessCluster();
  using closed = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = closed.addr;
  closed.close();
  const args = ["run", "-A", "examples/hello.ts", `--directory-address=127.0.0.1:${port}`];
  const told = new RegExp(
    `info: No directory answers at 127\\.0\\.0\\.1:${port} yet; trying for 10000 ms`,
  );
  await cluster.spawn("terminal", { args, prefix: ON_TERMINAL }).untilPrinted(told);
  await cluster.spawn("log", { args: [...args, "--log-level=3"] }).untilPrinted(told);
});

/** The time at which a line was logged. */
const TIME = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{3}Z /;

/** What finds a line of the log. */
function logged(line: RegExp): RegExp {
  return new RegExp(`${TIME.source}${line.source}$`, "m");
}

Deno.test("log: as much as its levels say, on stderr, by category, each line with its time", async () => {
  await using cluster = new ProcessCluster();
  const directory = await cluster.host("--log-level=3", "--sem-log-level=0");
  const second = await cluster.join(directory, "--log-level=4", "--sem-log-level=4");
  await directory.process.untilPrinted(
    logged(/tdsm: info: Node 2 has joined from 127\.0\.0\.1:\d+/),
  );
  await directory.store(0, 1);
  assertEquals(await second.load(0), 1);
  await second.evaluate(async (node) => {
    await node.semaphore(7n).release();
    await node.semaphore(7n).acquire();
  });
  const { process } = second;
  await process.untilPrinted(logged(/tdsm: debug: grant of page 0 to read .*, from node 1/));
  await process.untilPrinted(logged(/tdsm\.sync: debug: Request \d+: acquire semaphore 7: done/));
  assert(!process.stderr.includes("trace"), "more than was asked for");
  assert(!process.stdout.includes("tdsm:"), "on stdout");
  assert(!directory.process.stderr.includes("sync"), "more than was asked for");
});

Deno.test("log: the level has a colour on a terminal, unless NO_COLOR says otherwise", async () => {
  await using cluster = new ProcessCluster();
  const args = ["run", "-A", "mod.ts", "--port=0", "--address=0.0.0.0", "--insecure"];
  for (const NO_COLOR of ["", "1"]) {
    const process = cluster.spawn("node", { args, env: { NO_COLOR }, prefix: ON_TERMINAL });
    await process.untilPrinted(/: Listening at /);
    // deno-lint-ignore no-control-regex
    const colours = process.stdout.match(/Z\x1b\S+ tdsm: \x1b\S+warning\x1b\S+: Listening/);
    assertEquals(colours !== null, NO_COLOR === "", process.stdout);
  }
});

Deno.test("log: an orderly leave is told at every node", async () => {
  await using cluster = new ProcessCluster();
  const directory = await cluster.host("--log-level=3");
  const second = await cluster.join(directory, "--log-level=3");
  const third = await cluster.join(directory, "--log-level=3");
  const { code, stderr } = await third.leave();
  assertEquals(code, 0);
  assertMatch(stderr, logged(/tdsm: info: Left the cluster/));
  await directory.process.untilPrinted(logged(/tdsm: info: Node 3 has left/));
  await second.process.untilPrinted(logged(/tdsm: info: Node 3 is gone/));
});

Deno.test("log: a node that is lost is told at every node, and not as one that has left", async () => {
  await using cluster = new ProcessCluster();
  const directory = await cluster.host("--log-level=3");
  const second = await cluster.join(directory, "--log-level=3");
  const third = await cluster.join(directory);
  third.process.kill();
  await directory.process.untilPrinted(logged(/tdsm: warning: Node 3 is lost: .*/));
  await second.process.untilPrinted(logged(/tdsm: info: Node 3 is gone/));
  assert(!directory.process.stderr.includes("has left"));
});

Deno.test("log: a program that configures LogTape has the records, and stderr has none", async () => {
  await using cluster = new ProcessCluster();
  const program = cluster.spawn("program", {
    args: [
      "run",
      "-A",
      "--no-prompt",
      "tests/nodes/programs/own_log.ts",
      "--log-level=3",
      "--port=0",
    ],
  });
  const { code, stdout, stderr } = await program.exit();
  assertEquals([code, stderr], [0, ""]);
  assertMatch(stdout, /^own: tdsm info Node 2 has joined from /m);
});

Deno.test("log: as JSON each line is an object, and what happens to members has fields", async () => {
  await using cluster = new ProcessCluster();
  const directory = await cluster.host("--log-level=3", "--log-format=json");
  const second = await cluster.join(directory);
  const third = await cluster.join(directory, "--log-level=3", "--log-format=json");
  const { info: { port } } = second;
  assertEquals((await second.leave()).code, 0);
  await directory.process.untilPrinted(/"nodeLeft"/);
  third.process.kill();
  await directory.process.untilPrinted(/"nodeLost"/);
  assertEquals((await directory.leave()).code, 0);
  const lines = directory.process.stderr.trimEnd().split("\n").map((line) => JSON.parse(line));
  for (const { time, level, topic, node } of lines) {
    assertEquals([new Date(time).toISOString(), topic, node], [time, "runtime", 1]);
    assert(["info", "warning"].includes(level), level);
  }
  const joined = lines.find(({ event }) => event === "nodeJoined");
  assertEquals([joined.peer, joined.address, joined.port], [2, "127.0.0.1", port]);
  const events = lines.filter(({ event }) => event !== undefined && event !== "nodeGone");
  const [hosting] = events;
  assertEquals([hosting.address, hosting.port], ["127.0.0.1", directory.info.port]);
  assertEquals(events.map(({ event, peer }) => [event, peer]), [
    ["hosting", undefined],
    ["nodeJoined", 2],
    ["nodeJoined", 3],
    ["nodeLeft", 2],
    ["nodeLost", 3],
    ["closed", undefined],
  ]);
});

Deno.test("log: as JSON also what ends a program is one object a line", async () => {
  await using cluster = new ProcessCluster();
  const args = ["run", "-A", "examples/hello.ts", "--log-format=json", "--join-timeout=0"];
  using closed = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const at = `--directory-address=127.0.0.1:${closed.addr.port}`;
  closed.close();
  const { code, stderr } = await cluster.spawn("program", { args: [...args, at] }).exit();
  const { level, message } = JSON.parse(stderr);
  assertEquals([code, level], [70, "error"]);
  assertMatch(message, /\(NoDirectory\)$/);
});

Deno.test("status: of two arrays it names the one that nodes fight over, also by nodes without its name", async () => {
  await using cluster = new ProcessCluster();
  const [directory, second] = await cluster.start(2);
  const offset = await directory!.evaluate(async (node) => {
    const fought = await node.alloc(Int32Array, 4, { name: "fought" });
    const quiet = await node.alloc(Int32Array, 2048, { name: "quiet" });
    quiet.fill(1);
    return node.offsetOf(fought);
  });
  // Each writes a cell of its own: by turns, so that the page has to move each time.
  for (let round = 0; round < 10; round++) {
    await directory!.evaluate((node, at) => {
      Atomics.add(node.view(Int32Array, at, 2), 0, 1);
    }, offset);
    await second!.evaluate((node, at) => {
      Atomics.add(node.view(Int32Array, at, 2), 1, 1);
    }, offset);
  }
  const { allocations, pagesMoved } = await directory!.evaluate((node) => node.stats());
  assertEquals(allocations.map(({ name }) => name), ["fought", "quiet", null]);
  const [fought, quiet, others] = allocations.map((moves) => moves.pagesMoved);
  assert(fought! >= 9, `${fought}`);
  assertEquals([quiet, others], [0, pagesMoved - fought!]);
  const elsewhere = await second!.evaluate((node) => node.stats().allocations);
  assertEquals(elsewhere.map(({ name }) => name), [null]);
  assert(elsewhere[0]!.pagesMoved >= 10);

  const at = `--directory-address=${directory!.at}`;
  const { stdout } = await runMain(cluster, ["--allow-net"], "--status", "--json", at);
  const status = JSON.parse(stdout) as ClusterStatus;
  assertEquals(status.allocations.map(({ name, count }) => [name, count]), [
    ["fought", 1],
    ["quiet", 2],
  ]);
  const [own, other] = status.nodes.map(({ moves }) => moves!);
  assertEquals([own, other![1]], [[fought, 0], 0]);
  assert(other![0]! >= 10, `${other}`);
  const table = await runMain(cluster, ["--allow-net"], "--status", at);
  assertMatch(table.stdout, /\n\nALLOCATION .*\nfought +1 +\d+ +2: \d+, 1: \d+\n$/);
});
