/**
 * A node that was given up, or cannot go on, is never used again: each way to lose a node, with
 * each thing that its threads may do meanwhile.
 */

import { assertEquals, assertMatch } from "@std/assert";
import { inlineProgram, PERMISSIONS } from "../support/inline_program.ts";
import { ProcessCluster, type TestProcess } from "../support/process_cluster.ts";
import { StallingProxy } from "./stalling_proxy.ts";

/** A Worker reads the modules that it imports itself. */
const WITH_WORKERS = [...PERMISSIONS, "--allow-read"];
const MOD = JSON.stringify(import.meta.resolve("../../mod.ts"));

/** What the threads of a node do while it is lost. */
const OCCUPATIONS: readonly (readonly [what: string, code: string])[] = [
  ["awaits", `begun(); await new Promise(() => {});`],
  ["spins on a page that it may read", `begun(); while (Atomics.load(word, 0) !== -1);`],
  ["writes a page that only it has", `begun(); for (;;) Atomics.add(own, 0, 1);`],
  [
    "is inside a native call",
    `begun(); Deno.dlopen("libc.so.6", { sleep: { parameters: ["u32"], result: "u32" } }).symbols.sleep(600);`,
  ],
  [
    "spins in a Worker",
    `const source = \`import { attach } from ${MOD};
     onmessage = ({ data }) => {
       const word = attach(data).view(Int32Array, 0, 1);
       Atomics.load(word, 0);
       postMessage("spinning");
       while (Atomics.load(word, 0) !== -1);
     };\`;
     const url = "data:application/typescript," + encodeURIComponent(source);
     const worker = new Worker(url, { type: "module" });
     worker.onmessage = begun;
     worker.postMessage(node.handle);
     await new Promise(() => {});`,
  ],
  ["blocks at a semaphore", `begun(); node.semaphore(9n).acquireSync();`],
];

/** A node for each occupation, with a copy of the first page and a page of its own. */
async function startOccupied(
  cluster: ProcessCluster,
  at: string,
  { first = "", permissions = WITH_WORKERS } = {},
): Promise<Map<string, TestProcess>> {
  const all = new Map<string, TestProcess>();
  for (const [what, code] of OCCUPATIONS) {
    const program = `await run(async (node) => {
       const word = node.view(Int32Array, 0, 1);
       const own = node.view(Int32Array, 4096 * node.id, 1);
       Atomics.store(own, 0, 1);
       Atomics.load(word, 0);
       const begun = () => { console.log("begun"); ${first} };
       ${code}
     });`;
    const flags = [`--directory-address=${at}`];
    all.set(what, inlineProgram(cluster, what, program, { flags, permissions }));
  }
  for (const process of all.values()) await process.untilPrinted(/^begun$/m);
  return all;
}

/** Checks that each of the nodes ends as one that cannot go on, and says why, once. */
async function assertEnd(all: ReadonlyMap<string, TestProcess>, why: RegExp): Promise<void> {
  for (const [what, process] of all) {
    const { code, stdout, stderr } = await process.exit();
    assertEquals([code, stdout], [70, "begun\n"], `${what}: ${stderr}`);
    assertMatch(stderr, why, what);
    assertEquals(stderr.match(/tdsm: error: /g)?.length, 1, `${what}: ${stderr}`);
  }
}

const LOST_DIRECTORY = /^tdsm: error: .*Lost the directory node at .* \(DirectoryLost\)$/m;

/** Stopped until the directory node has given it up, and others have overwritten what it had. */
async function freeze(cluster: ProcessCluster): Promise<void> {
  const [directory, writer] = await cluster.start(2, "--size=1MiB");
  await writer!.store(0, 1);
  const all = await startOccupied(cluster, directory!.at);
  for (const process of all.values()) process.kill("SIGSTOP");
  await writer!.store(0, 42);
  await directory!.process.until("giving all of them up", () => {
    const lost = directory!.process.stderr.match(/ is lost: it said nothing/g)?.length;
    return lost === OCCUPATIONS.length ? lost : undefined;
  });
  for (const process of all.values()) process.kill("SIGCONT");
  await assertEnd(all, LOST_DIRECTORY);
  assertEquals(await directory!.load(0), 42);
}

/** Cut off from the directory node, without the end of a connection. */
async function cutOff(cluster: ProcessCluster): Promise<void> {
  const directory = await cluster.host("--size=1MiB");
  const { address: hostname, port } = directory.info;
  await using proxy = new StallingProxy({ hostname, port });
  const all = await startOccupied(cluster, proxy.at);
  proxy.stall();
  // On a machine that is busy enough, what comes of an engine that gets no core.
  await assertEnd(
    all,
    /^tdsm: error: .*: (it has answered nothing|no answer) .* \(DirectoryLost\)$/m,
  );
  await directory.process.untilPrinted(/Node 7 is lost: it said nothing/);
}

