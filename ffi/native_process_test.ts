/**
 * What can be seen only from outside a process: exact permissions, another user, and the end.
 */

import { fileURLToPath } from "node:url";
import { assertEquals, assertMatch } from "@std/assert";
import { builtLibraryPath } from "./library.ts";

const here = new URL(".", import.meta.url);
const configuration = fileURLToPath(new URL("../deno.json", here));
const libraryPath = builtLibraryPath()!;
const isRoot = Deno.uid() === 0;

interface Ran {
  code: number;
  stdout: string;
  stderr: string;
}

interface RunOptions {
  permissions: string[];
  /** Words before the command: another user, another limit. */
  prefix?: string[];
  env?: Record<string, string>;
  /** Let stderr fill up; then nothing that was printed is answered. */
  unreadStderr?: boolean;
}

/** Bundles `code`, which may import from `ffi/`, and runs it as one file. */
async function run(code: string, options: RunOptions): Promise<Ran> {
  const directory = await Deno.makeTempDir();
  try {
    await Deno.chmod(directory, 0o755);
    const file = `${directory}/main.js`;
    await Deno.writeTextFile(`${directory}/main.ts`, code);
    await Deno.writeTextFile(file, await bundle(`${directory}/main.ts`));
    const command = [
      ...(options.prefix ?? []),
      Deno.execPath(),
      "run",
      "--no-config",
      ...options.permissions,
      file,
    ];
    const child = new Deno.Command(command[0]!, {
      args: command.slice(1),
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
      env: options.env ?? {},
      signal: AbortSignal.timeout(120_000),
    }).spawn();
    if (options.unreadStderr) {
      const { code: status } = await child.status;
      await Promise.all([child.stdout.cancel(), child.stderr.cancel()]);
      return { code: status, stdout: "", stderr: "" };
    }
    const { code: status, stdout, stderr } = await child.output();
    const decoder = new TextDecoder();
    return { code: status, stdout: decoder.decode(stdout), stderr: decoder.decode(stderr) };
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

async function bundle(path: string): Promise<string> {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["bundle", "--quiet", "--platform", "deno", "--config", configuration, "--no-lock", path],
  }).output();
  if (code !== 0) throw new Error(new TextDecoder().decode(stderr));
  return new TextDecoder().decode(stdout);
}

const imports = `
  import { openLibrary } from "${here.href}library.ts";
  import { boottimeMs, die, NativeRegion } from "${here.href}native.ts";
  const library = openLibrary({ path: ${JSON.stringify(libraryPath)} });`;

Deno.test("process: a bundled engine in a Blob's Worker needs --allow-ffi --allow-net, no more", async () => {
  const engine = await bundle(fileURLToPath(new URL("testdata/engine.ts", here)));
  const { code, stdout, stderr } = await run(
    `${imports}
    const region = NativeRegion.open(library, { size: 2 ** 24, pageSize: 4096 });
    const source = new Blob([${JSON.stringify(engine)}], { type: "text/javascript" });
    const worker = new Worker(URL.createObjectURL(source), { type: "module" });
    const next = () => new Promise((resolve, reject) => {
      worker.onmessage = ({ data }) => resolve(data);
      worker.onerror = (event) => reject(event.message);
    });
    const ready = next();
    worker.postMessage({ path: library.path, region: { handle: region.handle } });
    console.log(await ready);
    const memory = region.window();
    let wrong = 0;
    for (let page = 0; page < 256; page++) if (memory[page * 4096] !== page) wrong++;
    for (let page = 0; page < 256; page++) memory[page * 4096 + 1] = 255 - page;
    for (let page = 0; page < 256; page++) if (region.alias()[page * 4096 + 1] !== 255 - page) wrong++;
    console.log("wrong", wrong);
    const closed = next();
    region[Symbol.dispose]();
    console.log(await closed);
    worker.terminate();`,
    { permissions: ["--allow-ffi", "--allow-net"] },
  );
  assertEquals({ code, stdout, stderr }, {
    code: 0,
    stdout: "ready\nwrong 0\nclosed\n",
    stderr: "",
  });
});

/** How to run a command as the user nobody, if this user may. */
const asNobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];

async function canBecomeNobody(): Promise<boolean> {
  if (!isRoot) return false;
  try {
    const [command, ...args] = asNobody;
    const probe = new Deno.Command(command!, {
      args: [...args, "test", "-x", Deno.execPath(), "-a", "-r", libraryPath],
    });
    return (await probe.output()).success;
  } catch {
    return false;
  }
}

/** Runs a program as a user without any privilege, with a home of its own. */
async function runAsNobody(program: string): ReturnType<typeof run> {
  const home = await Deno.makeTempDir();
  try {
    await Deno.chmod(home, 0o777);
    const env = { DENO_DIR: home, HOME: home };
    return await run(program, { permissions: ["--allow-ffi"], prefix: asNobody, env });
  } finally {
    await Deno.remove(home, { recursive: true });
  }
}

const unprivileged = Deno.readTextFileSync("/proc/sys/vm/unprivileged_userfaultfd").trim() === "1";
const nobodyReason = unprivileged
  ? " (skipped: vm.unprivileged_userfaultfd is 1)"
  : !await canBecomeNobody()
  ? " (skipped: cannot become the user nobody here)"
  : "";

