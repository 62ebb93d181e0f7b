/** Native code that uses its node by `tdsm.h`, on threads that know of no JavaScript. */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { fileURLToPath } from "node:url";
import { join } from "../../mod.ts";
import { buildModule, type Compiler, hasCompiler } from "../../zig/testdata/build_module.ts";
import { withFolder } from "../support/folder.ts";
import { KeyFile } from "../support/key_file.ts";
import { inlineProgram } from "../support/inline_program.ts";
import { ProcessCluster, type RemoteNode } from "../support/process_cluster.ts";

const PROGRAMS = fileURLToPath(new URL("programs", import.meta.url));
const STRICT = ["-Wall", "-Wextra", "-pedantic", "-Werror"];

/** The codes of `tdsm.h` that are expected here. */
const Code = {
  Ok: 0,
  Last: 1,
  Abandoned: 2,
  Changed: 3,
  TimedOut: -1,
  Unavailable: -2,
  Invalid: -3,
  NotJoined: -4,
  NodeClosed: -5,
  NodeFailed: -6,
  PeerLost: -7,
  DirectoryLost: -8,
  NameConflict: -12,
  LimitExceeded: -14,
} as const;

/** Functions of `native.c`. */
const JOBS = {
  count: { parameters: ["u32", "u32", "u64"], result: "i64", nonblocking: true },
  phases: { parameters: ["u32", "u32", "u32", "u64"], result: "i64", nonblocking: true },
  take: { parameters: ["u32", "u32", "u64"], result: "i64", nonblocking: true },
  turns: { parameters: ["u32", "u32", "u32", "u32", "u64"], result: "i64", nonblocking: true },
  leave_locked: { parameters: [], result: "i64", nonblocking: true },
  crowd: { parameters: ["u32"], result: "i64", nonblocking: true },
  attach_to: { parameters: ["u32"], result: "i64", nonblocking: true },
  allocate: { parameters: ["buffer", "u64", "buffer"], result: "i64", nonblocking: true },
  release_many: { parameters: ["u64", "u32"], result: "i64", nonblocking: true },
  wait_in_vain: { parameters: ["u32", "u64"], result: "i64", nonblocking: true },
  take_late: { parameters: ["u64"], result: "i64", nonblocking: true },
  fork_child: { parameters: ["u64"], result: "i64", nonblocking: true },
  await_shared: { parameters: [], result: "i64", nonblocking: true },
  set_shared: { parameters: ["u32"], result: "i64", nonblocking: true },
} as const satisfies Deno.ForeignLibraryInterface;

/** Functions of `tdsm.h`, as JavaScript calls them to see what they answer. */
const CALLS = {
  tdsm_sem_acquire: { parameters: ["u64", "i64"], result: "i32", nonblocking: true },
  tdsm_sem_try_acquire: { parameters: ["u64"], result: "i32" },
  tdsm_sem_release: { parameters: ["u64", "u32"], result: "i32" },
  tdsm_mutex_lock: { parameters: ["buffer", "i64", "buffer"], result: "i32", nonblocking: true },
  tdsm_mutex_try_lock: { parameters: ["buffer", "buffer"], result: "i32" },
  tdsm_mutex_unlock: { parameters: ["buffer"], result: "i32" },
  /** On the thread that joined. */
  acquire_here: { name: "tdsm_sem_acquire", parameters: ["u64", "i64"], result: "i32" },
  arrive_here: { name: "tdsm_barrier_wait", parameters: ["buffer", "u32", "i64"], result: "i32" },
  /** On a thread of Deno's pool. */
  unlock_elsewhere: {
    name: "tdsm_mutex_unlock",
    parameters: ["buffer"],
    result: "i32",
    nonblocking: true,
  },
  tdsm_barrier_wait: { parameters: ["buffer", "u32", "i64"], result: "i32", nonblocking: true },
  tdsm_futex_wait: { parameters: ["buffer", "u32", "i64"], result: "i32", nonblocking: true },
  tdsm_futex_notify: { parameters: ["buffer", "u32"], result: "i64" },
  tdsm_thread_detach: { parameters: [], result: "void" },
  tdsm_node_id: { parameters: [], result: "i64" },
  tdsm_nodes_here: { parameters: [], result: "i64" },
  tdsm_last_error: { parameters: [], result: "pointer" },
} as const satisfies Deno.ForeignLibraryInterface;

