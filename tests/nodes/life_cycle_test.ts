/** How nodes start, serve and end as processes: the commands that people type. */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { ProcessCluster, RemoteNode } from "../support/process_cluster.ts";

/** Exactly the permissions that a node is documented to need. */
const PERMISSIONS = ["--allow-ffi", "--allow-net", "--no-prompt"];

for (const [signal, number] of [["SIGHUP", 1], ["SIGINT", 2], ["SIGTERM", 15]] as const) {
  Deno.test(`life cycle: mod.ts hosts, says how others join, and ends by ${signal}`, async () => {
    await using cluster = new ProcessCluster();
    const run = (name: string, ...flags: string[]) =>
      cluster.spawn(name, { args: ["run", ...PERMISSIONS, "mod.ts", ...flags] });
    const directory = run("directory", "--port=0");
    const [, command] = await directory.untilPrinted(/^ {2}\.\/tdsm deno run (.*)$/m);
    // The command that it prints is one that works.
    const words = command!.split(" ");
    const other = cluster.spawn("other", { args: ["run", "--no-prompt", ...words] });
    await other.untilPrinted(/^Node 2 serves 64MiB in pages of 4KiB at 127\.0\.0\.1:\d+/m);
    const third = run("third", "--directory-address", words.at(-1)!);
    await third.untilPrinted(/^Node 3 serves/m);
    third.kill(signal);
    const left = await third.exit();
    assertEquals([left.code, left.stderr], [128 + number, ""]);
    directory.kill(signal);
    const ended = await directory.exit();
    assertEquals([ended.code, ended.stderr], [128 + number, ""]);
    const served = await other.exit();
    assertEquals([served.code, served.stderr], [0, ""]);
    const last = "The directory has closed the cluster, and node 2 has ended with it.\n";
    assert(served.stdout.endsWith(`\n${last}`), served.stdout);
    assert(!left.stdout.includes("closed"), left.stdout);
  });
}

Deno.test("life cycle: mod.ts tells its versions and options, and refuses what it does not know", async () => {
  await using cluster = new ProcessCluster();
  const run = (...flags: string[]) =>
    cluster.spawn(flags.join(" "), { args: ["run", ...PERMISSIONS, "mod.ts", ...flags] }).exit();
  const [help, version, unknown] = await Promise.all([
    run("--help"),
    run("--version"),
    run("--what"),
  ]);
  assertEquals([help.code, version.code, unknown.code], [0, 0, 2]);
  assertMatch(help.stdout, /--directory-address HOST\[:PORT\]/);
  assertMatch(version.stdout, /^tdsm \d+\.\d+\.\d+ \(protocol \d+, library ABI \d+\)\n$/);
  assertMatch(unknown.stderr, /^tdsm: error: Cannot use --what: --help .* \(InvalidOption\)\n$/);
});

Deno.test("life cycle: the directory node waits for nodes that run a program, and ends nodes that only serve", async () => {
  await using cluster = new ProcessCluster();
  const [directory, working] = await cluster.start(2);
  const serving = cluster.spawnNode([`--directory-address=${directory!.at}`, "--rpc-server"]);
  await directory!.evaluate((node) => node.waitForPeer(3));
  await working!.store(0, 7);
  await directory!.process.write("leave");
  // The directory node's program has returned, but the region is still there for the other program.
  await directory!.process.untilPrinted(/Waiting for these nodes .*: 2$/m);
  await working!.store(8192, 8);
  assertEquals(await working!.load(0), 7);
  assertEquals((await working!.leave()).code, 0);
  for (const process of [directory!.process, serving]) {
    const { code } = await process.exit();
    assertEquals(code, 0);
  }
  assertEquals(serving.stdout, "", "the main of a node that serves is not executed");
});

Deno.test("life cycle: a node that listens everywhere warns that anybody can join", async () => {
  await using cluster = new ProcessCluster();
  const directory = await cluster.host("--address=0.0.0.0", "--insecure");
  await directory.process.untilPrinted(
    /^\S+Z tdsm: warning: .*0\.0\.0\.0:\d+.*any program that reaches this port can join/m,
  );
  const flag = `--directory-address=127.0.0.1:${directory.info.port}`;
  const other = await RemoteNode.ready(
    cluster.spawnNode([flag, "--address=0.0.0.0", "--insecure"]),
  );
  const third = await RemoteNode.ready(cluster.spawnNode([flag]));
  // Both ways, so that the address that the others were told must be one to connect to.
  await other.store(0, 1);
  assertEquals(await third.load(0), 1);
  await third.store(4096, 2);
  assertEquals(await other.load(4096), 2);
});

Deno.test("life cycle: the library prints nothing, whatever it logs", async () => {
  await using cluster = new ProcessCluster();
  const [first, second] = await cluster.start(2, "--log-level=5", "--sem-log-level=5");
  await first!.store(0, 1);
  await second!.load(0);
  const exits = [await second!.leave(), await first!.leave()];
  for (const { stdout } of exits) {
    for (const line of stdout.trimEnd().split("\n")) JSON.parse(line);
  }
  assertMatch(exits[1]!.stderr, /^\S+Z tdsm: /);
});
