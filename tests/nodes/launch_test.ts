/** The launcher as people use it: nodes start, print, fail, and end with it, however that ends. */

import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { availableMemory } from "../../ffi/memory_available.ts";
import { partOfMemory } from "../../runtime/engine/memory_limit.ts";
import { newKey } from "../../runtime/settings/key.ts";
import { ProcessCluster, type TestProcess } from "../support/process_cluster.ts";
import { untilEnded, untilProcesses } from "../support/processes.ts";

const LAUNCHER = ["run", "-A", "--no-prompt", "runtime/cli/launch.ts"];
const PROGRAM = "tests/nodes/programs/launched.ts";

/** The arguments of `deno` that launch the program on so many nodes. */
function launched(nodes: number, ...args: string[]): string[] {
  return [...LAUNCHER, "-n", String(nodes), PROGRAM, ...args];
}

/** What a node printed, line by line, without its number. */
function linesOf(node: number, text: string): string[] {
  return text.split("\n").filter((line) => line.startsWith(`[${node}] `))
    .map((line) => line.slice(`[${node}] `.length));
}

/** Waits until every node has printed a line; returns the processes of the nodes, in order. */
async function untilAllPrinted(
  launcher: TestProcess,
  nodes: number,
  line: string,
): Promise<number[]> {
  const all = Array.from({ length: nodes }, (_, i) => i + 1);
  await launcher.until(
    `"${line}" of each node`,
    () =>
      all.every((node) => linesOf(node, launcher.stdout).some((found) => found.startsWith(line))) ||
      undefined,
  );
  return all.map((node) =>
    Number(
      new RegExp(`^\\[${node}\\] node ${node} is process (\\d+)$`, "m").exec(launcher.stdout)![1],
    )
  );
}

Deno.test("launch: nodes have their numbers, settings, arguments, permissions and input", async () => {
  await using cluster = new ProcessCluster();
  const launcher = cluster.spawn("launcher", {
    args: [
      ...LAUNCHER,
      "--allow-read",
      "-n",
      "3",
      PROGRAM,
      "tell",
      "two words",
      "-n",
      "--size=1MiB",
    ],
    env: { DIRECTORY_ADDRESS: "127.0.0.1:1", DIRECOTRY_ADDRESS: "127.0.0.1:1" },
  });
  await launcher.write("for node 1");
  await launcher.endInput();
  const { code, stdout, stderr } = await launcher.exit();
  assertEquals(code, 0, stdout + stderr);
  for (const node of [1, 2, 3]) {
    const [who, told, ...others] = linesOf(node, stdout);
    assertMatch(who!, new RegExp(`^node ${node} is process \\d+$`));
    assertEquals(JSON.parse(told!), {
      granted: ["ffi", "read"],
      loopback: "granted",
      rank: node - 1,
      nodeCount: 3,
      size: 1 << 20,
      memoryLimitBytes: 1 << 20,
      args: ["two words", "-n", "--size=1MiB"],
      input: node === 1 ? "for node 1\n" : "",
    });
    assertEquals([others, linesOf(node, stderr)], [[], ["and to stderr"]]);
  }
});

Deno.test("launch: Deno's flags add to what nodes may do, and take nothing from it", async () => {
  await using cluster = new ProcessCluster();
  const grants = [
    [["-RN"], ["ffi", "net", "read"]],
    [["--allow-env", "--allow-net=example.com"], ["ffi", "env"]],
    [["-A"], ["ffi", "net", "env", "read", "write", "run", "sys"]],
  ] as const;
  await Promise.all(grants.map(async ([flags, granted]) => {
    const args = [...LAUNCHER, ...flags, "-n", "1", PROGRAM, "tell"];
    const launcher = cluster.spawn(flags.join(" "), { args });
    await launcher.endInput();
    const { code, stdout, stderr } = await launcher.exit();
    assertEquals(code, 0, stdout + stderr);
    const told = JSON.parse(linesOf(1, stdout)[1]!);
    assertEquals([told.granted, told.loopback], [granted, "granted"]);
  }));
});

