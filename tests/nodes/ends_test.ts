/** How programs end: a main that throws, `abort`, signals, `Deno.exit`, and the exit codes. */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { type InlineOptions, inlineProgram, joiningProgram } from "../support/inline_program.ts";
import { ProcessCluster, type RemoteNode, type TestProcess } from "../support/process_cluster.ts";

/** Stops a process; a signal alone may take its time. */
async function stop(process: TestProcess): Promise<void> {
  process.kill("SIGSTOP");
  while (!/\) T /.test(await process.proc("stat")));
}

/** A directory node, and the program of another node. */
interface Pair extends AsyncDisposable {
  readonly directory: RemoteNode;
  readonly process: TestProcess;
}

/** Starts a directory node, and a program that joins it. */
async function startPair(code: string, ...flags: string[]): Promise<Pair> {
  await using stack = new AsyncDisposableStack();
  const cluster = stack.use(new ProcessCluster());
  const directory = await cluster.host();
  const process = joiningProgram(cluster, directory, "program", code, ...flags);
  const all = stack.move();
  return { directory, process, [Symbol.asyncDispose]: () => all[Symbol.asyncDispose]() };
}

const FAILED_2 =
  /^tdsm: error: (?:Cannot .*: )?Node 2 has failed and ended the cluster: RangeError: planted\. .*\(NodeFailed\)$/m;

/** What the mains of the other nodes do while one fails, each in a way that ends differently. */
const OCCUPATIONS: readonly (readonly [what: string, code: string])[] = [
  ["awaits", `await new Promise(() => {});`],
  ["awaits a semaphore", `await node.semaphore(9n).acquire();`],
  ["blocks at a semaphore", `node.semaphore(9n).acquireSync();`],
  ["blocks at a barrier", `node.barrier("all", 9).waitSync();`],
  ["computes", `for (;;);`],
  [
    "spins on a cell",
    `const cell = node.view(Int32Array, 0, 1); while (Atomics.load(cell, 0) === 0);`,
  ],
];

for (const [what, code] of OCCUPATIONS) {
  Deno.test(`ends: a main that throws ends a node that ${what}`, async () => {
    await using cluster = new ProcessCluster();
    const directory = await cluster.host("--size=1MiB");
    const thrower = joiningProgram(
      cluster,
      directory,
      "thrower",
      `await run(async (node) => {
         await node.waitForPeer(3);
         await node.semaphore(1n).acquire();
         throw new RangeError("planted");
       });`,
    );
    await directory.evaluate((node) => node.waitForPeer(2));
    const other = joiningProgram(
      cluster,
      directory,
      "other",
      `await run(async (node) => { console.log("begun"); node.semaphore(1n).release(); ${code} });`,
    );
    const thrown = await thrower.exit();
    assertEquals([thrown.code, thrown.stdout], [1, ""]);
    assertMatch(
      thrown.stderr,
      /^tdsm: error: The program of node 2 has failed: RangeError: planted\n +at /,
    );
    assertEquals(thrown.stderr.match(/planted/g)!.length, 1, thrown.stderr);
    assert(!thrown.stderr.includes("/runtime/node/"), thrown.stderr);
    for (const process of [other, directory.process]) {
      const { code, stderr } = await process.exit();
      assertEquals(code, 1, stderr);
      assertMatch(stderr, FAILED_2);
    }
    assertEquals(other.stderr.trimEnd().split("\n").length, 1, other.stderr);
  });
}

Deno.test("ends: a main that throws the error event of a Worker tells the error", async () => {
  await using pair = await startPair(
    `await run(() => new Promise((_, reject) => {
       const code = URL.createObjectURL(new Blob(["throw new RangeError('planted')"]));
       const worker = new Worker(code, { type: "module" });
       worker.onerror = (event) => { event.preventDefault(); reject(event); };
     }));`,
  );
  const { directory, process } = pair;
  const { code, stderr } = await process.exit();
  assertEquals(code, 1);
  assertMatch(
    stderr,
    /^tdsm: error: The program of node 2 has failed: Uncaught.* RangeError: planted\n$/m,
  );
  assert(!stderr.includes("ErrorEvent"), stderr);
  assertEquals((await directory.process.exit()).code, 1);
});

