/** What a miss costs, and an upgrade: by what it is, and by where the pages are. */

import { atMost, COLUMNS, type Context, type Family, type Row } from "../family.ts";
import { floorRounds, FLOORS, SILENCE_MS } from "../floors.ts";
import { cpuTimeUs } from "../machine.ts";
import type { BenchCluster, BenchNode } from "../nodes.ts";
import { redisRounds, type RedisRow, redisRow } from "./redis.ts";

/** The accesses of a round. */
const ACCESSES = 100;
/** Pages between two that are accessed, so that they look like no sequence. */
const STRIDE_PAGES = 3;
/** The pages that lie between the first of one round and the first of another. */
const AREA_PAGES = 512;
/**
 * The share of timed accesses that must have asked for a page, or the round is not what it is
 * called.
 */
const MISSES_LEAST = 0.95;

/** One kind of miss. */
interface Miss {
  /** For the note that says that something else was measured. */
  readonly name: string;
  /** The area of the region that it uses alone: 0, 1, 2 … */
  readonly area: number;
  /** The node whose access is timed. */
  readonly requester: BenchNode;
  /** Whether it writes. */
  readonly write: boolean;
  /** The node that writes the pages before, and has the only copies then. */
  readonly owner: BenchNode;
  /** The nodes that read the pages after that. */
  readonly readers?: readonly BenchNode[];
}

/**
 * How rounds of one kind of miss are taken. Each writes the pages anew, has them read, and then
 * times accesses in an order of no pattern.
 *
 * @param context The run; is told when accesses did not miss.
 * @param miss The kind.
 * @returns Takes a round; resolves with microseconds.
 */
export function missRounds(context: Context, miss: Miss): () => Promise<number[]> {
  const { name, area, requester, write, owner, readers = [] } = miss;
  const first = AREA_PAGES * (area + 1);
  const touched = { first, count: ACCESSES, stride: STRIDE_PAGES };
  const all = { first, count: ACCESSES * STRIDE_PAGES, stride: 1 };
  let value = 0;
  return async () => {
    await owner.run("writePages", { ...all, value: ++value });
    for (const reader of readers) await reader.run("readPages", { ...all, value });
    if (write) value++;
    const { us, misses } = await requester.run("timePages", {
      ...touched,
      value,
      write,
      seed: value,
    });
    noteHits(context, name, us.length, misses);
    return us;
  };
}

/**
 * Rounds of read misses of pages that are clean at their home, node 1.
 *
 * @param context The run; is told when accesses did not miss.
 * @param cluster Three nodes: the second reads the pages before, the third is timed.
 * @param name For the note that says that something else was measured.
 * @returns Takes a round; resolves with microseconds.
 */
export function readMissRounds(
  context: Context,
  cluster: BenchCluster,
  name = READ_MISS.id,
): () => Promise<number[]> {
  return missRounds(context, {
    name,
    area: 0,
    requester: cluster.node(3),
    write: false,
    owner: cluster.node(1),
    readers: [cluster.node(2)],
  });
}

/**
 * Notes when accesses that should have missed did not.
 *
 * @param context The run.
 * @param name What was measured.
 * @param accesses How many accesses there were.
 * @param misses How many of them asked for a page.
 */
function noteHits(
  context: Context,
  name: string,
  accesses: number,
  misses: number,
): void {
  if (misses >= accesses * MISSES_LEAST) return;
  context.notes.add(`${name}: in some rounds fewer than ${MISSES_LEAST * 100} % were misses`);
}

/** The pages that random reads choose from: 64 MiB. */
const RANDOM_PAGES = 16_384;
const RANDOM_FIRST = 32_768;
const RANDOM_READS = 500;

const REDIS_GET: RedisRow = { command: "GET", how: "polling" };

/** A read of a page that its home has, which other rows are compared with. */
export const READ_MISS: Row = {
  id: "read-miss",
  title: "read miss, clean at the home (two hops)",
  unit: "us",
};

/** A read of a page that a third node has changed. */
const THREE_HOPS: Row = {
  id: "read-miss-three-hops",
  title: "read miss, dirty at a third node (three hops)",
  unit: "us",
};