Deno.test("launch: settings are taken from the environment", async () => {
  await using cluster = new ProcessCluster();
  const launcher = cluster.spawn("launcher", { args: launched(2, "tell"), env: { SIZE: "1MiB" } });
  await launcher.endInput();
  const { code, stdout, stderr } = await launcher.exit();
  assertEquals(code, 0, stdout + stderr);
  for (const node of [1, 2]) {
    assertEquals(JSON.parse(linesOf(node, stdout)[1]!).size, 1 << 20);
  }
});

Deno.test("launch: node 1 hosts at the port that is named, where others with the key see the cluster", async () => {
  await using cluster = new ProcessCluster();
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const port = String(listener.addr.port);
  listener.close();
  const env = { TDSM_KEY: newKey() };
  const args = [...LAUNCHER, "--port", port, "-n", "2", PROGRAM, "fail"];
  const launcher = cluster.spawn("launcher", { args, env });
  await untilAllPrinted(launcher, 2, "node");
  const look = (name: string, env: Record<string, string>) => {
    const args = ["run", "--allow-net", "--allow-ffi", "--allow-env", "mod.ts", "--status"];
    return cluster.spawn(name, { args: [...args, `--port=${port}`, "--json"], env }).exit();
  };
  const { code, stdout, stderr } = await look("with the key", env);
  assertEquals([code, stderr], [0, ""]);
  assertEquals(JSON.parse(stdout).nodes.map(({ id }: { id: number }) => id), [1, 2]);
  assertEquals((await look("without the key", {})).code, 2);

  const other = await cluster.spawn("other", { args: launched(2, "tell"), env: { PORT: port } })
    .exit();
  assertEquals([other.code, other.stdout], [70, ""]);
  assertMatch(
    other.stderr,
    new RegExp(
      `^\\[1\\] tdsm: error: Cannot listen at 127\\.0\\.0\\.1:${port}: the port is in use`,
    ),
  );
  launcher.kill("SIGTERM");
  assertEquals((await launcher.exit()).code, 128 + 15);
});

Deno.test("launch: nodes share the memory of the machine, unless the environment says otherwise", async () => {
  const { bytes } = availableMemory()!;
  await using cluster = new ProcessCluster();
  const limits = async (nodes: number, env: Record<string, string>): Promise<number[]> => {
    // A node keeps no more than the region has.
    const launcher = cluster.spawn("launcher", {
      args: launched(nodes, "tell"),
      env: { SIZE: "1TiB", ...env },
    });
    await launcher.endInput();
    const { code, stdout, stderr } = await launcher.exit();
    assertEquals(code, 0, stdout + stderr);
    return Array.from(
      { length: nodes },
      (_, index) => JSON.parse(linesOf(index + 1, stdout)[1]!).memoryLimitBytes,
    );
  };
  const page = 4096;
  const part = Math.floor(partOfMemory(bytes, 2) / page) * page;
  assertEquals(await limits(2, {}), [part, part]);
  assertEquals(await limits(1, { MEMORY_LIMIT: "64MiB" }), [2 ** 26]);
});

for (const failing of [1, 3]) {
  Deno.test(`launch: the failure of node ${failing} ends all, with its exit code`, async () => {
    await using cluster = new ProcessCluster();
    const launcher = cluster.spawn("launcher", { args: launched(3, "fail", String(failing)) });
    const { code, stdout, stderr } = await launcher.exit();
    assertEquals(code, 3, stdout + stderr);
    const why = `tdsm: node ${failing} ended with exit code 3, so the others are ended`;
    assertEquals(stderr.split("\n").filter((line) => line.startsWith("tdsm: ")), [why]);
  });
}

