/** What a miss costs: by what it is, and by where the page is. */

import { floorRounds, FLOORS, SILENCE_MS } from "../floors.ts";
import { BenchCluster } from "../nodes.ts";
import { atMost, type Family, type Row } from "../row.ts";
import { AREA_PAGES, missRounds, noteHits } from "./page_rounds.ts";
import { redisRounds, type RedisRow, redisRow } from "./redis.ts";

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

const ROWS: readonly Row[] = [
  {
    ...READ_MISS,
    against: [
      { row: FLOORS.blocking.id, goal: atMost(0.5) },
      { row: FLOORS.spinning.id, goal: atMost(1.5) },
      { row: redisRow(REDIS_GET).id, goal: atMost(0.5) },
      { row: FLOORS.denoPollingPage.id },
    ],
  },
  {
    id: "read-miss-exclusive",
    title: "read miss, exclusive at the home (two hops)",
    unit: "us",
    against: [{ row: READ_MISS.id }],
  },
  {
    id: "read-miss-three-hops",
    title: "read miss, dirty at a third node (three hops)",
    unit: "us",
    against: [{ row: READ_MISS.id, goal: atMost(1.6) }],
  },
  {
    id: "write-miss",
    title: "write miss, exclusive at the home",
    unit: "us",
    against: [{ row: READ_MISS.id, goal: atMost(1.5) }],
  },
  {
    id: "write-miss-three-hops",
    title: "write miss, exclusive at a third node",
    unit: "us",
    against: [{ row: "read-miss-three-hops", goal: atMost(1.5) }, { row: READ_MISS.id }],
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
  rounds: { full: 20, quick: 5, warmUp: true },
  async open(context, wanted) {
    await using stack = new AsyncDisposableStack();
    const cluster = stack.use(await BenchCluster.start(3, { size: "256MiB" }));
    const [home, third, asker] = [cluster.node(1), cluster.node(2), cluster.node(3)];
    const rounds = (name: string, area: number, write: boolean, owner = home, reads = false) =>
      missRounds(context, {
        name,
        area,
        asker,
        write,
        owner,
        readers: reads ? [third] : [],
      });
    let value = 0;
    const randomReads = async (): Promise<number[]> => {
      const pages = { first: RANDOM_FIRST, count: RANDOM_PAGES, value: ++value };
      await home.run("writePages", { ...pages, stride: 1 });
      const reads = { ...pages, reads: RANDOM_READS, seed: value };
      const { us, misses } = await asker.run("timeRandomReads", reads);
      noteHits(context, "random-read", us.length, misses);
      return us;
    };
    const take: Record<string, () => Promise<readonly number[]>> = {
      ...floorRounds(context),
      [READ_MISS.id]: rounds(READ_MISS.id, 0, false, home, true),
      "read-miss-exclusive": rounds("read-miss-exclusive", 1, false),
      "read-miss-three-hops": rounds("read-miss-three-hops", 2, false, third),
      "write-miss": rounds("write-miss", 3, true),
      "write-miss-three-hops": rounds("write-miss-three-hops", 4, true, third),
      "random-read": randomReads,
    };
    if (wanted.has("read-miss-asleep")) {
      const asleep = stack.use(await BenchCluster.start(3, { pollTimeUs: 0 }));
      take["read-miss-asleep"] = missRounds(context, {
        name: "read-miss-asleep",
        area: 0,
        asker: asleep.node(3),
        write: false,
        owner: asleep.node(1),
        readers: [asleep.node(2)],
      });
    }
    const skipped: Record<string, string> = {};
    if (wanted.has(redisRow(REDIS_GET).id)) {
      const redis = await redisRounds(stack, [REDIS_GET]);
      Object.assign(take, redis.take);
      Object.assign(skipped, redis.skipped);
    }
    const owned = stack.move();
    return { take, skipped, [Symbol.asyncDispose]: () => owned.disposeAsync() };
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
  rounds: { full: 15, quick: 3, warmUp: false },
  async open(context) {
    const cluster = await BenchCluster.start(3);
    const [home, asker] = [cluster.node(1), cluster.node(3)];
    // Nodes that have worked before: what is new to V8 takes several times as long.
    const work = missRounds(context, {
      name: "silence",
      area: 1,
      asker,
      write: false,
      owner: home,
    });
    for (let round = 0; round < WARM_UP_ROUNDS; round++) await work();
    let value = 0;
    const take = async (): Promise<number[]> => {
      const page = { first: AREA_PAGES, value: ++value };
      await home.run("writePages", { ...page, count: 1, stride: 1 });
      return [await asker.run("timeAfterSilence", { ...page, silenceMs: SILENCE_MS })];
    };
    return {
      take: { ...floorRounds(context), "read-miss-after-silence": take },
      [Symbol.asyncDispose]: () => cluster[Symbol.asyncDispose](),
    };
  },
};
