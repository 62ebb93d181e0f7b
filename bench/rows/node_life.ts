/**
 * What a node costs beside its work: to start, to be idle, to remember pages; the memory test; and
 * the messages of a miss as the cluster grows, counted in the simulator.
 */

import { fileURLToPath } from "node:url";
import { PAGE_SIZE_DEFAULT_BYTES as PAGE_BYTES } from "../../runtime/limits.ts";
import { Access } from "../../runtime/protocol/coherence/page.ts";
import { ScriptedCluster } from "../../tests/support/scripted_cluster.ts";
import { BenchNode } from "../nodes.ts";
import { cpuTimeUs, freePort, privateBytes } from "../machine.ts";
import { atMost, type Family, ONCE } from "../family.ts";
import { type Ready, Served } from "../process.ts";

/** How long nodes are watched that do nothing, in milliseconds. */
const IDLE_MS = { full: 10_000, quick: 2_000 };
/** How long before, in which nodes that have worked give back the memory of pages that moved on. */
const SETTLE_MS = 3_000;
/** The pages whose cost is measured: 4 GiB, or 256 MiB of a quick run or of a small machine. */
const HELD_PAGES = { full: 1_048_576, quick: 65_536 };
/** The memory that must be available for the large one, in bytes. */
const HELD_NEEDS_BYTES = 10 * 2 ** 30;
/** The sizes of clusters in which messages are counted, and the page that is read. */
const GROWTH = [2, 4, 8, 16, 32, 64];
const PAGE = 0;

/** From the start of a process until its node has joined. */
export const start: Family = {
  name: "start",
  rows: [
    {
      id: "start-to-joined",
      title: "start of a process to joined",
      unit: "ms",
      against: [{ row: "start-deno" }],
    },
    { id: "join", title: "join alone", unit: "ms" },
    {
      id: "start-to-barrier",
      title: "start of two nodes at once to the first barrier of both",
      unit: "ms",
      goal: atMost(110),
    },
    { id: "start-deno", title: "start of a Deno process that does nothing", unit: "ms" },
  ],
  rounds: { full: 6, quick: 2, warmUp: true },
  async open(context, stack) {
    const directory = stack.use(await BenchNode.start({}, undefined, context.cores[0]));
    const joining = async () => {
      const begin = performance.now();
      await using node = await BenchNode.start({}, directory, context.cores[1]);
      return { ms: performance.now() - begin, joinMs: node.ready.joinMs };
    };
    const startDeno = async (): Promise<number[]> => {
      const begin = performance.now();
      await using _process = await Served.start<Ready>("process.ts", { core: context.cores[1] });
      return [performance.now() - begin];
    };
    const startTwo = async (): Promise<number[]> => {
      const port = freePort();
      const begin = performance.now();
      const starting = [
        BenchNode.start({}, undefined, context.cores[0], port),
        BenchNode.start({}, { at: `127.0.0.1:${port}` }, context.cores[1]),
      ];
      await using stack = new AsyncDisposableStack();
      await Promise.all(starting.map(async (node) => {
        await stack.use(await node).run("barrierLoop", {
          name: "started",
          parties: 2,
          count: 1,
          blocks: false,
        });
      }));
      return [performance.now() - begin];
    };
    return {
      take: {
        "start-to-joined": async () => [(await joining()).ms],
        "join": async () => [(await joining()).joinMs],
        "start-to-barrier": startTwo,
        "start-deno": startDeno,
      },
    };
  },
};

/** Nodes that have worked, and then do nothing. */
export const idle: Family = {
  name: "idle",
  rows: [{
    id: "idle",
    title: "CPU time of an idle node, the busiest of three, of a core",
    unit: "%",
    goal: atMost(0.2),
  }],
  rounds: { full: 1, quick: 1, warmUp: false },
  columns: ONCE,
  async open(context, stack) {
    const cluster = stack.use(await context.cluster(3));
    const pages = { first: 0, count: 1_024, stride: 1, value: 1 };
    const ms = context.quick ? IDLE_MS.quick : IDLE_MS.full;
    const take = async (): Promise<number[]> => {
      for (const node of cluster.nodes) await node.run("writePages", pages);
      const used = () => cluster.nodes.map(({ ready }) => cpuTimeUs(ready.pid));
      await new Promise((resolve) => setTimeout(resolve, SETTLE_MS));
      const [begin, before] = [performance.now(), used()];
      await new Promise((resolve) => setTimeout(resolve, ms));
      const [elapsedMs, after] = [performance.now() - begin, used()];
      const shares = after.map((us, index) => (us - before[index]!) / (10 * elapsedMs));
      return [Math.max(...shares)];
    };
    return { take: { idle: take } };
  },
};

