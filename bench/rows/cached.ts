/** Memory of the region that is here, against an array of the program's own. */

import { BenchCluster } from "../nodes.ts";
import { atMost, type Family } from "../row.ts";

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
  async open() {
    const cluster = await BenchCluster.start(2);
    const node = cluster.node(2);
    await node.run("fillOnes", { offset: 0, length: LENGTH });
    const sums = (offset: number) => () =>
      node.run("sums", { offset, length: LENGTH, times: SUMS });
    return {
      take: { "cached-sum": sums(0), "plain-sum": sums(-1) },
      [Symbol.asyncDispose]: () => cluster[Symbol.asyncDispose](),
    };
  },
};
