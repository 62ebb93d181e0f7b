/** What nodes do together beside sharing pages, with few pages cached and with many. */

import { PAGE_SIZE_DEFAULT_BYTES as PAGE_BYTES } from "../../runtime/limits.ts";
import {
  atMost,
  COLUMNS,
  type Comparison,
  type Context,
  type Family,
  type OpenFamily,
} from "../family.ts";
import { floorRounds, FLOORS } from "../floors.ts";
import type { BenchCluster } from "../nodes.ts";

/** How often a round does each. */
const TIMES = 50;
/** The pages that each node has in the second family. */
const CACHED_PAGES = 16_384;
const NODES = 3;

/**
 * Rounds in which two nodes hand a permit to each other; the semaphores are at the directory node.
 *
 * @param cluster Three nodes.
 * @param blocks Whether both block their thread to wait.
 * @returns Takes a round; resolves with microseconds a hand-off.
 */
export function handOffRounds(cluster: BenchCluster, blocks: boolean): () => Promise<number[]> {
  const loop = { count: TIMES, blocks, offset: -1 };
  const [mine, other] = blocks ? [1, 2] : [3, 4];
  return async () => {
    const turns = await Promise.all([
      cluster.node(2).run("handOff", { ...loop, mine, other, begins: true }),
      cluster.node(3).run("handOff", { ...loop, mine: other, other: mine, begins: false }),
    ]);
    return turns[0];
  };
}

/** Rounds in which some nodes wait at a barrier; resolve with microseconds a wait. */
function barrierRounds(
  cluster: BenchCluster,
  ids: readonly number[],
  blocks: boolean,
): () => Promise<number[]> {
  const name = `${blocks ? "blocking, " : ""}of ${ids.length}`;
  const loop = { name, parties: ids.length, count: TIMES, blocks };
  return async () => {
    const waits = ids.map((id) => cluster.node(id).run("barrierLoop", loop));
    return (await Promise.all(waits)).at(-1)!;
  };
}

/** Rounds in which two nodes lock a mutex, change a cell and unlock; microseconds a turn. */
function mutexRounds(cluster: BenchCluster, blocks: boolean): () => Promise<number[]> {
  const loop = { name: "cell", count: TIMES, offset: 0, blocks };
  return async () => {
    const turns = [2, 3].map((id) => cluster.node(id).run("mutexLoop", loop));
    return (await Promise.all(turns))[0]!;
  };
}

function rounds(context: Context, cluster: BenchCluster): OpenFamily["take"] {
  return {
    ...floorRounds(context),
    "barrier": barrierRounds(cluster, [1, 2, 3], false),
    "barrier-two": barrierRounds(cluster, [2, 3], false),
    "mutex": mutexRounds(cluster, false),
    "barrier-blocking": barrierRounds(cluster, [1, 2, 3], true),
    "barrier-two-blocking": barrierRounds(cluster, [2, 3], true),
    "mutex-blocking": mutexRounds(cluster, true),
    "hand-off": handOffRounds(cluster, false),
    "hand-off-blocking": handOffRounds(cluster, true),
    "call": () => cluster.node(2).run("callLoop", { to: 3, count: TIMES }),
  };
}

/** The rows, with something behind their names. */
function rows(suffix: string, title: string): Family["rows"] {
  const within = (limit: number): Comparison[] => [
    { row: FLOORS.denoPolling.id, goal: atMost(limit) },
  ];
  const unit = "us";
  return [
    {
      id: `hand-off${suffix}`,
      title: `semaphore hand-off, acquire${title}`,
      unit,
      against: within(1.5),
    },
    {
      id: `hand-off-blocking${suffix}`,
      title: `semaphore hand-off, acquireSync${title}`,
      unit,
      against: within(1.5),
    },
    {
      id: `mutex${suffix}`,
      title: `a cell changed under a mutex in turns, a turn${title}`,
      unit,
      against: within(3),
    },
    {
      id: `mutex-blocking${suffix}`,
      title: `the same by lockSync${title}`,
      unit,
      against: within(3),
    },
    { id: `barrier-two${suffix}`, title: `barrier of two${title}`, unit, against: within(2) },
    {
      id: `barrier-two-blocking${suffix}`,
      title: `barrier of two, waitSync${title}`,
      unit,
      against: within(2),
    },
    { id: `barrier${suffix}`, title: `barrier of three${title}`, unit, against: within(3) },
    {
      id: `barrier-blocking${suffix}`,
      title: `barrier of three, waitSync${title}`,
      unit,
      against: within(3),
    },
    {
      id: `call${suffix}`,
      title: `remote call without arguments${title}`,
      unit,
      against: within(2.5),
    },
    FLOORS.denoPolling,
    FLOORS.denoAsleep,
  ];
}

/** With no page cached. */
export const sync: Family = {
  name: "sync",
  rows: rows("", ""),
  rounds: { full: 10, quick: 2, warmUp: true },
  columns: COLUMNS,
  async open(context, stack) {
    const cluster = stack.use(await context.cluster(NODES));
    return {
      take: rounds(context, cluster),
    };
  },
};

const CACHED = "-cached";

/** With many pages cached at each node: none of them may matter. */
export const syncCached: Family = {
  name: "sync-cached",
  rows: rows(CACHED, `, ${CACHED_PAGES} pages`),
  rounds: { full: 6, quick: 1, warmUp: true },
  async open(context, stack) {
    const size = String(CACHED_PAGES * PAGE_BYTES);
    const cluster = stack.use(await context.cluster(NODES, { size }));
    const pages = { first: 0, count: CACHED_PAGES, stride: 1, value: 1 };
    await cluster.node(1).run("writePages", pages);
    for (const id of [2, 3]) await cluster.node(id).run("readPages", pages);
    const take = Object.entries(rounds(context, cluster)).map(([id, round]) =>
      [this.rows.some((row) => row.id === id) ? id : id + CACHED, round] as const
    );
    return {
      take: Object.fromEntries(take),
    };
  },
};

/** Plain TCP, for itself. */
export const tcp: Family = {
  name: "tcp",
  rows: [
    FLOORS.zigSpinning,
    FLOORS.zigBlocking,
    FLOORS.denoPolling,
    FLOORS.denoAsleep,
    FLOORS.zigSpinningPage,
    FLOORS.zigBlockingPage,
    FLOORS.denoPollingPage,
    FLOORS.denoAsleepPage,
  ],
  rounds: { full: 6, quick: 2, warmUp: true },
  columns: COLUMNS,
  open(context) {
    return Promise.resolve({
      take: floorRounds(context),
    });
  },
};
