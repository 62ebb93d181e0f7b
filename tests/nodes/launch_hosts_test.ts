/**
 * The launcher on several machines, by a command that stands for `ssh` and runs all here;
 * `tests/launchers/` has real ones.
 */

import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { LAUNCH_CONNECT_S } from "../../runtime/limits.ts";
import { withFolder } from "../support/folder.ts";
import { ProcessCluster, type TestProcess } from "../support/process_cluster.ts";
import { untilEnded, untilProcesses } from "../support/processes.ts";

const LAUNCHER = ["run", "-A", "--no-prompt", "runtime/cli/launch.ts"];
const PROGRAM = "tests/nodes/programs/launched.ts";

/** Takes `ssh`'s options and a machine; prints as some login shells do. `gone` is out of reach. */
const FAKE_SSH = `#!/bin/sh
while :; do case $1 in -o) shift 2 ;; -*) shift ;; *) break ;; esac; done
case $1 in gone) echo "ssh: no way to $1" >&2; exit 255 ;; esac
shift
echo Welcome
exec sh -c "$*"
`;

/** Runs a test with the arguments of `deno` that launch the program on machines. */
async function withHosts(
  test: (cluster: ProcessCluster, launched: (...args: string[]) => string[]) => Promise<void>,
): Promise<void> {
  await using cluster = new ProcessCluster();
  await withFolder(async (folder) => {
    const ssh = `${folder}/ssh`;
    await Deno.writeTextFile(ssh, FAKE_SSH, { mode: 0o755 });
    await test(
      cluster,
      (hosts, ...args) => [...LAUNCHER, "--ssh", ssh, "--hosts", hosts!, ...args],
    );
  });
}

/** Waits until every node has printed its process; returns these, in the order of the nodes. */
async function untilAll(launcher: TestProcess, nodes: number): Promise<number[]> {
  const all = Array.from({ length: nodes }, (_, index) => index + 1);
  const found = await Promise.all(
    all.map((id) =>
      launcher.untilPrinted(new RegExp(`^\\[${id}\\] node ${id} is process (\\d+)$`, "m"))
    ),
  );
  return found.map(([, pid]) => Number(pid));
}

Deno.test("launch --hosts: nodes have their numbers, settings, arguments and input", async () => {
  await withHosts(async (cluster, launched) => {
    const launcher = cluster.spawn("launcher", {
      args: launched("127.0.0.2,127.0.0.3:2", PROGRAM, "tell", "it's", "two words"),
      env: { SIZE: "2MiB", DIRECTORY_ADDRESS: "127.0.0.1:1" },
    });
    await launcher.write("for node 1");
    await launcher.endInput();
    const { code, stdout, stderr } = await launcher.exit();
    assertEquals(code, 0, stdout + stderr);
    const lines = stdout.split("\n").filter((line) => line.includes("{"));
    const limits: number[] = [];
    for (const id of [1, 2, 3]) {
      const told = lines.find((line) => line.startsWith(`[${id}] `))!;
      const { rank, nodeCount, size, memoryLimitBytes, args, input } = JSON.parse(told.slice(4));
      limits.push(memoryLimitBytes);
      assertEquals([rank, nodeCount, size], [id - 1, 3, 2 << 20]);
      assertEquals([args, input], [["it's", "two words"], id === 1 ? "for node 1\n" : ""]);
    }
    // Addresses of loopback are one machine's, of whose memory each node has a third.
    assert(Math.max(...limits) < 1.5 * Math.min(...limits), `${limits}`);
    assertEquals(stdout.includes("Welcome") || stdout.includes("\x1e"), false, stdout);
  });
});

