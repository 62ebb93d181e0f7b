/** What native code does to memory in general, done to a region that nodes share. */

import { assertEquals, assertMatch } from "@std/assert";
import { ProcessCluster } from "../support/process_cluster.ts";

/** Calls on memory by the C library, as `libc` in the node's process. */
declare const libc: {
  madvise(memory: Uint8Array, bytes: bigint, advice: number): number;
  mprotect(memory: Uint8Array, bytes: bigint, protection: number): number;
  mlock(memory: Uint8Array, bytes: bigint): number;
  munmap(memory: Uint8Array, bytes: bigint): number;
  mremap(memory: Uint8Array, from: bigint, to: bigint, flags: number): unknown;
  setitimer(which: number, value: BigInt64Array, old: null): number;
};

/** To be sent to a node: gives it `libc`. */
function openLibc(): void {
  const { symbols } = Deno.dlopen("libc.so.6", {
    madvise: { parameters: ["buffer", "usize", "i32"], result: "i32" },
    mprotect: { parameters: ["buffer", "usize", "i32"], result: "i32" },
    mlock: { parameters: ["buffer", "usize"], result: "i32" },
    munmap: { parameters: ["buffer", "usize"], result: "i32" },
    mremap: { parameters: ["buffer", "usize", "usize", "i32"], result: "pointer" },
    setitimer: { parameters: ["i32", "buffer", "buffer"], result: "i32" },
  });
  Object.assign(globalThis, { libc: symbols });
}

/** From `madvise(2)`. */
const ADVICES = {
  normal: 0,
  random: 1,
  sequential: 2,
  willNeed: 3,
  dontNeed: 4,
  dontFork: 10,
  doFork: 11,
  hugePage: 14,
  cold: 20,
  pageOut: 21,
  populateRead: 22,
  populateWrite: 23,
} as const;

Deno.test("mappings: advice, protection and locks on parts of the region change no value on any node", async () => {
  await using cluster = new ProcessCluster();
  const [first, second] = await cluster.start(2, "--size=16MiB");
  await second!.evaluate(openLibc);
  const treatments = [
    ...Object.entries(ADVICES).map(([name, advice]) => ({ name, advice })),
    { name: "read-only and back", advice: -1 },
    { name: "locked", advice: -2 },
  ];
  const pages = 64;
  let at = 0;
  for (const { name, advice } of treatments) {
    for (const state of ["absent", "shared", "exclusive"]) {
      const offset = at * 4096;
      at += pages;
      await first!.evaluate(
        (node, offset, pages) => {
          node.view(Int32Array, offset, pages * 1024).fill(7);
        },
        offset,
        pages,
      );
      const seen = await second!.evaluate(
        (node, offset, pages, state, advice) => {
          const cells = node.view(Int32Array, offset, pages * 1024);
          const bytes = node.view(Uint8Array, offset, pages * 4096);
          if (state === "shared") { for (let at = 0; at < cells.length; at += 1024) cells[at]!; }
          if (state === "exclusive") {
            for (let at = 0; at < cells.length; at += 1024) cells[at] = 7;
          }
          // Odd pages, so that there are borders inside of every run.
          for (let page = 1; page < pages; page += 5) {
            const part = bytes.subarray(page * 4096);
            if (advice >= 0) libc.madvise(part, 8192n, advice);
            else if (advice === -2) libc.mlock(part, 8192n);
            else for (const protection of [1, 3]) libc.mprotect(part, 8192n, protection);
          }
          const read = cells.reduce((sum, value) => sum + value, 0);
          for (let at = 0; at < cells.length; at += 1024) cells[at]!++;
          return read;
        },
        offset,
        pages,
        state,
        advice,
      );
      const what = `${name}, ${state}`;
      assertEquals(seen, 7 * pages * 1024, what);
      const back = await first!.evaluate(
        (node, offset, pages) => {
          const cells = node.view(Int32Array, offset, pages * 1024);
          const read = cells.reduce((sum, value) => sum + value, 0);
          for (let at = 0; at < cells.length; at += 1024) cells[at] = -1;
          return read;
        },
        offset,
        pages,
      );
      assertEquals(back, 7 * pages * 1024 + pages, what);
      const later = await second!.evaluate(
        (node, offset, pages) => {
          const cells = node.view(Int32Array, offset, pages * 1024);
          return Array.from({ length: pages }, (_, page) => cells[page * 1024]);
        },
        offset,
        pages,
      );
      assertEquals(new Set(later), new Set([-1]), what);
    }
  }
  assertEquals((await second!.leave()).code, 0);
  assertEquals((await first!.leave()).code, 0);
});