Deno.test("ends: the main of the directory node that throws ends every node at once", async () => {
  await using cluster = new ProcessCluster();
  const directory = inlineProgram(
    cluster,
    "directory",
    `await run(async (node) => {
       console.log(node.port);
       await node.waitForPeer(3);
       throw new RangeError("planted");
     });`,
    { flags: ["--directory", "--port=0"] },
  );
  const [port] = await directory.untilPrinted(/^\d+$/m);
  const flag = `--directory-address=127.0.0.1:${port}`;
  const working = inlineProgram(
    cluster,
    "working",
    `await run(() => new Promise(() => {}));`,
    { flags: [flag] },
  );
  const serving = inlineProgram(cluster, "serving", `await run(() => {});`, {
    flags: [flag, "--rpc-server"],
  });
  const failed = /Node 1 has failed and ended the cluster: RangeError: planted/;
  for (const process of [directory, working, serving]) {
    const { code, stderr } = await process.exit();
    assertEquals(code, 1, stderr);
    assertMatch(stderr, process === directory ? /^tdsm: error: The program of node 1 has/ : failed);
  }
});

Deno.test("ends: a thread that waits for a page of the node that fails ends, too", async () => {
  await using cluster = new ProcessCluster();
  const [directory, owner, asker] = await cluster.start(3, "--size=1MiB");
  await owner!.store(4096, 1);
  // Stopped, it gives nothing away.
  await stop(owner!.process);
  const heard = () => directory!.evaluate((node) => node.stats().messagesReceived);
  const before = await heard();
  asker!.load(4096).catch(() => {});
  while (await heard() === before);
  directory!.evaluate((node) => node.abort(new RangeError("planted"))).catch(() => {});
  const { code, stderr } = await asker!.process.exit();
  assertEquals(code, 1, stderr);
  assertMatch(stderr, /^tdsm: error: Node 1 has failed and ended the cluster: Ra/m);
});

Deno.test("ends: with --on-error leave the others go on, and have the pages of the node that failed", async () => {
  await using cluster = new ProcessCluster();
  const [directory, other] = await cluster.start(2);
  const thrower = joiningProgram(
    cluster,
    directory!,
    "thrower",
    `await run((node) => { node.memory[0] = 7; throw new RangeError("planted"); });`,
    "--on-error=leave",
  );
  const { code, stderr } = await thrower.exit();
  assertEquals(code, 1);
  assertMatch(stderr, /^tdsm: error: The program of node 3 has failed: RangeError: planted/);
  assertEquals(await other!.load(0), 7);
});

Deno.test("ends: a program that catches what run throws decides how it ends", async () => {
  await using cluster = new ProcessCluster();
  const { code, stdout, stderr } = await inlineProgram(
    cluster,
    "catcher",
    `try {
       await run(() => Promise.reject("no error at all"));
     } catch (error) {
       console.log("caught", error);
     }`,
    { flags: ["--port=0"] },
  ).exit();
  assertEquals([code, stdout], [0, "caught no error at all\n"]);
  assertEquals(stderr, `tdsm: error: The program of node 1 has failed: no error at all\n`);
});

Deno.test("ends: abort ends every node, by whichever thread and of whichever node it is called", async () => {
  for (const where of ["thread that joined", "attached thread"]) {
    await using cluster = new ProcessCluster();
    const [directory, other] = await cluster.start(2);
    const call = where === "attached thread" ? "attach(node.handle)" : "node";
    const aborting = joiningProgram(
      cluster,
      directory!,
      where,
      `await run(async (node) => { ${call}.abort("totals differ"); await new Promise(() => {}); });`,
    );
    for (const process of [aborting, directory!.process, other!.process]) {
      const { code, stderr } = await process.exit();
      assertEquals(code, 1, stderr);
      assertMatch(
        stderr,
        /^tdsm: error: Node 3 .*: totals differ\. .*\(NodeFailed\)$/m,
      );
    }
  }
});