Deno.test("fence: nodes that are stopped, or cut off, for longer than their lease end by themselves", async () => {
  await using frozen = new ProcessCluster();
  await using cut = new ProcessCluster();
  // At the same time, since each is a wait, for other reasons.
  await Promise.all([freeze(frozen), cutOff(cut)]);
});

Deno.test("fence: nodes whose directory node dies end at once", async () => {
  await using cluster = new ProcessCluster();
  const directory = await cluster.host("--size=1MiB");
  const all = await startOccupied(cluster, directory.at);
  directory.process.kill();
  await assertEnd(all, LOST_DIRECTORY);
});

Deno.test("fence: why a node cannot go on is told once, though its program tells it and then never ends", async () => {
  await using cluster = new ProcessCluster();
  const directory = await cluster.host("--size=1MiB");
  const program = `await run(async (node) => {
    // What the runtime calls once it has told why.
    Object.defineProperty(node, "close", { value() { for (;;); } });
    console.log("begun");
    await new Promise(() => {});
  });`;
  const flags = [`--directory-address=${directory.at}`];
  const process = inlineProgram(cluster, "never ends", program, { flags });
  await process.untilPrinted(/^begun$/m);
  directory.process.kill();
  await assertEnd(new Map([[process.name, process]]), LOST_DIRECTORY);
});

Deno.test("fence: nodes that the directory node refuses end at once", async () => {
  await using cluster = new ProcessCluster();
  const directory = await cluster.host("--size=1MiB");
  const { address: hostname, port } = directory.info;
  await using proxy = new StallingProxy({ hostname, port });
  const all = await startOccupied(cluster, proxy.at);
  await proxy.disturb();
  await assertEnd(
    all,
    /^tdsm: error: .*Node 1 ended the connection: .* \((FrameCorrupted|ProtocolViolation)\)$/m,
  );
});

/** Closes the userfaultfd of the process, without which its engine can serve no fault. */
const FAIL_ENGINE = `
  const libc = Deno.dlopen("libc.so.6", { close: { parameters: ["i32"], result: "i32" } });
  for (let fd = 3; fd < 100; fd++) {
    try {
      if (Deno.readLinkSync("/proc/self/fd/" + fd) === "anon_inode:[userfaultfd]") libc.symbols.close(fd);
    } catch {
      // It is none.
    }
  }
  try { node.stats(); } catch { /* The engine has a look, and fails. */ }`;

Deno.test("fence: nodes whose own engine fails end at once", async () => {
  await using cluster = new ProcessCluster();
  const directory = await cluster.host("--size=1MiB");
  await directory.store(0, 1);
  const options = { first: FAIL_ENGINE, permissions: ["-A"] };
  const all = await startOccupied(cluster, directory.at, options);
  await assertEnd(all, /^tdsm: error: .*Cannot read faults: .* \(SystemCallFailed\)$/m);
  assertEquals(await directory.load(0), 1);
});

/** Reads and calls what a node has to offer, and says the code of what each ends with. */
const CALL_ALL = `
  const codeOf = async (action) => {
    try { await action(); return "nothing"; } catch (error) { return error.code ?? String(error); }
  };
  const own = rpc("own", () => 1);
  const callAll = async (node, view, lock) => {
    const semaphore = node.semaphore(7n);
    const [barrier, mutex] = [node.barrier("b", 2), node.mutex("n")];
    const calls = {
      view: () => node.view(Int32Array, 0, 1), at: () => node.at(Int32Array, 0, 1),
      offsetOf: () => node.offsetOf(view), alloc: () => node.alloc(Int32Array, 1),
      free: () => node.free(view), release: () => semaphore.release(),
      acquire: () => semaphore.acquire(), acquireSync: () => semaphore.acquireSync(),
      tryAcquire: () => semaphore.tryAcquire(), makeSemaphore: () => node.makeSemaphore(1),
      wait: () => barrier.wait(), waitSync: () => barrier.waitSync(),
      lock: () => mutex.lock(), lockSync: () => mutex.lockSync(), tryLock: () => mutex.tryLock(),
      futexWait: () => node.futex.wait(view, 0, 0, 1),
      futexWaitAsync: () => node.futex.waitAsync(view, 0, 0, 1).value,
      futexNotify: () => node.futex.notify(view, 0),
      allocParts: () => node.allocParts(Int32Array, 1, { name: "parts" }),
      homeOf: () => node.homeOf(view), call: () => own.on(node.id)(), callAll: () => own.onAll()(),
      unlock: () => lock.unlock(), peers: () => node.peers(), stats: () => node.stats(),
      waitForPeer: () => node.waitForPeer(9), abort: () => node.abort("late"),
    };
    const codes = {};
    for (const [name, call] of Object.entries(calls)) codes[name] = await codeOf(call);
    return codes;
  };`;