type Symbols<Table extends Deno.ForeignLibraryInterface> = Deno.DynamicLibrary<Table>["symbols"];

/** What {@linkcode start} keeps in each node's process. */
declare const jobs: Symbols<typeof JOBS>;
declare const calls: Symbols<typeof CALLS>;
declare function text(name: string): Uint8Array<ArrayBuffer>;
declare function lastError(): string;

/** Builds `native.c`, as C11 with every warning, and gives its path. */
async function withModule(use: (path: string) => Promise<void>): Promise<void> {
  await withFolder(async (folder) => {
    const source = await Deno.readTextFile(`${PROGRAMS}/native.c`);
    const args = ["-std=gnu11", "-pedantic"];
    await use(await buildModule(`${folder}/libnative.so`, source, { args }));
  });
}

/** Loads the module on nodes. */
async function load(nodes: readonly RemoteNode[], path: string): Promise<void> {
  await Promise.all(nodes.map((node) =>
    node.evaluate(
      async (node, path, jobs, calls) => {
        const module = await node.loadModule(path, jobs as typeof JOBS);
        const library = Deno.dlopen(node.handle.library, calls as typeof CALLS);
        const { symbols } = library;
        Object.assign(globalThis, {
          jobs: module.symbols,
          calls: symbols,
          text: (name: string) => new TextEncoder().encode(`${name}\0`),
          lastError: () => Deno.UnsafePointerView.getCString(symbols.tdsm_last_error()!),
        });
      },
      path,
      JOBS,
      CALLS,
    )
  ));
}

/** A test of so many nodes that have loaded the module. */
function test(
  title: string,
  count: number,
  body: (nodes: RemoteNode[]) => Promise<void>,
  flags: readonly string[] = [],
): void {
  Deno.test(`native: ${title}`, () =>
    withModule(async (path) => {
      await using cluster = new ProcessCluster();
      const nodes = [await cluster.host("--size=4MiB", ...flags)];
      while (nodes.length < count) nodes.push(await cluster.join(nodes[0]!, ...flags));
      await load(nodes, path);
      await body(nodes);
    }));
}

test(
  "threads of native code and of JavaScript count under one mutex, on three nodes",
  3,
  async (nodes) => {
    const counts = nodes.map((node, index) =>
      node.evaluate(async (node, threads) => {
        const native = jobs.count(threads, 100, 8192n);
        const cells = node.view(Int32Array, 8192, 1);
        for (let round = 0; round < 100; round++) {
          using _lock = await node.mutex("native count").lock();
          cells[0]! += 1;
        }
        return Number(await native);
      }, index + 1)
    );
    assertEquals(await Promise.all(counts), [0, 0, 0]);
    assertEquals(await nodes[1]!.load(8192), 100 * (1 + 2 + 3) + 3 * 100);
  },
);

test(
  "a barrier has one last thread a round, and every thread sees what came before it",
  3,
  async (nodes) => {
    const last = await Promise.all(
      nodes.map((node) => node.evaluate(async () => Number(await jobs.phases(2, 6, 40, 8192n)))),
    );
    assertEquals(last.reduce((sum, count) => sum + count), 40);
  },
);

test(
  "permits that JavaScript gives are taken once each, and the other way round",
  3,
  async (nodes) => {
    const taken = [1, 2].map((index) =>
      nodes[index]!.evaluate(async () => Number(await jobs.take(3, 50, 11n)))
    );
    await nodes[0]!.evaluate((node) => {
      for (let time = 0; time < 300; time++) node.semaphore(11n).release();
    });
    assertEquals(await Promise.all(taken), [150, 150]);
    // More than a thread may have without an answer.
    const [gave, took] = await Promise.all([
      nodes[1]!.evaluate(async () => Number(await jobs.release_many(12n, 3_000))),
      nodes[2]!.evaluate(async (node) => {
        for (let time = 0; time < 3_000; time++) await node.semaphore(12n).acquire();
        return node.semaphore(12n).tryAcquire();
      }),
    ]);
    assertEquals([gave, took], [0, false]);
  },
);