/** What a main of the directory node does that has nothing left to do, while another node works. */
const CLOSINGS: readonly (readonly [what: string, code: string])[] = [
  ["has returned", ``],
  ["closes its node", `await node.close();`],
  ["has returned, and has begun to close its node", `node.close();`],
];

/**
 * Starts a directory node whose main goes on once another node has joined, and that other node.
 */
async function startHosted(
  cluster: ProcessCluster,
  main: string,
  options: InlineOptions,
): Promise<{ directory: TestProcess; other: RemoteNode }> {
  const code = `await run(async (node) => {
     console.log("at " + node.port);
     await node.waitForPeer(2);
     ${main}
   });`;
  const flags = ["--directory", "--port=0", ...options.flags];
  const directory = inlineProgram(cluster, "directory", code, { ...options, flags });
  const [, port] = await directory.untilPrinted(/^at (\d+)$/m);
  return { directory, other: await cluster.join({ at: `127.0.0.1:${port}` } as RemoteNode) };
}

for (const [what, closing] of CLOSINGS) {
  Deno.test(`ends: an error of another node ends the directory node whose main ${what}`, async () => {
    await using cluster = new ProcessCluster();
    const { directory, other } = await startHosted(cluster, closing, {
      flags: ["--log-level=2"],
    });
    await directory.untilPrinted(
      /Waiting for these nodes to finish before the directory closes: 2/,
    );
    other.evaluate((node) => node.abort(new RangeError("planted"))).catch(() => {});
    for (const process of [directory, other.process]) {
      const { code, stderr } = await process.exit();
      assertEquals(code, 1, stderr);
      assertMatch(stderr, FAILED_2);
    }
  });
}

/** What still ends the cluster while the directory node closes. */
const LATE: readonly (readonly [what: string, code: string])[] = [
  ["main throws", `throw new RangeError("planted");`],
  ["main calls abort", `node.abort(new RangeError("planted")); await new Promise(() => {});`],
  [
    "a Worker calls abort",
    `worker.postMessage(0); await new Promise(() => {});`,
  ],
];

for (const [what, late] of LATE) {
  Deno.test(`ends: while the directory node closes, and waits for others, ${what}: all end`, async () => {
    await using cluster = new ProcessCluster();
    const worker = `
      import { attach } from ${JSON.stringify(import.meta.resolve("../../mod.ts"))};
      let node;
      onmessage = ({ data }) => {
        if (data === 0) return node.abort(new RangeError("planted"));
        node = attach(data);
        postMessage(0);
      };`;
    const url = JSON.stringify(`data:text/javascript,${encodeURIComponent(worker)}`);
    const main = `const worker = new Worker(${url}, { type: "module" });
       worker.postMessage(node.handle);
       await new Promise((resolve) => worker.onmessage = resolve);
       node.close().catch(() => {});
       await new Promise((resolve) => setTimeout(resolve));
       ${late}`;
    const permissions = ["--no-prompt", "-A"];
    const { directory, other } = await startHosted(cluster, main, { flags: [], permissions });
    for (const process of [directory, other.process]) {
      const { code, stderr } = await process.exit();
      assertEquals(code, 1, stderr);
      assertMatch(stderr, /^tdsm: error: .*RangeError: planted/m);
    }
    assertMatch(
      other.process.stderr,
      /Node 1 has failed and ended the cluster: RangeError: planted/,
    );
  });
}

Deno.test("ends: after join, abort is for the program to act on", async () => {
  await using pair = await startPair(
    `const node = await join({ directoryAddress: Deno.args[0].split("=")[1] });
     console.log("joined");
     const waiting = node.semaphore(1n).acquire();
     const codes = await Promise.all([node.closed, waiting].map((all) => all.catch(({ code }) => code)));
     try { node.semaphore(1n).acquireSync(); } catch ({ code }) { codes.push(code); }
     try { node.semaphore(1n).release(); } catch ({ code }) { codes.push(code); }
     await node.close().catch(({ code }) => codes.push(code));
     console.log(codes.join(" "));`,
  );
  const { directory, process: joined } = pair;
  await joined.untilPrinted(/^joined$/m);
  directory.evaluate((node) => node.abort("enough")).catch(() => {});
  const { code, stdout, stderr } = await joined.exit();
  assertEquals([code, stdout, stderr], [
    0,
    `joined\n${Array(5).fill("NodeFailed").join(" ")}\n`,
    "",
  ]);
});

