/** Nodes that compute: on memory that is here, and with more threads than cores. */

import type { BenchCluster } from "../nodes.ts";
import { atMost, type Family } from "../family.ts";

/** The doubles that are added up: 2 MiB. */
const LENGTH = 262_144;
const SUMS = 20;
/** What counts as 1.00. */
const SAME = 1.02;

/** Sums of doubles. */
export const cached: Family = {
  name: "cached",
  rows: [
    {
      id: "cached-sum",
      title: "sum of 2 MiB of doubles in the region",
      unit: "us",
      against: [{ row: "plain-sum", goal: atMost(SAME) }],
    },
    { id: "plain-sum", title: "sum of 2 MiB of doubles in a plain array", unit: "us" },
  ],
  rounds: { full: 20, quick: 6, warmUp: true },
  async open(context, stack) {
    const cluster = stack.use(await context.cluster(2));
    const node = cluster.node(2);
    await node.run("fillOnes", { offset: 0, length: LENGTH });
    const sums = (offset: number) => () =>
      node.run("sums", { offset, length: LENGTH, times: SUMS });
    return {
      take: { "cached-sum": sums(0), "plain-sum": sums(-1) },
    };
  },
};

/** How long a round goes on, in milliseconds. */
const ROUND_MS = { full: 1_000, quick: 500 };
const NODES = 3;
/** The pages that all work on. */
const PAGES = { first: 1, count: 512 };

/** Three nodes that work on two cores. */
export const busy: Family = {
  name: "busy",
  rows: [
    {
      id: "busy-polling",
      title: "three busy nodes that share 512 pages, a unit of work",
      unit: "us",
      against: [{ row: "busy-asleep", goal: atMost(1.1) }],
    },
    { id: "busy-asleep", title: "the same, never polling", unit: "us" },
  ],
  rounds: { full: 8, quick: 3, warmUp: true },
  async open(context, stack) {
    const polling = stack.use(await context.cluster(NODES));
    const asleep = stack.use(await context.cluster(NODES, { pollTimeUs: 0 }));
    const ms = context.quick ? ROUND_MS.quick : ROUND_MS.full;
    let seed = 0;
    const round = (cluster: BenchCluster) => async () => {
      const work = cluster.nodes.map((node) => node.run("work", { ...PAGES, ms, seed: ++seed }));
      const units = (await Promise.all(work)).reduce((sum, units) => sum + units, 0);
      return [ms * 1000 / units];
    };
    return {
      take: { "busy-polling": round(polling), "busy-asleep": round(asleep) },
    };
  },
};
