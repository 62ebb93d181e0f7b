/** Walks through memory, page by page, that nobody has announced. */

import { PAGE_SIZE_DEFAULT_BYTES as PAGE_BYTES } from "../../runtime/limits.ts";
import { floorRounds, FLOORS } from "../floors.ts";
import type { BenchNode } from "../nodes.ts";
import { atLeast, atMost, type Family } from "../family.ts";

/** The pages of a scan: 256 MiB, or 32 MiB of a quick run. */
const SCAN_PAGES = { full: 65_536, quick: 8_192 };
/** The pages that a round of first touches takes; each is touched once. */
const TOUCH_PAGES = 8_192;

/**
 * Rounds in which a node walks through pages that another has just written.
 *
 * @param requester The node that walks.
 * @param owner The node that has the only copies.
 * @param pages The walk; the pages of the region from the first on.
 * @returns Takes a round; resolves with MB/s.
 */
export function scanRounds(
  requester: BenchNode,
  owner: BenchNode,
  { count, write }: { readonly count: number; readonly write: boolean },
): () => Promise<number[]> {
  let value = 0;
  return async () => {
    const pages = { first: 0, count, stride: 1, value: ++value };
    await owner.run("writePages", pages);
    const us = write
      ? await requester.run("writePages", { ...pages, value: ++value })
      : await requester.run("readPages", pages);
    return [count * PAGE_BYTES / us];
  };
}

/** Scans of pages that another node has. */
export const scans: Family = {
  name: "scans",
  rows: [
    {
      id: "scan-read",
      title: "sequential read, pages at the home",
      unit: "MB/s",
      against: [{ row: FLOORS.scanRead.id, goal: atLeast(1) }],
    },
    {
      id: "scan-read-third",
      title: "sequential read, pages at a third node",
      unit: "MB/s",
      against: [{ row: FLOORS.scanRead.id, goal: atLeast(1) }],
    },
    {
      id: "scan-write",
      title: "sequential write, pages exclusive at the home",
      unit: "MB/s",
      against: [{ row: FLOORS.scanWrite.id, goal: atLeast(1) }],
    },
    FLOORS.scanRead,
    FLOORS.scanWrite,
  ],
  rounds: { full: 6, quick: 3, warmUp: true },
  async open(context, stack) {
    const count = context.quick ? SCAN_PAGES.quick : SCAN_PAGES.full;
    const cluster = stack.use(await context.cluster(3, { size: String(count * PAGE_BYTES) }));
    const [home, third, requester] = [cluster.node(1), cluster.node(2), cluster.node(3)];
    return {
      take: {
        ...floorRounds(context, count),
        "scan-read": scanRounds(requester, home, { count, write: false }),
        "scan-read-third": scanRounds(requester, third, { count, write: false }),
        "scan-write": scanRounds(requester, home, { count, write: true }),
      },
    };
  },
};

/** The first write to pages that nobody has touched. */
export const firstTouch: Family = {
  name: "first-touches",
  rows: [
    {
      id: "first-touch",
      title: "sequential first write, for each page",
      unit: "us",
      goal: atMost(2),
      against: [{ row: FLOORS.fresh.id }],
    },
    {
      id: "first-touch-home",
      title: "the same by the home, for each page",
      unit: "us",
      against: [{ row: FLOORS.fresh.id }],
    },
    FLOORS.fresh,
  ],
  rounds: { full: 8, quick: 3, warmUp: true },
  async open(context, stack) {
    const rounds = 2 * (1 + (context.quick ? this.rounds.quick : this.rounds.full));
    const size = String(rounds * TOUCH_PAGES * PAGE_BYTES);
    const cluster = stack.use(await context.cluster(2, { size }));
    let first = 0;
    const touch = async (node: BenchNode): Promise<number[]> => {
      const us = await node.run("writePages", { first, count: TOUCH_PAGES, stride: 1, value: 1 });
      first += TOUCH_PAGES;
      return [us / TOUCH_PAGES];
    };
    return {
      take: {
        "first-touch": () => touch(cluster.node(2)),
        "first-touch-home": () => touch(cluster.node(1)),
        ...floorRounds(context),
      },
    };
  },
};