/** What a main does when a signal comes, and what its node is to have handed over by then. */
const SIGNALLED: readonly (readonly [what: string, code: string])[] = [
  ["awaits", `console.log("begun"); await new Promise(() => {});`],
  ["computes", `console.log("begun"); for (;;);`],
  ["blocks", `console.log("begun"); node.semaphore(9n).acquireSync();`],
  [
    "writes to the region",
    `const cells = node.view(Int32Array, 4096, 1024);
     console.log("begun");
     for (let i = 0;; i++) Atomics.store(cells, i % 1024, i);`,
  ],
];
const NUMBERS = { SIGHUP: 1, SIGINT: 2, SIGTERM: 15 } as const;

for (const [index, [what, code]] of SIGNALLED.entries()) {
  const signal = (["SIGINT", "SIGTERM", "SIGHUP", "SIGINT"] as const)[index]!;
  Deno.test(`ends: ${signal} has a node leave whose main ${what}`, async () => {
    await using cluster = new ProcessCluster();
    const [directory, other] = await cluster.start(2);
    const main = `await run(async (node) => { node.memory[0] = 7; ${code} });`;
    const process = joiningProgram(cluster, directory!, "signalled", main);
    await process.untilPrinted(/^begun$/m);
    process.kill(signal);
    const ended = await process.exit();
    assertEquals([ended.code, ended.stderr], [128 + NUMBERS[signal], ""]);
    assertEquals(await other!.load(0), 7);
    await other!.load(4096);
    const peers = await directory!.evaluate((node) => node.peers().map(({ id }) => id));
    assertEquals(peers, [2]);
    assertEquals((await other!.leave()).code, 0);
    assertEquals((await directory!.leave()).code, 0);
  });
}

Deno.test("ends: a signal to the directory node tells the others that the cluster is closed", async () => {
  await using cluster = new ProcessCluster();
  const directory = await cluster.host();
  const working = joiningProgram(
    cluster,
    directory,
    "working",
    `await run((node) => { console.log("begun"); node.semaphore(9n).acquireSync(); });`,
  );
  const serving = joiningProgram(
    cluster,
    directory,
    "serving",
    `await run(() => {});`,
    "--rpc-server",
  );
  await working.untilPrinted(/^begun$/m);
  await directory.evaluate((node) => node.waitForPeer(3));
  directory.process.kill("SIGTERM");
  const ends = [await directory.process.exit(), await serving.exit(), await working.exit()];
  assertEquals(ends.map(({ code }) => code), [143, 0, 70]);
  assertEquals([ends[0]!.stderr, ends[1]!.stderr], ["", ""]);
  const closed =
    /^tdsm: error: Cannot .*: the directory node has closed the cluster.*\(DirectoryLost\)\n$/;
  assertMatch(ends[2]!.stderr, closed);
});

Deno.test("ends: one Ctrl-C for all nodes ends each by its signal, and none with an error", async () => {
  await using cluster = new ProcessCluster();
  const nodes = await cluster.start(4);
  for (const [index, node] of nodes.entries()) await node.store(index * 4096, index);
  for (const { process } of nodes) process.kill("SIGINT");
  for (const { process } of nodes) {
    const { code, stderr } = await process.exit();
    assertEquals([code, stderr], [130, ""]);
  }
});

/** What a node does that is stopped, and is told of a signal and of the cluster's end at once. */
const STOPPED: readonly (readonly [what: string, code: string])[] = [
  ["awaits", `await new Promise(() => {});`],
  ["writes to the region", `for (let i = 0;; i++) Atomics.store(cells, 0, i);`],
];