Deno.test("launch --hosts: the key that nodes have is on no command line", async () => {
  await withHosts(async (cluster, launched) => {
    const launcher = cluster.spawn("launcher", {
      args: launched("a:2", PROGRAM, "stay"),
      env: { TDSM_KEY: "" },
    });
    const pids = await untilAll(launcher, 2);
    const environments = pids.map((pid) => Deno.readTextFileSync(`/proc/${pid}/environ`));
    const keys = environments.map((it) => /(?:^|\0)TDSM_KEY=([^\0]{44})\0/.exec(it)![1]!);
    assertEquals(keys[0], keys[1]);
    for (const { name } of Deno.readDirSync("/proc")) {
      const line = await Deno.readTextFile(`/proc/${name}/cmdline`).catch(() => "");
      assert(!line.includes(keys[0]!), line);
    }
    launcher.kill("SIGTERM");
    assertEquals((await launcher.exit()).code, 128 + 15);
    await cluster.bounded("the end of all nodes", untilEnded(pids));
  });
});

Deno.test("launch --hosts: the node that fails is the one named, also where others end before it", async () => {
  await withHosts(async (cluster, launched) => {
    for (const [what, failing, code] of [["fail", 2, 3], ["lose", 3, 5]] as const) {
      const args = launched("127.0.0.2,127.0.0.3:2", "-A", PROGRAM, what, String(failing), "5");
      const exit = await cluster.spawn(what, { args }).exit();
      assertEquals(exit.code, code, exit.stdout + exit.stderr);
      const told = exit.stderr.split("\n").filter((line) => line.startsWith("tdsm: "));
      assertEquals(told, [
        `tdsm: node ${failing} ended with exit code ${code}, so the others are ended`,
      ]);
    }
  });
});

Deno.test("launch --hosts: a signal comes to each node once; the second kills those that do not end", async () => {
  await withHosts(async (cluster, launched) => {
    const launcher = cluster.spawn("launcher", { args: launched("a:2", PROGRAM, "listen") });
    const pids = await untilAll(launcher, 2);
    for (const id of [1, 2]) {
      await launcher.untilPrinted(new RegExp(`^\\[${id}\\] listening$`, "m"));
    }
    // A process that is stopped ends by SIGKILL alone.
    Deno.kill(pids[1]!, "SIGSTOP");
    launcher.kill("SIGINT");
    await launcher.untilPrinted(/^\[1\] got SIGINT$/m);
    launcher.kill("SIGTERM");
    const { code, stdout } = await launcher.exit();
    assertEquals([code, stdout.match(/got SIG/g)?.length], [128 + 2, 1], stdout);
    await cluster.bounded("the end of all nodes", untilEnded(pids));
  });
});

/** Holds the word by which a node tells its process, until a pipe beside it gets a line. */
const HELD_SSH = FAKE_SSH.replace(
  'exec sh -c "$*"',
  `sh -c "$*" | while IFS= read -r line; do
  case $line in *" started "*) read -r _ <"$0.go" ;; esac
  printf '%s\\n' "$line"
done`,
);

for (const isHeard of [true, false]) {
  const when = isHeard ? "before its process is known" : "whose process is never known";
  Deno.test(`launch --hosts: a node that is killed ${when} leaves none of its group`, async () => {
    await using cluster = new ProcessCluster();
    await withFolder(async (folder) => {
      const ssh = `${folder}/ssh`;
      await Deno.writeTextFile(ssh, HELD_SSH, { mode: 0o755 });
      await new Deno.Command("mkfifo", { args: [`${ssh}.go`] }).output();
      const args = [...LAUNCHER, "--ssh", ssh, "--hosts", "a", "-A", PROGRAM, "parent"];
      const launcher = cluster.spawn("launcher", { args });
      const [, ...pids] = await launcher.untilPrinted(/process (\d+) has child (\d+)/);
      const [node, child] = pids.map(Number);
      // A process that is stopped ends by SIGKILL alone, which the second signal is to bring.
      if (isHeard) Deno.kill(node!, "SIGSTOP");
      launcher.kill("SIGINT");
      launcher.kill("SIGTERM");
      if (isHeard) await Deno.writeTextFile(`${ssh}.go`, "\n");
      const { code, stdout, stderr } = await launcher.exit();
      assert(code === 128 + 2 || code === 128 + 15, stdout + stderr);
      await cluster.bounded("the end of the group", untilEnded([node!, child!]));
    });
  });
}

