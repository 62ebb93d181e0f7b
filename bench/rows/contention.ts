/** Two nodes that are after the same page. */

import { PAGE_SIZE_DEFAULT_BYTES as PAGE_BYTES } from "../../runtime/limits.ts";
import type { BenchCluster, NodeSettings } from "../nodes.ts";
import { atMost, COLUMNS, type Family } from "../family.ts";
import { floorRounds, FLOORS } from "../floors.ts";
import { READ_MISS, readMissRounds } from "./misses.ts";

/** How long a round goes on, in milliseconds. */
const ROUND_MS = 100;
/** How often a round hands a page over together with a permit. */
const BATONS = 100;
/** The longest hold that is tried, in microseconds. */
const LONG_HOLD_US = 20_000;

/**
 * Rounds in which two nodes add to one word in turns, and look for their turn without a pause.
 *
 * @param cluster The nodes; the first two take part.
 * @param page A page that nobody else uses.
 * @param ms How long a round goes on.
 * @returns Takes a round; resolves with microseconds a turn, or with the round's length when it was
 * too short for two turns of one node.
 */
export function alternateRounds(
  cluster: BenchCluster,
  page: number,
  ms = ROUND_MS,
): () => Promise<number[]> {
  const offset = page * PAGE_BYTES;
  const [first, second] = [cluster.node(1), cluster.node(2)];
  return async () => {
    await first.run("store", { offset, value: 0 });
    const turns = await Promise.all([
      first.run("alternate", { offset, parity: 0, ms }),
      second.run("alternate", { offset, parity: 1, ms }),
    ]);
    return turns[1].length > 0 ? turns[1] : [ms * 1000];
  };
}

/**
 * Rounds in which two nodes hand a permit to each other, and the node that has it reads and writes
 * a cell.
 *
 * @param cluster The nodes; the first two take part.
 * @param page A page that nobody else uses.
 * @returns Takes a round; resolves with microseconds a turn.
 */
export function batonRounds(cluster: BenchCluster, page: number): () => Promise<number[]> {
  const loop = { count: BATONS, blocks: false, offset: page * PAGE_BYTES };
  const [mine, other] = [2 * page, 2 * page + 1];
  return async () => {
    const turns = await Promise.all([
      cluster.node(2).run("handOff", { ...loop, mine, other, begins: true }),
      cluster.node(1).run("handOff", { ...loop, mine: other, other: mine, begins: false }),
    ]);
    return turns[0];
  };
}

/**
 * Rounds in which two nodes add to two words of one page, as fast as they can.
 *
 * @param cluster The nodes; the first two take part.
 * @param page A page that nobody else uses.
 * @returns Takes a round; `additions` of both in a millisecond, or microseconds for each of the
 *   `moves`.
 */
export function falseSharingRounds(
  cluster: BenchCluster,
  page: number,
): Readonly<Record<"additions" | "moves", () => Promise<number[]>>> {
  const offset = page * PAGE_BYTES;
  const round = () =>
    Promise.all([1, 2].map((id) => {
      const cell = { offset: offset + 64 * id, ms: ROUND_MS };
      return cluster.node(id).run("addApart", cell);
    }));
  return {
    additions: async () => (await round()).map(({ additions, us }) => 2 * additions / (us / 1000)),
    moves: async () => {
      const both = await round();
      const moves = both.reduce((sum, { moves }) => sum + moves, 0);
      return [both[0]!.us / Math.max(moves, 1)];
    },
  };
}

const HOLDS: Readonly<Record<string, NodeSettings>> = {
  "alternate-hold-0": { holdTimeUs: 0 },
  "alternate-hold-long": { holdTimeUs: LONG_HOLD_US },
};

/** Two nodes and one page. */
export const contention: Family = {
  name: "contention",
  rows: [
    {
      id: "alternate",
      title: "two nodes alternate on one word, a turn",
      unit: "us",
      against: [
        { row: FLOORS.flag.id, of: "mean", goal: atMost(1.2) },
        { row: FLOORS.flag.id, of: "p99", goal: atMost(5) },
        { row: READ_MISS.id },
      ],
    },
    FLOORS.flag,
    {
      id: "alternate-hold-0",
      title: "the same with the shortest hold",
      unit: "us",
      against: [{ row: READ_MISS.id, goal: atMost(4) }],
    },
    {
      id: "alternate-hold-long",
      title: `the same with a hold of ${LONG_HOLD_US / 1000} ms`,
      unit: "us",
      against: [{ row: READ_MISS.id, goal: atMost(4) }],
    },
    {
      id: "baton",
      title: "a cell read and written in turns, with a semaphore, a turn",
      unit: "us",
      against: [{ row: READ_MISS.id }],
    },
    { id: "false-sharing", title: "false sharing: additions of both", unit: "1/ms" },
    {
      id: "false-sharing-move",
      title: "false sharing: time for each move of the page",
      unit: "us",
    },
    READ_MISS,
  ],
  rounds: { full: 6, quick: 2, warmUp: true },
  columns: COLUMNS,
  async open(context, stack, wanted) {
    const cluster = stack.use(await context.cluster(3));
    const apart = falseSharingRounds(cluster, 3);
    const take: Record<string, () => Promise<readonly number[]>> = {
      ...floorRounds(context),
      "alternate": alternateRounds(cluster, 1),
      "baton": batonRounds(cluster, 2),
      "false-sharing": apart.additions,
      "false-sharing-move": apart.moves,
      [READ_MISS.id]: readMissRounds(context, cluster),
    };
    for (const [id, settings] of Object.entries(HOLDS)) {
      if (!wanted.has(id)) continue;
      take[id] = alternateRounds(stack.use(await context.cluster(2, settings)), 1);
    }
    return { take };
  },
};
