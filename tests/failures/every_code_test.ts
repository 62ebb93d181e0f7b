/**
 * Each error code, in a program of `run` and in `mod.ts`: a person reads one line with the code,
 * and no stack of the runtime's own code.
 */

import { assertEquals, assertMatch } from "@std/assert";
import type { TdsmErrorCode } from "../../mod.ts";
import { crc32c } from "../../runtime/wire/crc32c.ts";
import { Offset, PROTOCOL_VERSION } from "../../runtime/wire/layout.ts";
import { inlineProgram, PERMISSIONS } from "../support/inline_program.ts";
import { KeyFile } from "../support/key_file.ts";
import { ProcessCluster, type TestProcess } from "../support/process_cluster.ts";
import { controlFrame } from "../support/raw_peer.ts";

/** Starts the program under test. Its permissions can be others than those that a node needs. */
type Start = (flags: readonly string[], main?: string) => TestProcess;
/** Provokes the error; returns the process that must print it. */
type Provoke = (cluster: ProcessCluster, start: Start) => Promise<TestProcess> | TestProcess;
/** How to provoke the error, and its exit code; or why the error cannot happen here. */
type Case = { readonly exitCode: number; readonly provoke: Provoke } | string;

const NO_MAIN = "a node without a main asks for nothing";
const KERNEL = "needs a kernel that lacks something; zig/src/open_test.zig has the library say so";

/** An error of the start, which is the same for any program. */
function atStart(exitCode: number, ...flags: string[]): { run: Case; main: Case } {
  const one: Case = { exitCode, provoke: (_, start) => start(flags) };
  return { run: one, main: one };
}

/** An error of the start that comes of what is at the directory's address. */
function atJoin(provoke: Provoke): { run: Case; main: Case } {
  return { run: { exitCode: 70, provoke }, main: { exitCode: 70, provoke } };
}

/** An error that something in a main of a lone node throws. */
function inMain(exitCode: number, main: string): { run: Case; main: Case } {
  const provoke: Provoke = (_, start) => start(["--port=0", "--size=1MiB"], main);
  return { run: { exitCode, provoke }, main: NO_MAIN };
}

/** Answers the first connection with some bytes, in place of a directory. */
function answering(bytes: Uint8Array): { run: Case; main: Case } {
  return atJoin(async (_, start) => {
    using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const process = start([`--directory-address=127.0.0.1:${listener.addr.port}`]);
    using connection = await listener.accept();
    await connection.write(bytes);
    await process.ended;
    return process;
  });
}

/** A frame of which one bit has changed on its way. */
function damaged(): Uint8Array {
  const bytes = controlFrame({ kind: "refuse", code: "JoinRefused", reason: "planted" });
  const header = new DataView(bytes.buffer, bytes.byteOffset);
  header.setUint32(Offset.HeaderChecksum, crc32c(bytes, 0, Offset.HeaderChecksum), true);
  bytes[bytes.length - 1]! ^= 1;
  return bytes;
}

const LATER = PROTOCOL_VERSION + 1;
const REFUSED = { kind: "refuse", code: "VersionMismatch", reason: `this is ${LATER}` } as const;

/** Ends the directory node once another has joined it. */
function whenJoined(
  exitCode: number,
  end: (directory: Awaited<ReturnType<ProcessCluster["host"]>>) => void,
): { run: Case; main: Case } {
  const provoke: Provoke = async (cluster, start) => {
    const directory = await cluster.host();
    const process = start([`--directory-address=${directory.at}`]);
    await directory.evaluate((node) => node.waitForPeer(2));
    end(directory);
    return process;
  };
  return { run: { exitCode, provoke }, main: { exitCode, provoke } };
}