for (const [what, code] of STOPPED) {
  Deno.test(`ends: a signal counts before what follows from it, for a node that ${what}`, async () => {
    await using pair = await startPair(
      `await run(async (node) => {
         const cells = node.view(Int32Array, 4096, 1);
         cells[0] = 1;
         console.log("begun");
         ${code}
       });`,
    );
    const { directory, process } = pair;
    await process.untilPrinted(/^begun$/m);
    await stop(process);
    for (const node of [directory.process, process]) node.kill("SIGINT");
    assertEquals((await directory.process.exit()).code, 130);
    process.kill("SIGCONT");
    const ended = await process.exit();
    assertEquals([ended.code, ended.stderr], [130, ""]);
  });
}

Deno.test("ends: a Ctrl-C that is passed on as well is one: pages are handed over", async () => {
  await using pair = await startPair(
    `await run(async (node) => {
       for (let at = 0; at < node.size; at += node.pageSize) node.memory[at] = 7;
       console.log("begun");
       await new Promise(() => {});
     });`,
    "--log-level=3",
  );
  const { directory, process } = pair;
  await process.untilPrinted(/^begun$/m);
  // As by a terminal, and by the `deno task` that it has sent the signal to as well.
  directory.process.kill("SIGSTOP");
  process.kill("SIGINT");
  await process.untilPrinted(/SIGINT: leaving the cluster/);
  process.kill("SIGINT");
  directory.process.kill("SIGCONT");
  assertEquals((await process.exit()).code, 130);
  assertEquals(await directory.load(0), 7);
});

Deno.test("ends: a second signal ends the process at once", async () => {
  await using pair = await startPair(
    `await run(async (node) => { node.memory[0] = 7; console.log("begun"); await new Promise(() => {}); });`,
    "--log-level=3",
  );
  const { directory, process } = pair;
  await process.untilPrinted(/^begun$/m);
  // Stopped, it takes no page over, so that the first signal would take its time.
  await stop(directory.process);
  process.kill("SIGTERM");
  await process.untilPrinted(/SIGTERM: leaving the cluster/);
  process.kill("SIGINT");
  assertEquals((await process.exit()).code, 130);
  directory.process.kill("SIGCONT");
});

Deno.test("ends: a node that cannot leave in time says what is lost, and ends all the same", async () => {
  await using pair = await startPair(
    `await run((node) => { node.memory[0] = 7; console.log("begun"); for (;;); });`,
  );
  const { directory, process } = pair;
  await process.untilPrinted(/^begun$/m);
  await stop(directory.process);
  process.kill("SIGTERM");
  const { code, stderr } = await process.exit();
  assertEquals(code, 143);
  assertMatch(
    stderr,
    /^tdsm: error: Could not leave the cluster within 5000 ms: at least 1 pages are lost\n$/,
  );
  directory.process.kill("SIGCONT");
});

Deno.test("ends: signals are the program's own after join, and under run with signals off", async () => {
  await using cluster = new ProcessCluster();
  const directory = await cluster.host();
  const listening =
    `Deno.addSignalListener("SIGTERM", () => { console.log("mine"); node.close(); });
    console.log("begun"); await node.closed;`;
  const programs = [
    joiningProgram(
      cluster,
      directory,
      "joined",
      `const node = await join({ directoryAddress: Deno.args[0].split("=")[1] }); ${listening}`,
    ),
    joiningProgram(
      cluster,
      directory,
      "run",
      `await run(async (node) => { ${listening} });`,
      "--no-signals",
    ),
  ];
  for (const process of programs) {
    await process.untilPrinted(/^begun$/m);
    process.kill("SIGTERM");
    const { code, stdout } = await process.exit();
    assertEquals([code, stdout], [0, "begun\nmine\n"]);
  }
});