Deno.test("launch: the number before a line is the id of its node, whichever is ready first", async () => {
  await using cluster = new ProcessCluster();
  const folder = await Deno.makeTempDir();
  try {
    const args = [...LAUNCHER, "-A", "-n", "4", PROGRAM, "backwards", folder, "4"];
    const { code, stdout, stderr } = await cluster.spawn("launcher", { args }).exit();
    assertEquals(code, 0, stdout + stderr);
    for (const node of [1, 2, 3, 4]) {
      assertMatch(linesOf(node, stdout).join(), new RegExp(`^node ${node} is process \\d+$`));
    }
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

for (const failing of [1, 3]) {
  Deno.test(`launch: node ${failing}, which ends the others, is the one named, though it ends last`, async () => {
    await using cluster = new ProcessCluster();
    const args = [...LAUNCHER, "-A", "-n", "3", PROGRAM, "abort", String(failing), "5"];
    const { code, stdout, stderr } = await cluster.spawn("launcher", { args }).exit();
    const why = `tdsm: node ${failing} ended with exit code 5, so the others are ended`;
    const told = stderr.split("\n").filter((line) => line.startsWith("tdsm: "));
    assertEquals([code, told], [5, [why]], stdout + stderr);
  });
}

for (const failing of [2, 3]) {
  Deno.test(`launch: node ${failing}, which others lose at a barrier, is the one named, though it ends last`, async () => {
    await using cluster = new ProcessCluster();
    const args = [...LAUNCHER, "-A", "-n", "3", PROGRAM, "lose", String(failing), "5"];
    const { code, stdout, stderr } = await cluster.spawn("launcher", { args }).exit();
    const why = `tdsm: node ${failing} ended with exit code 5, so the others are ended`;
    const told = stderr.split("\n").filter((line) => line.startsWith("tdsm: "));
    assertEquals([code, told], [5, [why]], stdout + stderr);
    // The error says it, and the log does not say it again.
    assertMatch(stderr, new RegExp(`node ${failing} takes part in it and is gone`));
    assertEquals(stderr.includes("tdsm.sync"), false, stderr);
  });
}

for (const failing of [2, 3]) {
  Deno.test(`launch: after join, node ${failing}, which others lose at a barrier, is the one named, too`, async () => {
    await using cluster = new ProcessCluster();
    const args = [...LAUNCHER, "-A", "-n", "4", PROGRAM, "leave", String(failing), "5"];
    const { code, stdout, stderr } = await cluster.spawn("launcher", { args }).exit();
    const why = `tdsm: node ${failing} ended with exit code 5, so the others are ended`;
    const told = stderr.split("\n").filter((line) => line.startsWith("tdsm: "));
    assertEquals([code, told], [5, [why]], stdout + stderr);
  });
}

Deno.test("launch: a failure that all nodes share is shown once", async () => {
  await using cluster = new ProcessCluster();
  const args = [...LAUNCHER, "-n", "3", PROGRAM, "tell", "--size=1"];
  const { code, stderr } = await cluster.spawn("launcher", { args }).exit();
  assertEquals(code, 2, stderr);
  const [first, ...more] = stderr.trimEnd().split("\n");
  assertMatch(first!, /^\[1\] tdsm: error: Cannot use "1" of flag --size: /);
  assertEquals(more, ["tdsm: node 1 ended with exit code 2"]);
});

Deno.test("launch: a node that is killed ends all, with 128 and the signal", async () => {
  await using cluster = new ProcessCluster();
  const launcher = cluster.spawn("launcher", { args: launched(3, "stay") });
  const pids = await untilAllPrinted(launcher, 3, "node ");
  Deno.kill(pids[1]!, "SIGKILL");
  const { code, stderr } = await launcher.exit();
  assertEquals(code, 128 + 9);
  assertStringIncludes(stderr, "tdsm: node 2 was ended by SIGKILL, so the others are ended\n");
  await cluster.bounded("the end of all nodes", untilEnded(pids));
});

Deno.test("launch: a node that is killed leaves none of its group", async () => {
  await using cluster = new ProcessCluster();
  const args = [...LAUNCHER, "-A", "-n", "2", PROGRAM, "parent"];
  const launcher = cluster.spawn("launcher", { args });
  const [, ...pids] = await launcher.untilPrinted(/^\[2\] process (\d+) has child (\d+)$/m);
  const [node, child] = pids.map(Number);
  Deno.kill(node!, "SIGKILL");
  const { code, stderr } = await launcher.exit();
  assertEquals(code, 128 + 9, stderr);
  await cluster.bounded("the end of the group", untilEnded([node!, child!]));
});

for (const [signal, number] of [["SIGHUP", 1], ["SIGINT", 2], ["SIGTERM", 15]] as const) {
  Deno.test(`launch: ${signal} comes to each node once, and all can end well`, async () => {
    await using cluster = new ProcessCluster();
    const launcher = cluster.spawn("launcher", { args: launched(3, "listen") });
    await untilAllPrinted(launcher, 3, "listening");
    launcher.kill(signal);
    const { code, stdout, stderr } = await launcher.exit();
    assertEquals(code, 0, stdout + stderr);
    for (const node of [1, 2, 3]) {
      const got = linesOf(node, stdout).filter((line) => line.startsWith("got "));
      assertEquals(got, [`got ${signal}`], stdout + stderr);
    }
  });

  Deno.test(`launch: ${signal} ends nodes that do not listen for it, with 128 and the signal`, async () => {
    await using cluster = new ProcessCluster();
    const launcher = cluster.spawn("launcher", { args: launched(3, "stay") });
    const pids = await untilAllPrinted(launcher, 3, "node ");
    launcher.kill(signal);
    const { code, stderr } = await launcher.exit();
    assertEquals(code, 128 + number, stderr);
    await cluster.bounded("the end of all nodes", untilEnded(pids));
  });
}

Deno.test("launch: a Ctrl-C that is passed on as well is one", async () => {
  await using cluster = new ProcessCluster();
  const launcher = cluster.spawn("launcher", { args: launched(2, "listen") });
  await untilAllPrinted(launcher, 2, "listening");
  launcher.kill("SIGINT");
  launcher.kill("SIGINT");
  const { stdout, stderr } = await launcher.exit();
  for (const node of [1, 2]) {
    const got = linesOf(node, stdout).filter((line) => line.startsWith("got "));
    assertEquals(got, ["got SIGINT"], stdout + stderr);
  }
});

Deno.test("launch: the second signal kills nodes that do not end", async () => {
  await using cluster = new ProcessCluster();
  const launcher = cluster.spawn("launcher", { args: launched(2, "listen") });
  const pids = await untilAllPrinted(launcher, 2, "listening");
  // A process that is stopped ends by SIGKILL alone.
  Deno.kill(pids[0]!, "SIGSTOP");
  launcher.kill("SIGINT");
  await launcher.untilPrinted(/^\[2\] got SIGINT$/m);
  // Another one: the same could be an echo.
  launcher.kill("SIGTERM");
  const { code } = await launcher.exit();
  assertEquals(code, 128 + 2);
  await cluster.bounded("the end of all nodes", untilEnded(pids));
});

Deno.test("launch: a node that does not end when another has failed is killed", async () => {
  await using cluster = new ProcessCluster();
  const launcher = cluster.spawn("launcher", { args: launched(2, "stay") });
  const pids = await untilAllPrinted(launcher, 2, "node ");
  Deno.kill(pids[0]!, "SIGSTOP");
  Deno.kill(pids[1]!, "SIGTERM");
  const { code, stderr } = await launcher.exit();
  assertEquals(code, 128 + 15);
  assertStringIncludes(stderr, "tdsm: killed, since not ended within 6 s: node 1\n");
  await cluster.bounded("the end of all nodes", untilEnded(pids));
});

for (const code of [0, 3]) {
  Deno.test(`launch: a process that a node leaves behind does not hold the launcher up (exit code ${code})`, async () => {
    await using cluster = new ProcessCluster();
    const launcher = cluster.spawn("launcher", {
      args: [...LAUNCHER, "--allow-run", "-n", "2", PROGRAM, "hold", "2", String(code)],
    });
    const [, left] = await launcher.untilPrinted(/^\[2\] started process (\d+)$/m);
    try {
      const pids = await untilAllPrinted(launcher, 2, "node ");
      await cluster.bounded("the end of all nodes", untilEnded(pids));
      // After a failure the launcher ends by itself; else it passes on what may still be printed.
      if (code === 0) launcher.kill("SIGINT");
      const ended = await launcher.exit();
      assertEquals(ended.code, code, ended.stderr);
    } finally {
      Deno.kill(Number(left), "SIGKILL");
    }
  });
}

Deno.test("launch: no node outlives a launcher that is killed, not even one that is stopped", async () => {
  await using cluster = new ProcessCluster();
  const launcher = cluster.spawn("launcher", { args: launched(3, "stay") });
  const pids = await untilAllPrinted(launcher, 3, "node ");
  Deno.kill(pids[0]!, "SIGSTOP");
  launcher.kill("SIGKILL");
  await cluster.bounded("the end of all nodes", untilEnded(pids));
});

for (
  const [how, signals] of [["killed", ["SIGKILL"]], ["ended", ["SIGINT", "SIGTERM"]]] as const
) {
  Deno.test(`launch: a launcher that is ${how} leaves no process, at whatever moment`, async () => {
    await using cluster = new ProcessCluster();
    // The launcher, the shell beside it, and its nodes: how many are there makes the moment.
    await Promise.all([1, 2, 3, 4, 5].map(async (count) => {
      const mark = crypto.randomUUID();
      const launcher = cluster.spawn(`launcher ${count}`, {
        args: launched(3, "stay"),
        env: { MARK: mark },
      });
      const processes = (what: string, enough: (found: number) => boolean) =>
        cluster.bounded(what, untilProcesses(`MARK=${mark}`, enough));
      await processes(`${count} processes`, (found) => found >= count);
      for (const signal of signals) launcher.kill(signal);
      await processes("the end of all processes", (found) => found === 0);
    }));
  });
}

Deno.test("launch: no node outlives the task that started the launcher", async () => {
  await using cluster = new ProcessCluster();
  const args = ["task", "--quiet", "launch", "-n", "2", PROGRAM, "stay"];
  const task = cluster.spawn("task", { args });
  const pids = await untilAllPrinted(task, 2, "node ");
  task.kill("SIGKILL");
  await cluster.bounded("the end of all nodes", untilEnded(pids));
});

Deno.test("launch: a launcher whose task was killed before it could look starts no node", async () => {
  await using cluster = new ProcessCluster();
  const orphan = cluster.spawn("orphan", {
    // It ends at once, long before the launcher runs.
    prefix: ["sh", "-c", '"$@" & echo "launcher $!"', "sh"],
    args: launched(2, "stay"),
    env: { INIT_CWD: Deno.cwd() },
  });
  const [, launcher] = await orphan.untilPrinted(/^launcher (\d+)$/m);
  try {
    await cluster.bounded("the end of the launcher", untilEnded([Number(launcher)]));
    const { stdout, stderr } = await orphan.exit();
    assertEquals([stdout, stderr], [`launcher ${launcher}\n`, ""]);
  } catch (error) {
    Deno.kill(Number(launcher), "SIGKILL");
    throw error;
  }
});

Deno.test("launch: on a terminal Ctrl-C comes once, and lines have colours", async () => {
  await using cluster = new ProcessCluster();
  const launcher = cluster.spawn("terminal", {
    prefix: ["sh", "-c", 'exec script -qefc "exec $*" /dev/null', "sh"],
    args: launched(2, "listen"),
    env: { NO_COLOR: "" },
  });
  await launcher.untilPrinted(/\[1\]\S* listening/);
  await launcher.untilPrinted(/\[2\]\S* listening/);
  await launcher.write("\x03");
  const { code, stdout } = await launcher.exit();
  assertEquals([code, stdout.match(/got SIGINT/g)?.length], [0, 2], stdout);
  assertStringIncludes(stdout, "\x1b[36m[1]\x1b[39m got SIGINT");
  assertStringIncludes(stdout, "\x1b[35m[2]\x1b[39m got SIGINT");
});

Deno.test("launch: when nobody reads its output any more, nodes end", async () => {
  await using cluster = new ProcessCluster();
  const pipeline = cluster.spawn("pipeline", {
    prefix: ["bash", "-c", '"$@" | head -n 1', "bash"],
    args: launched(2, "chatter"),
  });
  await pipeline.exit();
});

Deno.test("launch: a node that does not join, but hosts a directory of its own, is told of, be it the last", async () => {
  await using cluster = new ProcessCluster();
  const launcher = cluster.spawn("launcher", { args: launched(2, "apart", "2") });
  const reminder = /^tdsm: node 2 has not joined .* DIRECTORY_ADDRESS .* --port, --directory or /m;
  await launcher.until("the reminder", () => reminder.test(launcher.stderr) || undefined);
});

Deno.test("launch: a program of join that does not wait for its nodes is told to", async () => {
  await using cluster = new ProcessCluster();
  const { code, stderr } = await cluster.spawn("launcher", { args: launched(3, "join") }).exit();
  assertEquals(code, 1);
  assertMatch(
    stderr,
    /^tdsm: node 1 has ended, .* must join, and wait for its nodes, with waitForPeer$/m,
  );
});

Deno.test("launch: a program that is asked for help shows it once, and that is no failure", async () => {
  await using cluster = new ProcessCluster();
  const args = [...LAUNCHER, "-n", "3", "examples/hello.ts", "--help"];
  const { code, stdout, stderr } = await cluster.spawn("launcher", { args }).exit();
  assertEquals([code, stderr], [0, ""]);
  assertEquals(stdout.match(/^\[1\] This program is a node of tDSM/gm)?.length, 1, stdout);
  assertEquals(stdout.match(/^(?!\[1\] ).+$/gm), null, stdout);
});

Deno.test("launch: Deno's own errors have no colour where it is not shown on a terminal", async () => {
  await using cluster = new ProcessCluster();
  const args = [...LAUNCHER, "--no-such-flag", "-n", "1", "examples/hello.ts"];
  const { stderr } = await cluster.spawn("launcher", { args, env: { NO_COLOR: "" } }).exit();
  assertStringIncludes(stderr, "[1] error: unexpected argument '--no-such-flag' found");
});

Deno.test("launch: what it cannot launch, it says, with exit code 2", async () => {
  await using cluster = new ProcessCluster();
  const run = (...args: string[]) =>
    cluster.spawn(args.join(" "), { args: [...LAUNCHER, ...args] }).exit();
  const [help, missing, folder, number, near, unknown] = await Promise.all([
    run("--help"),
    run("-n", "2", "nothing.ts"),
    run("-n", "2", "tests"),
    run("-n", "0", PROGRAM),
    run("--node", "2", PROGRAM),
    run("--alow-read", "-n", "2", PROGRAM),
  ]);
  assertEquals([help.code, help.stderr], [0, ""]);
  assertMatch(help.stdout, /^Usage: \.\/tdsm launch /m);
  assertEquals([missing, folder, number, near].map(({ code }) => code), [2, 2, 2, 2]);
  assertMatch(missing.stderr, /^tdsm: error: Cannot launch nothing\.ts: there is no such file in /);
  assertMatch(folder.stderr, /^tdsm: error: Cannot launch tests: it is no file/);
  assertMatch(number.stderr, /^tdsm: error: Cannot use "0" of -n: it must be a whole number of/);
  assertMatch(near.stderr, /^tdsm: error: Cannot use flag --node: did you mean --nodes\?/);
  // Deno's own flags are Deno's to judge: once, since the others are not started.
  assertEquals(unknown.code, 1);
  assertMatch(unknown.stderr, /^\[1\] +tip: a similar argument exists: '--allow-read'$/m);
  assert(!unknown.stderr.includes("[2]"));
});