const CASES: Readonly<Record<TdsmErrorCode, { readonly run: Case; readonly main: Case }>> = {
  InvalidOption: atStart(2, "--size=5"),
  PermissionMissing: atStart(2, "deny-net"),
  LibraryNotFound: atStart(70, "--library=/nonexistent.so"),
  LibraryMismatch: {
    run: "needs a library of another release; ffi/library_test.ts has its message",
    main: "needs a library of another release; ffi/library_test.ts has its message",
  },
  PrivilegeMissing: { run: KERNEL, main: KERNEL },
  KernelUnsupported: { run: KERNEL, main: KERNEL },
  DenoUnsupported: {
    run: "needs an older Deno; runtime/version_test.ts has its message",
    main: "needs an older Deno; runtime/version_test.ts has its message",
  },
  SystemCallFailed: atStart(70, "--directory", "--size=1TiB", "little-memory"),
  NoDirectory: atStart(70, "--directory-address=127.0.0.1:1", "--join-timeout=50"),
  ListenFailed: atJoin(async (_, start) => {
    using taken = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const process = start(["--directory", `--port=${taken.addr.port}`]);
    await process.ended;
    return process;
  }),
  VersionMismatch: answering(controlFrame(REFUSED, LATER)),
  RegionMismatch: atJoin(async (cluster, start) => {
    const directory = await cluster.host("--size=1MiB");
    return start([`--directory-address=${directory.at}`, "--size=2MiB"]);
  }),
  JoinRefused: atJoin(async (cluster, start) => {
    const [, other] = await cluster.start(2);
    return start([`--directory-address=${other!.at}`]);
  }),
  KeyMissing: atStart(2, "--port=0", "--address=0.0.0.0"),
  KeyMismatch: atJoin(async (cluster, start) => {
    using key = new KeyFile();
    const directory = await cluster.host();
    const process = start([`--directory-address=${directory.at}`, key.flag]);
    await process.ended;
    return process;
  }),
  ProtocolViolation: answering(new TextEncoder().encode("SSH-2.0-OpenSSH_9.9 is no directory\r\n")),
  FrameCorrupted: answering(damaged()),
  DirectoryLost: whenJoined(70, ({ process }) => process.kill()),
  NodeFailed: whenJoined(1, (directory) => {
    directory.evaluate((node) => node.abort("planted")).catch(() => {});
  }),
  PeerLost: {
    run: {
      exitCode: 1,
      async provoke(cluster, start) {
        const directory = await cluster.host();
        const main = `await node.waitForPeer(3);
          while (node.peers().length > 1) await new Promise((go) => setTimeout(go, 1));
          await node.waitForPeer(3);`;
        const process = start([`--directory-address=${directory.at}`], main);
        await directory.evaluate((node) => node.waitForPeer(2));
        await (await cluster.join(directory)).leave();
        return process;
      },
    },
    main: NO_MAIN,
  },
  PageLost: {
    run: {
      exitCode: 70,
      async provoke(cluster, start) {
        const [directory, owner] = await cluster.start(2);
        await owner!.store(0, 1);
        owner!.process.kill();
        await directory!.process.untilPrinted(/Node 2 is lost/);
        return start([`--directory-address=${directory!.at}`], "node.memory[0];");
      },
    },
    main: NO_MAIN,
  },
  PeerUnreachable: {
    run: "needs a network that comes apart; runtime/cluster/cluster_loss_test.ts has one",
    main: NO_MAIN,
  },
  NodeClosed: inMain(1, "await node.close(); node.semaphore(1n).release();"),
  MemoryExhausted: {
    run: {
      exitCode: 70,
      provoke: (_, start) =>
        start(["--port=0", "--size=2MiB", "--memory-limit=1088KiB"], "node.memory.fill(1);"),
    },
    main: NO_MAIN,
  },
  OutOfMemory: inMain(1, "await node.alloc(Uint8Array, 2 ** 21);"),
  NameConflict: inMain(
    1,
    `await node.alloc(Uint8Array, 1, { name: "a" }); await node.alloc(Int8Array, 1, { name: "a" });`,
  ),
  NotAllocated: inMain(1, "await node.free(node.view(Uint8Array, 0, 1));"),
  TimedOut: inMain(1, "node.semaphore(1n).acquireSync({ timeoutMs: 1 });"),
  LimitExceeded: inMain(1, "for (;;) attach(node.handle);"),
  EngineFailed: {
    run: "is a fault of the runtime; runtime/engine/worker_test.ts plants one",
    main: "is a fault of the runtime; runtime/engine/worker_test.ts plants one",
  },
  InvalidArgument: inMain(1, `await rpc("a", (given) => given).on(1)(() => {});`),
  NotJoined: inMain(1, `await node.close(); await rpc("a", () => {}).on(1)();`),
  AlreadyJoined: {
    run: "comes up in Workers alone; tests/nodes/one_node_test.ts has one",
    main: "mod.ts starts no Worker of its own",
  },
  UnknownProcedure: {
    run: {
      exitCode: 1,
      async provoke(cluster, start) {
        const directory = await cluster.host();
        const main = `await rpc("unknown", () => {}).on(1)();`;
        return start([`--directory-address=${directory.at}`], main);
      },
    },
    main: NO_MAIN,
  },
  PeerAbsent: inMain(1, `await rpc("a", () => {}).on(9)();`),
  Aborted: inMain(
    1,
    `const call = rpc("a", () => new Promise(() => {})).on(1, { signal: AbortSignal.abort() });
     await call();`,
  ),
};

/** Starts what is tested, with the flags that stand for circumstances taken out. */
function starter(cluster: ProcessCluster, program: "run" | "main"): Start {
  return (flags, main = "await new Promise(() => {});") => {
    const own = flags.filter((flag) => flag.startsWith("--"));
    const permissions = flags.includes("deny-net") ? ["--allow-ffi", "--no-prompt"] : [
      ...PERMISSIONS,
      ...(own.some((flag) => flag.startsWith("--key-file")) ? ["--allow-read"] : []),
    ];
    const port = own.some((flag) => /^--(?:directory-address|port)/.test(flag)) ? [] : ["--port=0"];
    const args = [...own, ...port];
    // More than V8 reserves, and less than the largest region.
    const little = ["prlimit", `--as=${600 * 1024 ** 3}`];
    const prefix = flags.includes("little-memory") ? little : [];
    if (program === "run") {
      return inlineProgram(cluster, "run", `await run(async (node) => { ${main} });`, {
        flags: args,
        permissions,
        prefix,
      });
    }
    return cluster.spawn("mod.ts", { args: ["run", ...permissions, "mod.ts", ...args], prefix });
  };
}

for (const [code, cases] of Object.entries(CASES)) {
  for (const program of ["run", "main"] as const) {
    const it = cases[program];
    const what = program === "run" ? "run" : "mod.ts";
    if (typeof it === "string") continue;
    Deno.test(`every code: ${code} by ${what} is one line`, async () => {
      await using cluster = new ProcessCluster();
      const process = await it.provoke(cluster, starter(cluster, program));
      const ended = await process.exit();
      const [line, ...rest] = ended.stderr.trimEnd().split("\n");
      assertMatch(line!, new RegExp(`^tdsm: error: [A-Z].*[^.] \\(${code}\\)$`), ended.stderr);
      // The program's own frames may be printed too, but none of the runtime's.
      assertEquals(rest.filter((text) => !/^ {4}at /.test(text) || text.includes("/runtime/")), []);
      assertEquals(ended.code, it.exitCode, ended.stderr);
    });
  }
}