Deno.test("ends: after join with signals on, a signal has the node leave", async () => {
  await using pair = await startPair(
    `const node = await join({ directoryAddress: Deno.args[0].split("=")[1], signals: true });
     node.memory[0] = 7;
     addEventListener("unload", () => console.log("unload"));
     console.log("begun");`,
  );
  const { directory, process } = pair;
  await process.untilPrinted(/^begun$/m);
  process.kill("SIGTERM");
  const { code, stdout, stderr } = await process.exit();
  assertEquals([code, stdout, stderr], [143, "begun\nunload\n", ""]);
  assertEquals(await directory.load(0), 7);
});

for (const [how, start] of [["run", "await run((node) => {"], ["join", ""]] as const) {
  Deno.test(`ends: Deno.exit after ${how} hands pages over`, async () => {
    const joined = `const node = await join({ directoryAddress: Deno.args[0].split("=")[1] });`;
    const code = `node.memory[0] = 7; Deno.exit(3);`;
    const text = start === "" ? `${joined} ${code}` : `${start} ${code} });`;
    await using pair = await startPair(text);
    const { directory, process } = pair;
    const ended = await process.exit();
    assertEquals([ended.code, ended.stderr], [3, ""]);
    assertEquals(await directory.load(0), 7);
    assertEquals(await directory.evaluate((node) => node.peers()), []);
    assertEquals((await directory.leave()).code, 0);
  });
}

Deno.test("ends: Deno.exit on the directory node closes the cluster", async () => {
  await using cluster = new ProcessCluster();
  const [directory, other] = await cluster.start(2);
  directory!.evaluate(() => Deno.exit(0)).catch(() => {});
  assertEquals((await directory!.process.exit()).code, 0);
  const { code, stderr } = await other!.process.exit();
  assertEquals(code, 70);
  assertMatch(stderr, /the directory node has closed the cluster.*\(DirectoryLost\)$/m);
});

/** Errors that nothing catches. */
const UNCAUGHT: readonly (readonly [how: string, code: string])[] = [
  ["throw", `setTimeout(() => { throw new RangeError("planted"); });`],
  ["reject", `Promise.reject(new RangeError("planted"));`],
];

for (const [how, planted] of UNCAUGHT) {
  Deno.test(`ends: an error that nothing catches ends the cluster, too (${how})`, async () => {
    const main = `await run(async (node) => { ${planted} await new Promise(() => {}); });`;
    await using pair = await startPair(main);
    const { directory, process } = pair;
    const { code, stderr } = await process.exit();
    assertEquals(code, 1);
    assertMatch(
      stderr,
      /^tdsm: error: The program of node 2 has failed: RangeError: planted\n +at /,
    );
    assertEquals(stderr.match(/planted/g)!.length, 1, stderr);
    const ended = await directory.process.exit();
    assertEquals(ended.code, 1);
    assertMatch(ended.stderr, FAILED_2);
  });
}

Deno.test("ends: an error that the program catches by a listener of its own is none", async () => {
  await using cluster = new ProcessCluster();
  const { code, stdout, stderr } = await inlineProgram(
    cluster,
    "catcher",
    `addEventListener("unhandledrejection", (event) => { event.preventDefault(); console.log("mine"); });
     await run(async () => { Promise.reject(1); await new Promise((go) => setTimeout(go)); });`,
    { flags: ["--port=0"] },
  ).exit();
  assertEquals([code, stdout, stderr], [0, "mine\n", ""]);
});

/** What cannot be described, and is thrown all the same. */
const INDESCRIBABLE: readonly (readonly [what: string, code: string])[] = [
  [
    "an error without a message",
    `Object.defineProperty(new Error(), "message", { get() { throw 1; } })`,
  ],
  ["an error whose name is a symbol", `Object.assign(new Error("x"), { name: Symbol("name") })`],
  ["an object that does not show itself", `{ [Symbol.for("Deno.customInspect")]() { throw 1; } }`],
  [
    "a proxy that is revoked",
    `(({ proxy, revoke }) => (revoke(), proxy))(Proxy.revocable({}, {}))`,
  ],
];