/** How many pages to hold. */
function heldPages(quick: boolean): number {
  const { available } = Deno.systemMemoryInfo();
  return !quick && available >= HELD_NEEDS_BYTES ? HELD_PAGES.full : HELD_PAGES.quick;
}

/** What pages cost beside the memory that they are. */
export const memory: Family = {
  name: "memory",
  rows: [
    {
      id: "memory-holder",
      title: "memory for a page held, beside its bytes: at its holder",
      unit: "B/page",
    },
    { id: "memory-home", title: "the same at the home, which does not hold it", unit: "B/page" },
  ],
  rounds: { full: 1, quick: 1, warmUp: false },
  columns: ONCE,
  async open(context, stack) {
    const count = heldPages(context.quick);
    context.notes.add(
      `memory: heaps and page tables of a process after one node wrote ${count} pages, less before`,
    );
    const cluster = await context.cluster(2, { size: String(count * PAGE_BYTES) });
    // To leave in good order would move all of it to the home first.
    stack.defer(() => cluster.kill());
    // Both rows come from one filling; each page is touched once.
    let filled: Promise<number[]> | undefined;
    const fill = async (): Promise<number[]> => {
      const bytes = () => cluster.nodes.map(({ ready }) => privateBytes(ready.pid));
      const before = bytes();
      await cluster.node(2).run("writePages", { first: 0, count, stride: 1, value: 1 });
      return bytes().map((after, index) => (after - before[index]!) / count);
    };
    const of = (index: number) => async () => [(await (filled ??= fill()))[index]!];
    return {
      take: { "memory-home": of(0), "memory-holder": of(1) },
    };
  },
};

/** What a round allocates, uses and frees, and how often. */
const TEMPORARY = { small: 256 * 1_024, large: 8 * 1_024 * 1_024 };
const TEMPORARY_TIMES = 20;

/** Arrays that a node that is not the home needs for a moment. */
export const temporary: Family = {
  name: "temporary",
  rows: [
    { id: "temporary-small", title: "temporary array of 256 KiB: alloc, use, free", unit: "ms" },
    { id: "temporary-large", title: "the same of 8 MiB", unit: "ms" },
  ],
  rounds: { full: 10, quick: 3, warmUp: true },
  async open(context, stack) {
    const cluster = stack.use(await context.cluster(2));
    const take = (bytes: number) => () =>
      cluster.node(2).run("temporaryArrays", { bytes, count: TEMPORARY_TIMES });
    return {
      take: { "temporary-small": take(TEMPORARY.small), "temporary-large": take(TEMPORARY.large) },
    };
  },
};

/** The memory test, with three nodes. */
export const memtest: Family = {
  name: "memtest",
  rows: [{ id: "memtest", title: "memory test of three nodes, from start to end", unit: "ms" }],
  rounds: { full: 3, quick: 1, warmUp: false },
  columns: ONCE,
  open() {
    const program = fileURLToPath(new URL("../../tests/tools/memtest.ts", import.meta.url));
    const take = async (): Promise<number[]> => {
      const begin = performance.now();
      const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
        args: ["run", "-A", "--no-prompt", program],
        stdin: "null",
      }).output();
      const ms = performance.now() - begin;
      const text = new TextDecoder().decode(stdout);
      // Behind the number of the node that says so.
      if (success && /^\[1\] OK$/m.test(text)) return [ms];
      throw new Error(text + new TextDecoder().decode(stderr));
    };
    return Promise.resolve({
      take: { memtest: take },
    });
  },
};

/** How many messages it takes the last of so many nodes to read a page that a node has written. */
function messages(nodes: number, owner: number): number {
  const cluster = new ScriptedCluster(nodes);
  cluster.access(owner, PAGE, Access.Write);
  return cluster.access(nodes, PAGE, Access.Read).length;
}

/** One sample for each size. */
export const growth: Family = {
  name: "growth",
  rows: [
    {
      id: "messages-home",
      title: "messages for a read miss, page at the home, 2 to 64 nodes",
      unit: "messages",
      constant: true,
    },
    {
      id: "messages-third",
      title: "messages for a read miss, page at a third, 4 to 64 nodes",
      unit: "messages",
      constant: true,
    },
  ],
  rounds: { full: 1, quick: 1, warmUp: false },
  columns: ONCE,
  open() {
    const count = (owner: number) => () =>
      Promise.resolve(
        GROWTH.filter((nodes) => nodes > owner).map((nodes) => messages(nodes, owner)),
      );
    return Promise.resolve({
      take: { "messages-home": count(1), "messages-third": count(2) },
    });
  },
};