Deno.test({
  name: `process: a user without privilege gets user-mode faults, or a refusal${nobodyReason}`,
  ignore: nobodyReason !== "",
  fn: async () => {
    const { stdout, stderr } = await runAsNobody(
      `${imports}
        const options = { size: 2 ** 20, pageSize: 4096 };
        { using region = NativeRegion.open(library, options); console.log(region.userModeOnly); }
        try { NativeRegion.open(library, { ...options, requireKernelFaults: true }); }
        catch (error) { console.log(error.code, error.errno, error.message); }`,
    );
    const [userModeOnly, refusal] = stdout.split("\n");
    assertEquals(userModeOnly, "true", stderr);
    assertMatch(refusal!, /^PrivilegeMissing 1 .*sysctl vm\.unprivileged_userfaultfd=1/);
  },
});

const CLASS = `
  import { RealtimeThread } from "${here.href}realtime.ts";
  const libc = Deno.dlopen("libc.so.6", {
    sched_getscheduler: { parameters: ["i32"], result: "i32" },
  });
  const classOf = () => libc.symbols.sched_getscheduler(0) & 0xff;`;

Deno.test({
  name: `process: a user without privilege is told how to get a real-time class${nobodyReason}`,
  ignore: nobodyReason !== "",
  fn: async () => {
    const { stdout, stderr } = await runAsNobody(
      `${imports}${CLASS}
        for (const when of ["always", "starving"]) {
          const begun = RealtimeThread.begin(library, when);
          console.log(classOf(), begun.code, begun.message);
        }`,
    );
    const refused = "0 InvalidOption Cannot use realtime on: .*EPERM.* `ulimit -r 1`.*\n";
    assertMatch(stdout, new RegExp(`^(${refused}){2}$`), stderr);
  },
});

Deno.test({
  name: "process: the real-time class ends with what began it",
  ignore: !isRoot,
  fn: async () => {
    const { stdout, stderr } = await run(
      `${imports}${CLASS}
      const before = classOf();
      const begun = RealtimeThread.begin(library, "always");
      if (begun instanceof Error) console.log("refused", before, classOf());
      else {
        const within = classOf();
        begun[Symbol.dispose]();
        console.log("begun", before, within, classOf());
      }`,
      { permissions: ["--allow-ffi"] },
    );
    // Also root may lack the privilege, as in a container.
    assertMatch(stdout, /^(begun 0 2 0|refused 0 0)\n$/, stderr);
  },
});

Deno.test("process: die writes its message and ends, while another thread waits for a page", async () => {
  const { code, stdout, stderr } = await run(
    `${imports}
    const region = NativeRegion.open(library, { size: 2 ** 20, pageSize: 4096 });
    const source = new Blob([\`
      self.onmessage = ({ data }) => {
        const pointer = Deno.UnsafePointer.create(data);
        postMessage("touching");
        new Uint8Array(Deno.UnsafePointerView.getArrayBuffer(pointer, 1))[0];
      };\`], { type: "text/javascript" });
    const worker = new Worker(URL.createObjectURL(source), { type: "module" });
    worker.postMessage(region.windowAddress);
    // No engine serves the page, so the worker's thread never comes back.
    if ((await region.wait(-1)) !== 1) throw new Error("no fault");
    die(library, "the engine failed\\n", 7, 5000);`,
    { permissions: ["--allow-ffi"] },
  );
  assertEquals({ code, stdout, stderr }, { code: 7, stdout: "", stderr: "the engine failed\n" });
});

/** A Worker that reads a page in a loop, and says that it has begun. */
const SPINNING = `
  const source = new Blob([\`
    self.onmessage = ({ data }) => {
      const pointer = Deno.UnsafePointer.create(data);
      const bytes = new Uint8Array(Deno.UnsafePointerView.getArrayBuffer(pointer, 1));
      for (let round = 0;; round++) {
        Atomics.load(bytes, 0);
        if (round === 1000) postMessage("spinning");
      }
    };\`], { type: "text/javascript" });
  const worker = new Worker(URL.createObjectURL(source), { type: "module" });
  const spinning = new Promise((resolve) => worker.onmessage = resolve);
  region.install(0, 1, true);
  worker.postMessage(region.windowAddress);
  await spinning;`;

/** What a program does with its fenced region, and how its process then ends. */
const FENCED = [
  ["a thread spins on a page that it had", `${SPINNING} FENCE; await new Promise(() => {});`, 70],
  ["the region is closed, and then read", `FENCE; region[Symbol.dispose](); bytes[5 * 4096];`, 70],
  [
    "a thread waits in a fault that was read",
    `
    const touch = new Blob([\`self.onmessage = ({ data }) => new Uint8Array(
      Deno.UnsafePointerView.getArrayBuffer(Deno.UnsafePointer.create(data), 1))[0];\`]);
    const worker = new Worker(URL.createObjectURL(touch), { type: "module" });
    worker.postMessage(region.windowAddress);
    await region.wait(-1);
    if (region.readFaults(new Uint32Array(4)) !== 1) throw new Error("no fault");
    FENCE;
    await new Promise(() => {});`,
    70,
  ],
  ["nothing touches it, and the program ends by itself", `FENCE; Deno.exit(3);`, 3],
  [
    "its lease is over, and a thread spins on a page that it had",
    `${SPINNING} LEASE; await new Promise(() => {});`,
    70,
  ],
  [
    "its lease is over, and nothing touches it",
    `LEASE; setInterval(() => {}, 2 ** 30); await new Promise(() => {});`,
    70,
  ],
  [
    "its lease is over, and the engine gives another reason",
    `OTHER; await region.wait(-1); FENCE; bytes[0];`,
    70,
  ],
] as const;