test("threads of three nodes take turns at a word, and at a shared variable", 3, async (nodes) => {
  const ended = await Promise.all(nodes.map((node, index) =>
    node.evaluate(
      async (_, first) => Number(await jobs.turns(2, first, 6, 40, 8192n)),
      2 * index,
    )
  ));
  assertEquals(ended, [0, 0, 0]);
  assertEquals(await nodes[0]!.load(8192), 6 * 40);
  // A variable in `.rdma` is the same word on every node, at another address and in no main window.
  const waiting = [0, 1].map((index) =>
    nodes[index]!.evaluate(async () => Number(await jobs.await_shared()))
  );
  await nodes[2]!.evaluate(async () => {
    await jobs.set_shared(7);
    // Those that came later than the notify have seen the value; the others are woken here.
    while (await jobs.set_shared(7) > 0n);
  });
  assertEquals(await Promise.all(waiting), [7, 7]);
  // A word that JavaScript waits for, and one that JavaScript notifies.
  const woken = nodes[0]!.evaluate(async (node) => {
    const cells = node.view(Int32Array, 16384, 2);
    const begun = node.futex.waitAsync(cells, 0, 0);
    return await begun.value;
  });
  await nodes[1]!.evaluate(async (node) => {
    const cells = node.view(Int32Array, 16384, 2);
    while (calls.tdsm_futex_notify(cells, 1) === 0n) {
      await new Promise((done) => setTimeout(done, 1));
    }
  });
  assertEquals(await woken, "ok");
  const code = nodes[1]!.evaluate((node) =>
    calls.tdsm_futex_wait(node.view(Int32Array, 16388, 1), 0, -1n)
  );
  await nodes[0]!.evaluate(async (node) => {
    const cells = node.view(Int32Array, 16384, 2);
    while (node.futex.notify(cells, 1) === 0) await new Promise((done) => setTimeout(done, 1));
  });
  assertEquals(await code, Code.Ok);
});

test(
  "notifies at a quiet word, and waits for one that is lent, send no message",
  2,
  async (nodes) => {
    const sent = await nodes[1]!.evaluate(async (node) => {
      const word = node.view(Int32Array, 16400, 1);
      word[0] = 0;
      const counts: number[] = [];
      let before = node.stats().messagesSent;
      const count = (): void => {
        const { messagesSent } = node.stats();
        counts.push(messagesSent - before);
        before = messagesSent;
      };
      for (let time = 0; time < 3; time++) {
        calls.tdsm_futex_notify(word, 1);
        count();
      }
      // Each wait ends by its time; after a few of them the word is lent.
      for (let time = 0; time < 4; time++) await calls.tdsm_futex_wait(word, 0, 1n);
      before = node.stats().messagesSent;
      for (let time = 0; time < 4; time++) {
        await calls.tdsm_futex_wait(word, 0, 1n);
        calls.tdsm_futex_notify(word, 1);
      }
      count();
      return counts;
    });
    assertEquals(sent, [1, 0, 0, 0]);
  },
);