for (const [what, code] of INDESCRIBABLE) {
  Deno.test(`ends: a main that throws ${what} ends the cluster all the same`, async () => {
    await using pair = await startPair(`await run(() => { throw ${code}; });`);
    const { directory, process } = pair;
    const thrown = await process.exit();
    assertEquals(thrown.code, 1, thrown.stderr);
    assertMatch(thrown.stderr, /^tdsm: error: The program of node 2 has failed: /);
    const ended = await directory.process.exit();
    assertEquals(ended.code, 1);
    assertMatch(
      ended.stderr,
      /^tdsm: error: Node 2 .* ended the cluster: what was thrown cannot be described\. /m,
    );
  });
}

/**
 * A program whose Worker runs a node; `body` is that of the node's main. The main thread has
 * `worker`, and executes `main`.
 */
function runInWorker(
  cluster: ProcessCluster,
  { at }: RemoteNode,
  body: string,
  main = "",
): TestProcess {
  const worker = `import { run } from ${JSON.stringify(import.meta.resolve("../../mod.ts"))};
    await run(async (node) => { ${body} }, { directoryAddress: "${at}" });`;
  const url = JSON.stringify(`data:text/javascript,${encodeURIComponent(worker)}`);
  const code = `const worker = new Worker(${url}, { type: "module" }); ${main}`;
  const permissions = ["--no-prompt", "-A"];
  return inlineProgram(cluster, "program", code, { flags: [], permissions });
}

