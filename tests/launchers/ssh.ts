/** Nodes on machines that a real `ssh` reaches. Run by `./tdsm test:launchers`, as root. */

import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { fileURLToPath } from "node:url";
import { ProcessCluster, type TestProcess } from "../support/process_cluster.ts";
import { untilEnded } from "../support/processes.ts";
import { testsWith } from "./needs.ts";
import { assertPlaces } from "./places.ts";
import { SshServers } from "./ssh_servers.ts";

const test = testsWith(["sshd", "ip"]);

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const LAUNCHED = "tests/nodes/programs/launched.ts";

/** Launches a program from machine 1. */
function launch(
  cluster: ProcessCluster,
  servers: SshServers,
  ...args: readonly string[]
): TestProcess {
  return cluster.spawn("launcher", {
    args: ["run", "-A", "--no-prompt", "runtime/cli/launch.ts", "--ssh", servers.ssh, ...args],
    prefix: servers.machines.on(1),
    env: { TDSM_KEY: "" },
    cwd: ROOT,
  });
}

/** The processes of the nodes, once each has printed its own. */
async function untilAll(launcher: TestProcess, nodes: number): Promise<number[]> {
  const ids = Array.from({ length: nodes }, (_, index) => index + 1);
  const found = await Promise.all(ids.map((id) => {
    const line = new RegExp(`^\\[${id}\\] node ${id} is process (\\d+)$`, "m");
    return launcher.untilPrinted(line);
  }));
  return found.map(([, pid]) => Number(pid));
}

test("ssh: nodes of two machines are one cluster, with ranks in the order of the list", async () => {
  await using servers = await SshServers.start();
  await using cluster = new ProcessCluster();
  for (const hosts of ["n1,n2:2", "n2:3,n1", "n2:12"]) {
    const launcher = launch(
      cluster,
      servers,
      "--hosts",
      hosts,
      "tests/launchers/programs/places.ts",
    );
    const { code, stdout, stderr } = await launcher.exit();
    assertEquals([code, stderr], [0, ""], stdout);
    const lines = stdout.trimEnd().split("\n");
    for (const line of lines) assertMatch(line, /^\[ *(\d+)\] rank \d+ of \d+ is node \1,/);
    assertPlaces(lines.length, lines.map((line) => line.replace(/^\[ *\d+\] /, "")).join("\n"));
  }
});

test("ssh: the key is on no command line; a failure ends all nodes, a signal too", async () => {
  await using servers = await SshServers.start();
  await using cluster = new ProcessCluster();
  const launcher = launch(cluster, servers, "--hosts", "n1,n2", LAUNCHED, "stay");
  const pids = await untilAll(launcher, 2);
  const environments = pids.map((pid) => Deno.readTextFileSync(`/proc/${pid}/environ`));
  const keys = environments.map((it) => /(?:^|\0)TDSM_KEY=([^\0]{44})\0/.exec(it)![1]!);
  assertEquals(keys[0], keys[1]);
  for (const { name } of Deno.readDirSync("/proc")) {
    const line = await Deno.readTextFile(`/proc/${name}/cmdline`).catch(() => "");
    assert(!line.includes(keys[0]!), line);
  }
  Deno.kill(pids[1]!, "SIGKILL");
  const { code, stderr } = await launcher.exit();
  assertEquals(code, 128 + 9, stderr);
  assertStringIncludes(stderr, "tdsm: node 2 ended with exit code 137, so the others are ended");
  await cluster.bounded("the end of all nodes", untilEnded(pids));
  const again = launch(cluster, servers, "--hosts", "n1,n2", LAUNCHED, "listen");
  for (const id of [1, 2]) await again.untilPrinted(new RegExp(`^\\[${id}\\] listening$`, "m"));
  again.kill("SIGINT");
  const { code: signalled, stdout } = await again.exit();
  assertEquals([signalled, stdout.match(/got SIGINT/g)?.length], [0, 2], stdout);
});

test("ssh: no node outlives a launcher that is killed", async () => {
  await using servers = await SshServers.start();
  await using cluster = new ProcessCluster();
  const launcher = launch(cluster, servers, "--hosts", "n1,n2", LAUNCHED, "stay");
  const pids = await untilAll(launcher, 2);
  // A process that is stopped ends by SIGKILL alone.
  Deno.kill(pids[1]!, "SIGSTOP");
  launcher.kill("SIGKILL");
  await cluster.bounded("the end of all nodes", untilEnded(pids));
});

test("ssh: a machine that is not known, and one that goes away, are told of in time", async () => {
  await using servers = await SshServers.start();
  await using cluster = new ProcessCluster();
  const stranger = launch(cluster, servers, "--hosts", "n1,both", LAUNCHED, "stay");
  const { code, stderr } = await stranger.exit();
  assertEquals(code, 70, stderr);
  assertStringIncludes(stderr, "[2] Host key verification failed.");
  assertStringIncludes(stderr, "node 2 could not be started on both: ssh ended with exit code 255");
  const launcher = launch(cluster, servers, "--hosts", "n1,n2", LAUNCHED, "stay");
  const pids = await untilAll(launcher, 2);
  await servers.machines.cut();
  const lost = await launcher.exit();
  assertEquals(lost.code, 70, lost.stderr);
  assertMatch(lost.stderr, /^tdsm: node \d (on n2 is out of reach|ended with exit code 70)/m);
  await cluster.bounded("the end of all nodes", untilEnded(pids));
});