test("what is not there in time, or cannot be used, has a code and a reason", 2, async (nodes) => {
  for (const node of nodes) {
    const found = await node.evaluate(async (node) => {
      const word = node.view(Int32Array, 0, 1);
      const lock = new Uint8Array(8);
      const other = new Uint8Array(8);
      const codes = [
        await calls.tdsm_sem_acquire(20n, 30n),
        await calls.tdsm_sem_acquire(20n, 0n),
        calls.tdsm_sem_try_acquire(20n),
        await calls.tdsm_mutex_lock(text("held"), -1n, lock),
        await calls.tdsm_mutex_lock(text("held"), 20n, other),
        calls.tdsm_mutex_try_lock(text("held"), other),
        calls.tdsm_mutex_unlock(lock),
        calls.tdsm_mutex_unlock(lock),
        await calls.tdsm_barrier_wait(text("alone"), 2, 20n),
        await calls.tdsm_futex_wait(word, 1, -1n),
        await calls.tdsm_futex_wait(word, 0, 0n),
        await calls.tdsm_futex_wait(word, 0, 20n),
      ];
      const reasons = [
        calls.tdsm_sem_release(20n, 0),
        lastError(),
        calls.tdsm_mutex_try_lock(text(""), lock),
        lastError(),
        calls.tdsm_mutex_try_lock(Uint8Array.of(0xff, 0), lock),
        lastError(),
        Number(calls.tdsm_futex_notify(new Int32Array(1), 1)),
        lastError(),
        Number(calls.tdsm_futex_notify(node.view(Uint8Array, 2, 4), 1)),
        lastError(),
      ];
      for (const timeoutMs of [-2n, -(2n ** 63n)]) {
        codes.push(
          await calls.tdsm_sem_acquire(20n, timeoutMs),
          await calls.tdsm_mutex_lock(text("held"), timeoutMs, lock),
          await calls.tdsm_barrier_wait(text("alone"), 1, timeoutMs),
          await calls.tdsm_futex_wait(word, 1, timeoutMs),
        );
      }
      reasons.push(calls.acquire_here(20n, -5n), lastError());
      // What was refused is told by the next call of the thread, as nobody waits for the answer.
      // Each node has a semaphore of its own: a first release that is refused, too, could be told
      // by the second one.
      const full = BigInt(30 + node.id);
      calls.tdsm_sem_release(full, 0x7fff_ffff);
      calls.tdsm_sem_release(full, 1);
      while (calls.tdsm_sem_try_acquire(22n) === -2);
      reasons.push(lastError());
      return { codes, reasons };
    });
    assertEquals(found.codes, [
      Code.TimedOut,
      Code.TimedOut,
      Code.Unavailable,
      Code.Ok,
      Code.TimedOut,
      Code.Unavailable,
      Code.Ok,
      Code.Invalid,
      Code.TimedOut,
      Code.Changed,
      Code.TimedOut,
      Code.TimedOut,
      ...Array<number>(8).fill(Code.Invalid),
    ]);
    assertEquals(found.reasons, [
      Code.Invalid,
      "Cannot release semaphore 20: the count must be from 1 to 2^31 - 1",
      Code.Invalid,
      "Cannot lock mutex: its name must have 1 to 255 bytes of UTF-8",
      Code.Invalid,
      "Cannot lock mutex: its name must have 1 to 255 bytes of UTF-8",
      Code.Invalid,
      "Cannot notify a word: it is not in the region",
      Code.Invalid,
      "Cannot notify a word: its address is no multiple of its size",
      Code.Invalid,
      "Cannot acquire semaphore 20: the time-out must be TDSM_FOREVER, 0 or more milliseconds",
      "Cannot acquire semaphore 22: an earlier release was refused, since a semaphore would have " +
      "more than 2^31 - 1 permits; this call has done nothing, so make it again",
    ]);
  }
});

/** Makes calls behind a release that was refused; what they answer. */
function callsBehindRefusal(node: RemoteNode, first: number): Promise<number[]> {
  return node.evaluate((_, first) => {
    const key = BigInt(first);
    const lock = new Uint8Array(8);
    calls.tdsm_mutex_try_lock(text(`of ${key}`), lock);
    calls.tdsm_sem_release(key, 0x7fff_ffff);
    // Where the refusal is there at once, this very call tells of it; otherwise a later one does.
    do calls.tdsm_sem_release(key, 1); while (calls.tdsm_sem_try_acquire(key + 1n) === -14);
    return [
      calls.tdsm_mutex_unlock(lock),
      calls.tdsm_sem_release(key + 1n, 1),
      calls.tdsm_sem_release(key + 1n, 1),
      calls.tdsm_sem_try_acquire(key + 1n),
      calls.tdsm_sem_try_acquire(key + 1n),
      calls.tdsm_mutex_try_lock(text(`of ${key}`), lock),
    ];
  }, first);
}

test("a call that tells of an earlier refusal has done nothing itself", 2, async (nodes) => {
  const [first, second] = nodes as [RemoteNode, RemoteNode];
  // The unlock tells nothing, and has unlocked; the release tells, and has added nothing.
  const { Ok, LimitExceeded, Unavailable } = Code;
  const expected = [Ok, LimitExceeded, Ok, Ok, Unavailable, Ok];
  assertEquals(await callsBehindRefusal(first, 50), expected);
  assertEquals(await callsBehindRefusal(second, 60), expected);
  await untilOwnLink(second);
  assertEquals(await callsBehindRefusal(second, 70), expected);
});

test("a forked child has no node, and its parent goes on", 2, async (nodes) => {
  for (const node of nodes) {
    assertEquals(await node.evaluate(async () => Number(await jobs.fork_child(80n))), 7);
  }
});