const ROWS: readonly Row[] = [
  {
    ...READ_MISS,
    against: [
      { row: FLOORS.spinning.id, goal: atMost(2.2) },
      { row: FLOORS.blocking.id },
      { row: redisRow(REDIS_GET).id, goal: atMost(1) },
      { row: FLOORS.denoPollingPage.id },
      { row: READ_MISS.id, of: "mean", to: "p50", goal: atMost(1.25) },
      { row: READ_MISS.id, of: "p99", to: "p50", goal: atMost(4) },
    ],
  },
  {
    id: "read-miss-exclusive",
    title: "read miss, exclusive at the home (two hops)",
    unit: "us",
    against: [{ row: READ_MISS.id }],
  },
  { ...THREE_HOPS, against: [{ row: READ_MISS.id, goal: atMost(1.5) }] },
  {
    id: "write-miss",
    title: "write miss, exclusive at the home",
    unit: "us",
    against: [{ row: READ_MISS.id, goal: atMost(1) }],
  },
  {
    id: "write-miss-three-hops",
    title: "write miss, exclusive at a third node",
    unit: "us",
    against: [{ row: THREE_HOPS.id, goal: atMost(1) }, { row: READ_MISS.id }],
  },
  {
    id: "random-read",
    title: "random reads of 64 MiB, hits among them",
    unit: "us",
    against: [{ row: READ_MISS.id }, { row: FLOORS.blocking.id }],
  },
  {
    id: "read-miss-asleep",
    title: "read miss, clean at the home, never polling",
    unit: "us",
    against: [{ row: FLOORS.blocking.id }, { row: READ_MISS.id }],
  },
  FLOORS.blocking,
  FLOORS.spinning,
  FLOORS.denoPollingPage,
  redisRow(REDIS_GET),
];

/** Misses of single pages. */
export const misses: Family = {
  name: "misses",
  rows: ROWS,
  rounds: { full: 10, quick: 2, warmUp: true },
  columns: COLUMNS,
  async open(context, stack, wanted) {
    const cluster = stack.use(await context.cluster(3, { size: "256MiB" }));
    const [home, third, requester] = [cluster.node(1), cluster.node(2), cluster.node(3)];
    const rounds = (name: string, area: number, write: boolean, owner = home, reads = false) =>
      missRounds(context, { name, area, requester, write, owner, readers: reads ? [third] : [] });
    let value = 0;
    const randomReads = async (): Promise<number[]> => {
      const pages = { first: RANDOM_FIRST, count: RANDOM_PAGES, value: ++value };
      await home.run("writePages", { ...pages, stride: 1 });
      const reads = { ...pages, reads: RANDOM_READS, seed: value };
      const { us, misses } = await requester.run("timeRandomReads", reads);
      noteHits(context, "random-read", us.length, misses);
      return us;
    };
    const take: Record<string, () => Promise<readonly number[]>> = {
      ...floorRounds(context),
      [READ_MISS.id]: rounds(READ_MISS.id, 0, false, home, true),
      "read-miss-exclusive": rounds("read-miss-exclusive", 1, false),
      [THREE_HOPS.id]: rounds(THREE_HOPS.id, 2, false, third),
      "write-miss": rounds("write-miss", 3, true),
      "write-miss-three-hops": rounds("write-miss-three-hops", 4, true, third),
      "random-read": randomReads,
    };
    if (wanted.has("read-miss-asleep")) {
      const asleep = stack.use(await context.cluster(3, { pollTimeUs: 0 }));
      take["read-miss-asleep"] = readMissRounds(context, asleep, "read-miss-asleep");
    }
    const skipped: Record<string, string> = {};
    if (wanted.has(redisRow(REDIS_GET).id)) {
      const redis = await redisRounds(context, stack, [REDIS_GET]);
      Object.assign(take, redis.take);
      Object.assign(skipped, redis.skipped);
    }
    return { take, skipped };
  },
};

/** Rounds of misses before the first silence. */
const WARM_UP_ROUNDS = 30;

/** The first miss after both engines have been asleep for a second. */
export const silence: Family = {
  name: "silence",
  rows: [
    {
      id: "read-miss-after-silence",
      title: "read miss, the first after a second of silence",
      unit: "us",
      against: [{ row: FLOORS.silence.id, goal: atMost(1.5) }],
    },
    FLOORS.silence,
  ],
  rounds: { full: 6, quick: 1, warmUp: false },
  columns: COLUMNS,
  async open(context, stack) {
    const cluster = stack.use(await context.cluster(3));
    const [home, requester] = [cluster.node(1), cluster.node(3)];
    // Nodes that have worked before: what is new to V8 takes several times as long.
    const work = missRounds(context, {
      name: "silence",
      area: 1,
      requester,
      write: false,
      owner: home,
    });
    for (let round = 0; round < WARM_UP_ROUNDS; round++) await work();
    let value = 0;
    const take = async (): Promise<number[]> => {
      const page = { first: AREA_PAGES, value: ++value };
      await home.run("writePages", { ...page, count: 1, stride: 1 });
      return [await requester.run("timeAfterSilence", { ...page, silenceMs: SILENCE_MS })];
    };
    return {
      take: { ...floorRounds(context), "read-miss-after-silence": take },
    };
  },
};