/** CAP_IPC_LOCK, from `capabilities(7)`. */
const LOCKS = 1n << 14n;

/** Why a process may not lock all of its memory here; nothing where it may. */
function lockObstacle(): string {
  const capabilities = /^CapEff:\s*(\w+)$/m.exec(Deno.readTextFileSync("/proc/self/status"))![1];
  if ((BigInt(`0x${capabilities}`) & LOCKS) !== 0n) return "";
  const limits = Deno.readTextFileSync("/proc/self/limits");
  if (/^Max locked memory +unlimited /m.test(limits)) return "";
  return "it needs CAP_IPC_LOCK, or no limit to locked memory";
}

const noLocks = lockObstacle();

Deno.test({
  name:
    `mappings: a node whose program locks all of its memory, now and later, is a node as any other${
      noLocks && ` (skipped: ${noLocks})`
    }`,
  ignore: noLocks !== "",
  fn: lockAll,
});

async function lockAll(): Promise<void> {
  await using cluster = new ProcessCluster();
  const first = await cluster.host("--size=4MiB");
  const second = await cluster.join(first);
  const locked = await second.evaluate((node) => {
    const { symbols } = Deno.dlopen("libc.so.6", {
      mlockall: { parameters: ["i32"], result: "i32", nonblocking: true },
    });
    void node;
    return symbols.mlockall(1 | 2);
  });
  assertEquals(locked, 0);
  for (let round = 1; round <= 3; round++) {
    await first.evaluate((node, round) => void node.memory.fill(round), round);
    const seen = await second.evaluate((node, round) => {
      const wrong = node.memory.findIndex((byte) => byte !== round);
      node.memory[round] = 100;
      return wrong;
    }, round);
    assertEquals(seen, -1);
    assertEquals(await first.evaluate((node, round) => node.memory[round]!, round), 100);
  }
}

for (const how of ["munmap", "mremap"] as const) {
  Deno.test(`mappings: a node whose program takes a part of the region away by ${how} ends, and says why`, async () => {
    await using cluster = new ProcessCluster();
    const [first, second] = await cluster.start(2, "--size=1MiB");
    await second!.evaluate(openLibc);
    await second!.evaluate((node, how) => {
      node.memory.fill(1, 0, 16 * 4096);
      const part = node.memory.subarray(9 * 4096);
      // From `mremap(2)`: to a place of the kernel's choice.
      if (how === "munmap") libc.munmap(part, 4096n);
      else libc.mremap(part, 4096n, 8192n, 1);
    }, how);
    // The node learns of it by the first page operation there: this read makes one.
    const reading = first!.evaluate((node) => node.memory[9 * 4096]!);
    reading.catch(() => {});
    const { code, stderr } = await second!.process.exit();
    assertEquals(code, 70, stderr);
    assertMatch(
      stderr,
      /^tdsm: error: Cannot \w+ \d+ pages? from page 9: native code has unmapped or moved memory of the region/m,
    );
  });
}

Deno.test("mappings: signals that interrupt every access and system call lose nothing", async () => {
  await using cluster = new ProcessCluster();
  const nodes = await cluster.start(3, "--size=4MiB");
  const rounds = 20_000;
  await Promise.all(nodes.map((node) => node.evaluate(openLibc)));
  const handled = await Promise.all(
    nodes.map((node, index) =>
      node.evaluate(
        async (node, rounds, index) => {
          let alarms = 0;
          Deno.addSignalListener("SIGALRM", () => alarms++);
          // Every 200 µs, from `setitimer(2)`.
          libc.setitimer(0, new BigInt64Array([0n, 200n, 0n, 200n]), null);
          const count = node.view(Int32Array, 0, 1);
          const own = node.view(Int32Array, (index + 1) * 2 ** 20, 2 ** 18 - 1);
          for (let round = 0; round < rounds; round++) {
            Atomics.add(count, 0, 1);
            own[round * 8]! += 1;
            if (round % 1000 === 0) await new Promise((resolve) => setTimeout(resolve, 1));
          }
          libc.setitimer(0, new BigInt64Array(4), null);
          await new Promise((resolve) => setTimeout(resolve, 1));
          return alarms;
        },
        rounds,
        index % 3,
      )
    ),
  );
  for (const alarms of handled) assertEquals(alarms > 0, true);
  assertEquals(await nodes[0]!.load(0), 3 * rounds);
  for (const index of [0, 1, 2]) {
    const sum = await nodes[(index + 1) % 3]!.evaluate(
      (node, at) => node.view(Int32Array, at, 2 ** 18 - 1).reduce((sum, value) => sum + value, 0),
      (index + 1) * 2 ** 20,
    );
    assertEquals(sum, rounds);
  }
});