test(
  "a thread that ends, and a node that dies, leave what they hold to those that wait",
  3,
  async (nodes) => {
    const [first, second, third] = nodes as [RemoteNode, RemoteNode, RemoteNode];
    assertEquals(await first.evaluate(async () => Number(await jobs.leave_locked())), Code.Ok);
    const lock = (node: RemoteNode, name: string): Promise<number> =>
      node.evaluate((_, name) => calls.tdsm_mutex_lock(text(name), -1n, new Uint8Array(8)), name);
    assertEquals(await lock(second, "left locked"), Code.Abandoned);
    assertEquals(await lock(third, "of node 3"), Code.Ok);
    const arrive = (node: RemoteNode): Promise<number> =>
      node.evaluate(async () => await calls.tdsm_barrier_wait(text("of three"), 3, -1n));
    const round = await Promise.all(nodes.map(arrive));
    assertEquals(round.toSorted(), [Code.Ok, Code.Ok, Code.Last]);
    const waiting = [lock(second, "of node 3"), arrive(first), arrive(second)];
    third.process.kill();
    assertEquals(await Promise.all(waiting), [Code.Abandoned, Code.PeerLost, Code.PeerLost]);
  },
);

test(
  "a node that closes ends every wait, and its threads find none from then on",
  2,
  async ([, node]) => {
    const codes = await node!.evaluate(async (node) => {
      const code = jobs.wait_in_vain(6, 30n);
      // Each of them has said that it is there.
      for (let thread = 0; thread < 6; thread++) await node.semaphore(30n).acquire();
      calls.tdsm_node_id();
      await node.close();
      return [await code, calls.tdsm_node_id(), calls.tdsm_node_id()].map(Number);
    });
    // This thread was attached; then it looks for another node.
    assertEquals(codes, [Code.NodeClosed, Code.NodeClosed, Code.NotJoined]);
  },
);

Deno.test("native: a node that fails, or whose directory node dies, ends every wait with the reason", () =>
  withModule(async (path) => {
    const ends = [
      {
        code: Code.NodeFailed,
        reason: /^Cannot acquire semaphore 31: Node 1 has failed .*: a wrong result/,
        end: (node: RemoteNode) => node.evaluate((node) => node.abort("a wrong result")),
      },
      {
        code: Code.DirectoryLost,
        reason: /^Cannot acquire semaphore 31: .*directory/,
        end: (node: RemoteNode) => node.process.kill(),
      },
    ];
    for (const { code, reason, end } of ends) {
      await using cluster = new ProcessCluster();
      const first = await cluster.host("--size=64KiB");
      const survivor = inlineProgram(
        cluster,
        "survivor",
        `const { JOBS, CALLS, path, at } = ${JSON.stringify({ JOBS, CALLS, path, at: first.at })};
        const node = await join({ directoryAddress: at });
        node.closed.catch(() => {});
        const jobs = Deno.dlopen(path, JOBS).symbols;
        const calls = Deno.dlopen(node.handle.library, CALLS).symbols;
        const code = jobs.wait_in_vain(6, 30n);
        for (let thread = 0; thread < 6; thread++) await node.semaphore(30n).acquire();
        calls.tdsm_node_id(); // attaches this thread
        console.log("waiting");
        console.log(String(await code));
        console.log(calls.tdsm_sem_try_acquire(31n));
        console.log(Deno.UnsafePointerView.getCString(calls.tdsm_last_error()));
        await node.close().catch(() => {});
        // The memory with the reason is gone by now.
        console.log([calls.tdsm_sem_try_acquire(31n), calls.tdsm_sem_try_acquire(31n)].join());`,
        { flags: [] },
      );
      await survivor.until("waiting", () => survivor.stdout.includes("waiting") || undefined);
      await end(first);
      const { stdout } = await survivor.exit();
      const [, waited, next, why, late] = stdout.split("\n");
      assertEquals([waited, next, late], [`${code}`, `${code}`, `${code},${Code.NotJoined}`]);
      assertMatch(why!, reason);
    }
  }));