for (const [what, code, exitCode] of FENCED) {
  Deno.test(`process: behind a fence, when ${what}, the exit code is ${exitCode}`, async () => {
    const fence = `region.fence("tdsm: error: planted\\n", 70, 100)`;
    const lease = `const end = { message: "tdsm: error: planted\\n", status: 70, graceMs: 100 };
      region.beginLease(boottimeMs(library) + 20, end, 100)`;
    const other = `const end = { message: "another\\n", status: 1, graceMs: 0 };
      region.beginLease(boottimeMs(library) + 20, end, -1)`;
    const ended = await run(
      `${imports}
      const region = NativeRegion.open(library, { size: 2 ** 20, pageSize: 4096 });
      const bytes = region.window();
      ${code.replace("FENCE", fence).replace("LEASE", lease).replace("OTHER", other)}`,
      { permissions: ["--allow-ffi"] },
    );
    const stderr = exitCode === 70 ? "tdsm: error: planted\n" : "";
    assertEquals(ended, { code: exitCode, stdout: "", stderr });
  });
}

/** What a program has said of its end before it touches the region, and what is told then. */
const TOLD = [
  ["nothing", "", "tdsm: error: planted\n"],
  ["why", 'region.beginTelling(0); console.error("why"); region.endTelling();', "why\n"],
  ["nothing yet, though it was about to", "region.beginTelling(0);", "tdsm: error: planted\n"],
] as const;

for (const [what, code, expected] of TOLD) {
  Deno.test(`process: its end is told once: the program has said ${what}`, async () => {
    const { code: status, stderr } = await run(
      `${imports}
      const region = NativeRegion.open(library, { size: 2 ** 20, pageSize: 4096 });
      const bytes = region.window();
      region.fence("tdsm: error: planted\\n", 70, 0);
      ${code}
      bytes[0];`,
      { permissions: ["--allow-ffi"] },
    );
    assertEquals([status, stderr], [70, expected]);
  });
}

Deno.test("process: die ends the process even if stderr has no reader", async () => {
  // More than a pipe holds, so that the write blocks for ever.
  const code = `${imports} die(library, "x".repeat(2 ** 20), 9, 50);`;
  const ended = await run(code, { permissions: ["--allow-ffi"], unreadStderr: true });
  assertEquals(ended.code, 9);
});

Deno.test("a process that has closed regions of 32 TiB opens no other one, and says so", async () => {
  const code = `
    import { openLibrary } from "${here.href}library.ts";
    import { NativeRegion } from "${here.href}native.ts";
    const library = openLibrary({ path: ${JSON.stringify(libraryPath)} });
    const open = (size) => NativeRegion.open(library, { size, pageSize: 4096 })[Symbol.dispose]();
    for (let closed = 0; closed < 32; closed++) open(2 ** 40);
    try {
      open(2 ** 30);
    } catch (error) {
      console.log(error.code, error.message);
    }
  `;
  const { code: status, stdout, stderr } = await run(code, { permissions: ["-A"] });
  assertEquals([status, stderr], [0, ""]);
  assertEquals(
    stdout,
    "LimitExceeded Cannot open the region: those that this process has closed keep 32768 GiB of " +
      "addresses, and they may keep at most 32768 with this one; end the process, and join in a " +
      "fresh one\n",
  );
});

Deno.test("process: an engine that stays away from its sleep is told of, once each time", async () => {
  const silentMs = 1_000;
  const { code, stdout, stderr } = await run(
    `${imports}
    import { Poller } from "${here.href}poller.ts";
    const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const poller = Poller.open(library, listener);
    const region = NativeRegion.open(library, { size: 2 ** 20, pageSize: 4096 });
    poller.watch(region);
    region.watchEngine("tdsm: error: planted\\n", ${silentMs});
    const serve = (ms) => {
      for (const end = performance.now() + ms; performance.now() < end;) poller.wait(10_000, 0);
    };
    const stayAway = () => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ${
      3 * silentMs
    });
    for (let round = 0; round < 2; round++) {
      serve(${silentMs});
      console.log("away");
      stayAway();
    }
    region[Symbol.dispose]();
    console.log("closed");
    Deno.exit();`,
    { permissions: ["--allow-ffi", "--allow-net"] },
  );
  assertEquals([code, stdout], [0, "away\naway\nclosed\n"]);
  assertEquals(stderr, "tdsm: error: planted\n".repeat(2));
});