/** The home, the node that writes, and as many sharers as there are others. */
const NODES = 8;

/** Writes to pages that the writer has a copy of. */
export const upgrades: Family = {
  name: "upgrades",
  rows: [
    {
      id: "upgrade-home",
      title: "upgrade, one sharer, at the home (two hops)",
      unit: "us",
      against: [{ row: READ_MISS.id, goal: atMost(1) }],
    },
    {
      id: "upgrade-1",
      title: "upgrade, one sharer, at a third node (three hops)",
      unit: "us",
      against: [{ row: THREE_HOPS.id, goal: atMost(1) }, { row: READ_MISS.id }],
    },
    {
      id: "upgrade-2",
      title: "upgrade, 2 sharers",
      unit: "us",
      against: [{ row: "upgrade-1" }],
    },
    {
      id: "upgrade-7",
      title: "upgrade, 7 sharers",
      unit: "us",
      against: [{ row: "upgrade-1" }],
    },
    READ_MISS,
    THREE_HOPS,
  ],
  rounds: { full: 6, quick: 1, warmUp: true },
  columns: COLUMNS,
  async open(context, stack) {
    const cluster = stack.use(await context.cluster(NODES));
    const [home, writer, third, ...others] = cluster.nodes as [
      BenchNode,
      BenchNode,
      BenchNode,
      ...BenchNode[],
    ];
    const upgrade = (name: string, area: number, readers: BenchNode[]) =>
      missRounds(context, { name, area, requester: writer, write: true, owner: writer, readers });
    const read = (name: string, area: number, owner: BenchNode, readers: BenchNode[]) =>
      missRounds(context, { name, area, requester: writer, write: false, owner, readers });
    return {
      take: {
        "upgrade-home": upgrade("upgrade-home", 0, [home]),
        "upgrade-1": upgrade("upgrade-1", 1, [third]),
        "upgrade-2": upgrade("upgrade-2", 2, [third, others[0]!]),
        "upgrade-7": upgrade("upgrade-7", 3, [home, third, ...others]),
        [READ_MISS.id]: read(READ_MISS.id, 4, home, [third]),
        [THREE_HOPS.id]: read(THREE_HOPS.id, 5, third, []),
      },
    };
  },
};

/** How many nodes read at once, and the pages that each reads in a round. */
const LOADERS = 8;
const LOADED_PAGES = 64;

/** What a home that many ask at once has to do for a message. */
export const loaded: Family = {
  name: "loaded",
  rows: [
    {
      id: "engine-message",
      title: `engine's processor time a message, home of pages that ${LOADERS} nodes read`,
      unit: "us",
      against: [{ row: FLOORS.message.id, goal: atMost(1.5) }],
    },
    FLOORS.message,
  ],
  rounds: { full: 10, quick: 3, warmUp: true },
  async open(context, stack) {
    const cluster = stack.use(await context.cluster(1 + LOADERS));
    const [home, ...loaders] = cluster.nodes as [BenchNode, ...BenchNode[]];
    const pages = { first: 0, count: LOADERS * LOADED_PAGES, stride: STRIDE_PAGES };
    let value = 0;
    const round = async (): Promise<number[]> => {
      await home.run("writePages", {
        ...pages,
        count: pages.count * STRIDE_PAGES,
        stride: 1,
        value: ++value,
      });
      const begin = await home.run("messages", undefined);
      const beginUs = cpuTimeUs(home.ready.pid);
      await Promise.all(loaders.map((node, index) => {
        const first = index * LOADED_PAGES * STRIDE_PAGES;
        return node.run("timePages", {
          first,
          count: LOADED_PAGES,
          stride: STRIDE_PAGES,
          value,
          write: false,
          seed: value,
        });
      }));
      const us = cpuTimeUs(home.ready.pid) - beginUs;
      return [us / (await home.run("messages", undefined) - begin)];
    };
    return { take: { "engine-message": round, ...floorRounds(context) } };
  },
};