Deno.test("fence: under join every call of every thread throws the reason, and the next access ends the process", async () => {
  await using cluster = new ProcessCluster();
  const directory = await cluster.host("--size=1MiB");
  const worker = `import { attach, rpc } from ${MOD};
    ${CALL_ALL}
    let node, view, lock;
    onmessage = async ({ data }) => {
      if (data === "call") return postMessage(await callAll(node, view, lock));
      if (data === "touch") return postMessage(view[0]);
      node = attach(data);
      [view, lock] = [await node.alloc(Int32Array, 4), await node.mutex("of the Worker").lock()];
      view[0] = 1;
      postMessage("ready");
    };`;
  const program = `
    ${CALL_ALL}
    const node = await join({ directoryAddress: Deno.args[0].split("=")[1] });
    const [view, lock] = [await node.alloc(Int32Array, 4), await node.mutex("m").lock()];
    const url = "data:application/typescript," + encodeURIComponent(${JSON.stringify(worker)});
    const worker = new Worker(url, { type: "module" });
    const heard = () => new Promise((resolve) => worker.onmessage = ({ data }) => resolve(data));
    const ready = heard();
    worker.postMessage(node.handle);
    await ready;
    console.log("begun");
    const closed = await codeOf(() => node.closed);
    const codes = { closed, ...await callAll(node, view, lock) };
    codes.wasmMemory = await codeOf(() => node.wasmMemory({ name: "w", pages: 1 }));
    codes.attach = await codeOf(() => attach(node.handle));
    codes.close = await codeOf(() => node.close());
    const told = heard();
    worker.postMessage("call");
    const others = Object.entries(await told).map(([name, code]) => [name + " of the Worker", code]);
    console.log(JSON.stringify({ ...codes, ...Object.fromEntries(others) }));
    // Only now, as the process has little time to print once a thread has touched the region.
    worker.postMessage("touch");
    console.log("read", await heard());`;
  const flags = [`--directory-address=${directory.at}`];
  const process = inlineProgram(cluster, "joined", program, { flags, permissions: WITH_WORKERS });
  await process.untilPrinted(/^begun$/m);
  directory.process.kill();
  const { code, stdout, stderr } = await process.exit();
  const [, codes] = stdout.split("\n");
  const told = JSON.parse(codes!) as Record<string, string>;
  assertEquals(Object.keys(told).length, 2 * 27 + 4);
  for (const [name, code] of Object.entries(told)) assertEquals(code, "DirectoryLost", name);
  assertEquals([code, stdout], [70, `begun\n${codes}\n`], stderr);
  assertMatch(stderr, LOST_DIRECTORY);
});

/** How a node is closed in good order, and what goes on over its memory. */
const OUTLIVING = [
  [
    "Workers",
    `
    const source = "import { attach } from " + ${JSON.stringify(MOD)} + ";" +
      "onmessage = ({ data }) => { const all = attach(data).memory; postMessage(0);" +
      "for (let i = 0;; i = (i + 4096) % all.length) all[i] = all[i] + 1; }";
    const worker = new Worker("data:application/typescript," + encodeURIComponent(source), { type: "module" });
    const begun = new Promise((resolve) => worker.onmessage = resolve);
    worker.postMessage(node.handle);
    await begun;`,
  ],
  [
    "native calls",
    `
    const { symbols } = Deno.dlopen("libc.so.6", {
      memset: { parameters: ["pointer", "i32", "usize"], result: "pointer", nonblocking: true },
    });
    const memory = Deno.UnsafePointer.of(node.memory);
    const fill = () => symbols.memset(memory, 7, BigInt(node.size)).then(fill);
    for (let thread = 0; thread < 4; thread++) fill();`,
  ],
] as const;

for (const [what, code] of OUTLIVING) {
  for (
    const [how, start, close] of [
      [
        "close",
        "const node = await join({ directory: true, port: 0, size: '16MiB' });",
        "await node.close();",
      ],
      [
        "the end of main",
        "await run(async (node) => {",
        "}, { directory: true, port: 0, size: '16MiB' });",
      ],
    ]
  ) {
    Deno.test(`fence: ${what} that outlive a node whose end is ${how} crash nothing`, async () => {
      await using cluster = new ProcessCluster();
      const program = `${start}\n${code}\n${close}
        console.log("closed");
        for (let turn = 0; turn < 100; turn++) await new Promise((go) => setTimeout(go, 1));
        Deno.exit(0);`;
      const { code: exitCode, stdout, stderr } = await inlineProgram(cluster, what, program, {
        flags: [],
        permissions: WITH_WORKERS,
      }).exit();
      assertEquals([exitCode, stdout, stderr], [0, "closed\n", ""]);
    });
  }
}