test(
  "threads give their slots back when they end, and too many at one time are refused",
  1,
  async ([node]) => {
    const found = await node!.evaluate(async () => {
      const crowds = [];
      // Each time as many as there are slots beside this thread's and that of the pool.
      for (let time = 0; time < 3; time++) crowds.push(Number(await jobs.crowd(60)));
      crowds.push(Number(await jobs.crowd(80)));
      return crowds;
    });
    assertEquals(found.slice(0, 3), [60, 60, 60]);
    assert(found[3]! >= 60 && found[3]! < 80, String(found[3]));
  },
);

test(
  "allocations are the same cells, zero, for native code and JavaScript of any node",
  2,
  async (nodes) => {
    const [first, second] = nodes as [RemoteNode, RemoteNode];
    const allocate = (node: RemoteNode, name: string, length: number) =>
      node.evaluate(
        async (node, name, length) => {
          const offset = new BigUint64Array(1);
          const code = await jobs.allocate(text(name), BigInt(length), offset);
          if (code === 0n) node.view(Int32Array, Number(offset[0]), length).fill(5);
          return [Number(code), Number(offset[0])];
        },
        name,
        length,
      );
    const [code, offset] = await allocate(second, "cells", 1000);
    assertEquals(code, Code.Ok);
    const same = await first.evaluate(async (node) => {
      const cells = await node.alloc(Int32Array, 1000, { name: "cells" });
      return [node.offsetOf(cells), cells[999]];
    });
    assertEquals(same, [offset, 5]);
    assertEquals((await allocate(first, "cells", 999))[0], Code.NameConflict);
    // What was freed, and is allocated anew, is zero.
    await first.evaluate(async (node) => {
      await node.free(await node.alloc(Int32Array, 1000, { name: "cells" }));
    });
    for (const node of [first, second]) {
      assertEquals((await allocate(node, `again ${node.info.id}`, 200_000))[0], Code.Ok);
    }
  },
);

/** Has the thread that joined ask by a link of its own, as native code, from here on. */
function untilOwnLink(node: RemoteNode): Promise<void> {
  return node.evaluate((node) => {
    for (let before = -1; before !== node.stats().messagesSent;) {
      before = node.stats().messagesSent;
      calls.tdsm_sem_try_acquire(1_000_000n);
    }
  });
}

