/** How programs end: a main that throws, `abort`, signals, `Deno.exit`, and the exit codes. */

import { assertEquals, assertMatch } from "@std/assert";
import { ProcessCluster, type RemoteNode, type TestProcess } from "../support/process_cluster.ts";

/** Exactly the permissions that a node is documented to need. */
const PERMISSIONS = ["--allow-ffi", "--allow-net", "--no-prompt"];

/** The import map, which a program without a file of its own does not find. */
const CONFIG = ["--config", "deno.json", "--no-lock"];

/** Starts a program that is given the runtime's exports, and its own words as `Deno.args`. */
function program(
  cluster: ProcessCluster,
  name: string,
  code: string,
  ...flags: string[]
): TestProcess {
  const text = `import { attach, join, run, TdsmError } from "./mod.ts";\n${code}`;
  const url = `data:application/typescript;charset=utf-8,${
    encodeURIComponent(text.replace("./mod.ts", import.meta.resolve("../../mod.ts")))
  }`;
  return cluster.spawn(name, { args: ["run", ...CONFIG, ...PERMISSIONS, url, ...flags] });
}

/** Starts a program that joins a directory. */
function joining(
  cluster: ProcessCluster,
  { at }: RemoteNode,
  name: string,
  code: string,
  ...flags: string[]
): TestProcess {
  return program(cluster, name, code, `--directory-address=${at}`, ...flags);
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
    const thrower = joining(
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
    const other = joining(
      cluster,
      directory,
      "other",
      `await run(async (node) => { console.log("begun"); node.semaphore(1n).release(); ${code} });`,
    );
    const thrown = await thrower.exit();
    assertEquals([thrown.code, thrown.stdout], [1, ""]);
    assertMatch(
      thrown.stderr,
      /^tdsm: error: The main of node 2 has failed: RangeError: planted\n +at /,
    );
    assertEquals(thrown.stderr.match(/planted/g)!.length, 1, thrown.stderr);
    for (const process of [other, directory.process]) {
      const { code, stderr } = await process.exit();
      assertEquals(code, 1, stderr);
      assertMatch(stderr, FAILED_2);
    }
    assertEquals(other.stderr.trimEnd().split("\n").length, 1, other.stderr);
  });
}

Deno.test("ends: the main of the directory node that throws ends every node at once", async () => {
  await using cluster = new ProcessCluster();
  const directory = program(
    cluster,
    "directory",
    `await run(async (node) => {
       console.log(node.port);
       await node.waitForPeer(3);
       throw new RangeError("planted");
     });`,
    "--directory",
    "--port=0",
  );
  const [port] = await directory.untilPrinted(/^\d+$/m);
  const flag = `--directory-address=127.0.0.1:${port}`;
  const working = program(cluster, "working", `await run(() => new Promise(() => {}));`, flag);
  const serving = program(cluster, "serving", `await run(() => {});`, flag, "--rpc-server");
  const failed = /Node 1 has failed and ended the cluster: RangeError: planted/;
  for (const process of [directory, working, serving]) {
    const { code, stderr } = await process.exit();
    assertEquals(code, 1, stderr);
    assertMatch(stderr, process === directory ? /^tdsm: error: The main of node 1 has/ : failed);
  }
});

Deno.test("ends: a thread that waits for a page of the node that fails ends, too", async () => {
  await using cluster = new ProcessCluster();
  const [directory, owner, asker] = await cluster.start(3, "--size=1MiB");
  await owner!.store(4096, 1);
  // Stopped, it gives nothing away.
  owner!.process.kill("SIGSTOP");
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
  const thrower = joining(
    cluster,
    directory!,
    "thrower",
    `await run((node) => { node.memory[0] = 7; throw new RangeError("planted"); });`,
    "--on-error=leave",
  );
  const { code, stderr } = await thrower.exit();
  assertEquals(code, 1);
  assertMatch(stderr, /^tdsm: error: The main of node 3 has failed: RangeError: planted/);
  assertEquals(await other!.load(0), 7);
});

Deno.test("ends: a program that catches what run throws decides how it ends", async () => {
  await using cluster = new ProcessCluster();
  const { code, stdout, stderr } = await program(
    cluster,
    "catcher",
    `try {
       await run(() => Promise.reject("no error at all"));
     } catch (error) {
       console.log("caught", error);
     }`,
    "--port=0",
  ).exit();
  assertEquals([code, stdout], [0, "caught no error at all\n"]);
  assertEquals(stderr, `tdsm: error: The main of node 1 has failed: "no error at all"\n`);
});

Deno.test("ends: abort ends every node, by whichever thread and of whichever node it is called", async () => {
  for (const where of ["thread that joined", "attached thread"]) {
    await using cluster = new ProcessCluster();
    const [directory, other] = await cluster.start(2);
    const call = where === "attached thread" ? "attach(node.handle)" : "node";
    const aborting = joining(
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

Deno.test("ends: after join, abort is for the program to act on", async () => {
  await using cluster = new ProcessCluster();
  const directory = await cluster.host();
  const joined = joining(
    cluster,
    directory,
    "joined",
    `const node = await join({ directoryAddress: Deno.args[0].split("=")[1] });
     console.log("joined");
     const waiting = node.semaphore(1n).acquire();
     const codes = await Promise.all([node.closed, waiting].map((all) => all.catch(({ code }) => code)));
     try { node.semaphore(1n).acquireSync(); } catch ({ code }) { codes.push(code); }
     console.log(codes.join(" "));
     await node.close();`,
  );
  await joined.untilPrinted(/^joined$/m);
  directory.evaluate((node) => node.abort("enough")).catch(() => {});
  const { code, stdout, stderr } = await joined.exit();
  assertEquals([code, stdout, stderr], [0, "joined\nNodeFailed NodeFailed NodeFailed\n", ""]);
});