Deno.test("launch --hosts: a launcher that is killed leaves no process", async () => {
  await withHosts(async (cluster, launched) => {
    const mark = crypto.randomUUID();
    const args = launched("a:2", PROGRAM, "stay");
    const launcher = cluster.spawn("launcher", { args, env: { MARK: mark } });
    await untilAll(launcher, 2);
    launcher.kill("SIGKILL");
    const gone = untilProcesses(`MARK=${mark}`, (count) => count === 0);
    await cluster.bounded("the end of all processes", gone);
  });
});

Deno.test("launch --hosts: a machine that cannot be reached, and an ssh that is not there, are named", async () => {
  await withHosts(async (cluster, launched) => {
    const gone = await cluster.spawn("gone", { args: launched("a,gone", PROGRAM, "stay") }).exit();
    assertEquals(gone.code, 70, gone.stdout + gone.stderr);
    assertStringIncludes(gone.stderr, "[2] ssh: no way to gone\n");
    assertStringIncludes(gone.stderr, "could not be started on gone: ssh ended with exit code 255");
    const args = [...LAUNCHER, "--ssh", "no-such-ssh", "--hosts", "a", PROGRAM];
    const none = await cluster.spawn("no ssh", { args }).exit();
    assertMatch(
      none.stderr,
      /^tdsm: error: Cannot start no-such-ssh, to reach a: .*NotFound|entity/m,
    );
    assertEquals(none.code, 70);
  });
});

Deno.test("launch --hosts: ssh waits for a machine that does not answer for a bounded time, and says so", async () => {
  await using cluster = new ProcessCluster();
  await withFolder(async (folder) => {
    const ssh = `${folder}/ssh`;
    const waits = `#!/bin/sh
for word; do
  case $word in
    ConnectTimeout=*) echo "ssh: no answer within \${word#*=} s" >&2; exit 255 ;;
  esac
done
sleep 3600
`;
    await Deno.writeTextFile(ssh, waits, { mode: 0o755 });
    const args = [...LAUNCHER, "--ssh", ssh, "--hosts", "a", PROGRAM, "stay"];
    const { code, stderr } = await cluster.spawn("launcher", { args }).exit();
    assertEquals([code, stderr], [
      70,
      `[1] ssh: no answer within ${LAUNCH_CONNECT_S} s\n` +
      "tdsm: node 1 could not be started on a: ssh ended with exit code 255\n",
    ]);
  });
});

Deno.test("launch --hosts: a node that is killed from outside leaves none of its group", async () => {
  await withHosts(async (cluster, launched) => {
    const launcher = cluster.spawn("launcher", { args: launched("a", "-A", PROGRAM, "parent") });
    const [, ...pids] = await launcher.untilPrinted(/process (\d+) has child (\d+)/);
    const [node, child] = pids.map(Number);
    Deno.kill(node!, "SIGKILL");
    const { code, stderr } = await launcher.exit();
    assertEquals(code, 128 + 9, stderr);
    await cluster.bounded("the end of the group", untilEnded([node!, child!]));
  });
});

Deno.test("launch --hosts: where ssh can be started no more, all nodes end, and one line says so", async () => {
  await using cluster = new ProcessCluster();
  await withFolder(async (folder) => {
    const ssh = `${folder}/ssh`;
    // Nobody may execute it any more before the last of six nodes has its turn to connect. It stays
    // there, since the shell of one that was started at the same time has yet to read it.
    const once = FAKE_SSH.replace("\n", '\nchmod -x "$0"\n');
    await Deno.writeTextFile(ssh, once, { mode: 0o755 });
    const args = [...LAUNCHER, "--ssh", ssh, "--hosts", "a:6", PROGRAM, "stay"];
    const { code, stdout, stderr } = await cluster.spawn("launcher", { args }).exit();
    assertEquals(code, 70, stdout + stderr);
    assertMatch(stderr, /^tdsm: node \d could not be started: Cannot start .*ssh, to reach a: /m);
    assertEquals(stderr.includes("    at "), false, stderr);
  });
});