for (const [how, planted] of UNCAUGHT) {
  Deno.test(`ends: an error that nothing catches in a Worker that runs a node ends the program (${how})`, async () => {
    await using cluster = new ProcessCluster();
    const directory = await cluster.host();
    const body = `${planted} await new Promise(() => {});`;
    const { code, stderr } = await runInWorker(cluster, directory, body).exit();
    assertEquals(code, 1, stderr);
    assertMatch(stderr, /Uncaught \(in worker "[^"]*"\).* RangeError: planted/);
    const ended = await directory.process.exit();
    assertEquals(ended.code, 1);
    assertMatch(ended.stderr, FAILED_2);
  });
}

Deno.test("ends: a second run that fails is told once, with its own exit code, and ends the first", async () => {
  await using cluster = new ProcessCluster();
  const { code, stderr } = await inlineProgram(
    cluster,
    "program",
    `run(() => { run(() => {}, { size: 3 }); return new Promise(() => {}); });`,
    { flags: ["--port=0"] },
  ).exit();
  assertEquals(code, 2, stderr);
  assertMatch(stderr, /^tdsm: error: Cannot use 3 of option size: .*\n$/);
});

Deno.test("ends: a signal has a node leave that a Worker runs, and ends the program by it", async () => {
  await using cluster = new ProcessCluster();
  const directory = await cluster.host();
  const body = `node.memory[0] = 7; console.log("begun"); await new Promise(() => {});`;
  const process = runInWorker(cluster, directory, body);
  await process.untilPrinted(/^begun$/m);
  process.kill("SIGTERM");
  const { code, stderr } = await process.exit();
  assertEquals([code, stderr], [143, ""]);
  assertEquals(await directory.load(0), 7);
});

/** What a Worker does with its node when the main thread ends the process. */
const EXITED: readonly (readonly [what: string, code: string])[] = [
  ["awaits", `await new Promise(() => {});`],
  ["blocks", `node.semaphore(9n).acquireSync();`],
  ["computes", `for (;;);`],
];

for (const [what, occupation] of EXITED) {
  Deno.test(`ends: Deno.exit in the main thread has a node leave that a Worker runs, which ${what}`, async () => {
    await using cluster = new ProcessCluster();
    const directory = await cluster.host();
    const body = `node.memory[0] = 7; postMessage("begun"); ${occupation}`;
    const main = `worker.onmessage = () => Deno.exit(3);`;
    const { code, stderr } = await runInWorker(cluster, directory, body, main).exit();
    assertEquals([code, stderr], [3, ""]);
    assertEquals(await directory.load(0), 7);
    assertEquals(await directory.evaluate((node) => node.peers()), []);
    assertEquals((await directory.leave()).code, 0);
  });
}

Deno.test("ends: Deno.exit in the main thread waits for no node of a Worker that was terminated", async () => {
  await using cluster = new ProcessCluster();
  const directory = await cluster.host();
  const body = `postMessage("begun"); await new Promise(() => {});`;
  const main = `worker.onmessage = () => { worker.terminate(); Deno.exit(3); };`;
  const { code, stderr } = await runInWorker(cluster, directory, body, main).exit();
  assertEquals([code, stderr], [3, ""]);
  while ((await directory.evaluate((node) => node.peers())).length > 0);
});

Deno.test("ends: control characters of the node that fails reach no terminal of another", async () => {
  await using pair = await startPair(
    `const node = await join({ directoryAddress: Deno.args[0].split("=")[1] });
     console.log("joined");
     await node.closed;`,
  );
  const { directory, process: joined } = pair;
  await joined.untilPrinted(/^joined$/m);
  directory.evaluate((node) => node.abort("\x1b]0;title\x07 and\n\x1b[2J \u202emore")).catch(
    () => {},
  );
  const { code, stderr } = await joined.exit();
  assertEquals(code, 1);
  assertMatch(
    stderr,
    /Node 1 has failed and ended the cluster: {2}\]0;title {2}and \[2J {2}more\. /,
  );
});

Deno.test("ends: what fails after the node has failed is not told, and leaves the exit code", async () => {
  await using pair = await startPair(
    `await run(async (node) => {
       node.closed.catch(() => queueMicrotask(() => { throw new RangeError("later"); }));
       console.log("begun");
       await new Promise(() => {});
     });`,
  );
  const { directory, process } = pair;
  await process.untilPrinted(/^begun$/m);
  directory.process.kill();
  const { code, stderr } = await process.exit();
  assertEquals(code, 70, stderr);
  assertMatch(
    stderr,
    /^tdsm: error: Lost the directory node at .*\. See what node 1 printed \(DirectoryLost\)\n$/,
  );
});

Deno.test("ends: after Deno.exit, listeners for the end use a node that is closed, and do not hang", async () => {
  await using cluster = new ProcessCluster();
  const directory = await cluster.host();
  await directory.store(4096, 1);
  const process = joiningProgram(
    cluster,
    directory,
    "program",
    `await run((node) => {
       addEventListener("unload", () => {
         console.log(node.memory[4096]);
         try { node.semaphore(9n).acquireSync(); } catch ({ code }) { console.log(code); }
       });
       Deno.exit(3);
     });`,
  );
  const { code, stdout, stderr } = await process.exit();
  assertEquals([code, stdout, stderr], [3, "undefined\nNodeClosed\n", ""]);
});

Deno.test("ends: a signal to a node that waits for another to join ends it without an error", async () => {
  await using pair = await startPair(
    `await run(async (node) => {
       const joined = node.waitForPeer(9);
       console.log("begun");
       await joined;
     });`,
  );
  const { process } = pair;
  await process.untilPrinted(/^begun$/m);
  process.kill("SIGTERM");
  const { code, stderr } = await process.exit();
  assertEquals([code, stderr], [143, ""]);
});

Deno.test("ends: a directory node whose main has ended waits for the others, and for nothing else", async () => {
  await using cluster = new ProcessCluster();
  const program = `await run(async (node) => {
     console.log("at " + node.port);
     await node.waitForPeer(2);
   }, { directory: true, port: 0 });`;
  // So that the node tells, after a while, how others join; then it has long closed its memory.
  const directory = inlineProgram(cluster, "directory", program, { flags: ["--log-level=3"] });
  const [, port] = await directory.untilPrinted(/^at (\d+)$/m);
  const second = await cluster.join({ at: `127.0.0.1:${port}` } as RemoteNode);
  await directory.untilPrinted(/Waiting for these nodes to finish before the directory closes: 2/);
  assertEquals((await second.leave()).code, 0);
  const { code, stderr } = await directory.exit();
  assertEquals(code, 0, stderr);
});
