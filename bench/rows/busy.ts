/** More threads that work than cores: polling must not cost what others could use. */

import { BenchCluster } from "../nodes.ts";
import { atMost, type Family } from "../row.ts";

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
  async open(context) {
    await using stack = new AsyncDisposableStack();
    const polling = stack.use(await BenchCluster.start(NODES));
    const asleep = stack.use(await BenchCluster.start(NODES, { pollTimeUs: 0 }));
    const ms = context.quick ? ROUND_MS.quick : ROUND_MS.full;
    let seed = 0;
    const round = (cluster: BenchCluster) => async () => {
      const work = cluster.nodes.map((node) => node.run("work", { ...PAGES, ms, seed: ++seed }));
      const units = (await Promise.all(work)).reduce((sum, units) => sum + units, 0);
      return [ms * 1000 / units];
    };
    const owned = stack.move();
    return {
      take: { "busy-polling": round(polling), "busy-asleep": round(asleep) },
      [Symbol.asyncDispose]: () => owned.disposeAsync(),
    };
  },
};