async function byOwnLinks(nodes: readonly RemoteNode[]): Promise<void> {
  const [first, second, third] = nodes as [RemoteNode, RemoteNode, RemoteNode];
  await Promise.all([second, third].map(untilOwnLink));
  const found = await second.evaluate((node) => {
    const before = node.stats().messagesSent;
    const lock = new Uint8Array(8);
    const wrong: number[] = [];
    const expect = (code: number, wanted: number): void => {
      if (code !== wanted) wrong.push(code);
    };
    for (let round = 0; round < 200; round++) {
      expect(calls.tdsm_sem_release(40n, 2), 0);
      expect(calls.tdsm_sem_try_acquire(40n), 0);
      expect(calls.tdsm_sem_try_acquire(40n), 0);
      expect(calls.tdsm_sem_try_acquire(40n), -2);
      expect(calls.tdsm_mutex_try_lock(text("by link"), lock), 0);
      expect(calls.tdsm_mutex_try_lock(text("by link"), new Uint8Array(8)), -2);
      expect(calls.tdsm_mutex_unlock(lock), 0);
    }
    // More than may have no answer at one time, and one that is refused.
    for (let time = 0; time < 200; time++) expect(calls.tdsm_sem_release(41n, 1), 0);
    for (let time = 0; time < 200; time++) expect(calls.tdsm_sem_try_acquire(41n), 0);
    calls.tdsm_sem_release(42n, 0x7fff_ffff);
    calls.tdsm_sem_release(42n, 1);
    calls.tdsm_sem_try_acquire(1_000_000n);
    expect(calls.tdsm_sem_try_acquire(1_000_000n), -14);
    // More locks than a link has places for: the others are taken by the engine.
    const locks = Array.from({ length: 40 }, (_, index) => {
      const held = new Uint8Array(8);
      expect(calls.tdsm_mutex_try_lock(text(`lock ${index}`), held), 0);
      return held;
    });
    const during = node.stats().messagesSent;
    for (const held of locks) expect(calls.tdsm_mutex_unlock(held), 0);
    return { wrong, sent: during - before };
  });
  // 8 locks, and nothing else, went by the engine.
  assertEquals(found, { wrong: [], sent: 8 });
  const freed = await third.evaluate(() => {
    const codes = Array.from(
      { length: 40 },
      (_, index) => calls.tdsm_mutex_try_lock(text(`lock ${index}`), new Uint8Array(8)),
    );
    calls.tdsm_thread_detach();
    return codes;
  });
  // An unlock of the node's own link may not be there yet, but those of the thread's are in order.
  assertEquals(freed.slice(0, 32), Array(32).fill(Code.Ok));
  // The thread has detached, so all that it held is abandoned.
  const code = first.evaluate(() => calls.tdsm_mutex_lock(text("lock 0"), -1n, new Uint8Array(8)));
  assertEquals(await code, Code.Abandoned);

  // A link gives up what is not there in time, and brings what others have left.
  const ended = await second.evaluate(() => [
    calls.acquire_here(45n, 20n),
    calls.acquire_here(45n, 0n),
    calls.tdsm_mutex_try_lock(text("lock 1"), new Uint8Array(8)),
  ]);
  assertEquals(ended, [Code.TimedOut, Code.TimedOut, Code.Abandoned]);
  // A barrier whose party dies.
  const arrive = (node: RemoteNode): Promise<number> =>
    node.evaluate(() => calls.arrive_here(text("pair"), 2, -1n));
  const both = await Promise.all([second, third].map(arrive));
  assertEquals(both.toSorted(), [Code.Ok, Code.Last]);
  const alone = arrive(second);
  third.process.kill();
  assertEquals(await alone, Code.PeerLost);

  // Another thread of the node, without a link, unlocks what was locked by one.
  const elsewhere = await second.evaluate(async () => {
    const lock = new Uint8Array(8);
    const codes = [calls.tdsm_mutex_try_lock(text("elsewhere"), lock)];
    codes.push(await calls.unlock_elsewhere(lock));
    return [...codes, await calls.tdsm_mutex_lock(text("elsewhere"), -1n, lock)];
  });
  assertEquals(elsewhere, [Code.Ok, Code.Ok, Code.Ok]);

  // A thread waits by its own link when its node closes: the others go on.
  const late = await second.evaluate(async (node) => {
    const taken = jobs.take_late(43n);
    const words = node.view(Int32Array, 4096, 2);
    const tries = async (count: number): Promise<void> => {
      const from = Atomics.load(words, 0);
      while (Atomics.load(words, 0) < from + count) await new Promise((go) => setTimeout(go));
    };
    for (let before = -1; before !== node.stats().messagesSent;) {
      before = node.stats().messagesSent;
      await tries(3);
    }
    Atomics.store(words, 1, 1);
    const code = node.semaphore(44n).tryAcquire();
    await node.close();
    return [code, Number(await taken)];
  });
  assertEquals(late, [false, Code.NodeClosed]);
}

test("threads that block often ask by links of their own", 3, byOwnLinks);

Deno.test("native: threads that block often ask by links of their own, sealed", async () => {
  using key = new KeyFile();
  await withModule(async (path) => {
    await using cluster = new ProcessCluster();
    const first = await cluster.host("--size=4MiB", key.flag);
    const nodes = [first, await cluster.join(first, key.flag), await cluster.join(first, key.flag)];
    await load(nodes, path);
    await byOwnLinks(nodes);
  });
});

Deno.test("native: of several nodes in one process a thread names its own", () =>
  withModule(async (path) => {
    await using cluster = new ProcessCluster();
    const program = inlineProgram(
      cluster,
      "two nodes",
      `const { JOBS, path } = ${JSON.stringify({ JOBS, path })};
      const first = await join({ directory: true, port: 0, size: "64KiB" });
      const second = await join({ directory: true, port: 0, size: "64KiB" });
      const third = await join({ directoryAddress: second.address + ":" + second.port });
      const { symbols } = Deno.dlopen(path, JOBS);
      const attach = (region) => symbols.attach_to(region);
      const ids = [first, second, third].map(({ handle }) => attach(handle.region));
      console.log((await Promise.all([...ids, attach(0), attach(12345)])).join());
      for (const node of [third, second, first]) await node.close();
      console.log(String(await attach(0)));`,
      { flags: [] },
    );
    const { code, stdout, stderr } = await program.exit();
    assertEquals([code, stderr], [0, ""], stdout);
    assertEquals(stdout, `1,1,2,${Code.NotJoined},${Code.NodeClosed}\n${Code.NotJoined}\n`);
  }));

Deno.test("native: the headers are C11 and C++17 without a warning", () =>
  withFolder(async (folder) => {
    const c = `#include "tdsm.h"
      #include "tdsm.h"
      int take(void) { return tdsm_sem_acquire(1, TDSM_FOREVER); }`;
    const cc = `#include "tdsm.hpp"
      #include <mutex>
      double use(std::int64_t *word) {
        tdsm::Mutex mutex("a");
        std::unique_lock<tdsm::Mutex> lock(mutex);
        auto cells = tdsm::alloc<double>(10, "cells");
        tdsm::wait(word, 1, tdsm::Timeout(5));
        std::atomic<std::uint32_t> atomic{0};
        tdsm::wait(&atomic, 1, tdsm::Timeout(5));
        tdsm::notify(word);
        tdsm::Barrier("b", 2).arrive_and_wait();
        tdsm::Semaphore::make(1).release();
        return cells[0];
      }`;
    const compilers: [Compiler, string, string][] = [
      ["zig cc", "c11", c],
      ["gcc", "c11", c],
      ["zig c++", "c++17", cc],
      ["g++", "c++17", cc],
    ];
    for (const [compiler, standard, source] of compilers.filter(([name]) => hasCompiler(name))) {
      const args = [`-std=${standard}`, ...STRICT];
      await buildModule(`${folder}/${standard}.so`, source, { compiler, args, script: "" });
    }
  }));

Deno.test("native: a wait of C++ is for a word of its own size, whatever number it is given", () =>
  withFolder(async (folder) => {
    const source = `#include "tdsm.hpp"
      template <typename Word> int wake(std::uint64_t offset) {
        const auto word = static_cast<Word *>(tdsm_at(offset));
        return static_cast<int>(tdsm::wait(word, 0, tdsm::Timeout(0)));
      }
      extern "C" {
      int narrow(std::uint64_t offset) { return wake<std::int32_t>(offset); }
      int wide(std::uint64_t offset) { return wake<std::uint64_t>(offset); }
      int atomic(std::uint64_t offset) { return wake<std::atomic<std::int64_t>>(offset); }
      void leave(void) { tdsm_thread_detach(); }
      }`;
    const args = ["-std=c++17", ...STRICT];
    const path = await buildModule(`${folder}/libwaits.so`, source, {
      compiler: "zig c++",
      args,
      script: "",
    });
    await using node = await join({ directory: true, port: 0, size: "64KiB" });
    // The lower half of the word is what is waited for, and the upper one is not.
    node.view(BigUint64Array, 8, 1)[0] = 1n << 32n;
    const wait = { parameters: ["u64"], result: "i32" } as const;
    const leave = { parameters: [], result: "void" } as const;
    const module = Deno.dlopen(path, { narrow: wait, wide: wait, atomic: wait, leave });
    const { narrow, wide, atomic } = module.symbols;
    const [changed, timedOut] = [1, 2];
    assertEquals([narrow, wide, atomic].map((wait) => wait(8n)), [timedOut, changed, changed]);
    // Else the next test's first call on this thread is told that this node is closed.
    module.symbols.leave();
    module.close();
  }));

Deno.test("native: a module in Zig declares the functions, and is linked with nothing", () =>
  withFolder(async (folder) => {
    const source = `
      extern fn tdsm_sem_release(key: u64, count: u32) c_int;
      extern fn tdsm_sem_acquire(key: u64, timeout_ms: i64) c_int;
      extern fn tdsm_node_id() i64;

      /// Takes what it has given, and one permit more in vain.
      export fn take() i64 {
          if (tdsm_sem_release(1, 2) < 0) return -100;
          for (0..2) |_| if (tdsm_sem_acquire(1, -1) < 0) return -200;
          return 10 * tdsm_node_id() + tdsm_sem_acquire(1, 10);
      }
    `;
    const options = { compiler: "zig", script: "" } as const;
    const path = await buildModule(`${folder}/libtake.so`, source, options);
    await using node = await join({ directory: true, port: 0, size: "64KiB" });
    const module = Deno.dlopen(path, { take: { parameters: [], result: "i64" } });
    assertEquals(module.symbols.take(), BigInt(10 * node.id + Code.TimedOut));
    module.close();
  }));
