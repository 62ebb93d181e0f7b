/** What it costs that nodes are watched: a miss with metrics, or a trace, beside one without. */

import { PAGE_SIZE_DEFAULT_BYTES as PAGE_BYTES } from "../../runtime/limits.ts";
import { atMost, type Family } from "../family.ts";
import type { NodeSettings } from "../nodes.ts";
import { missRounds } from "./misses.ts";

const REGION_PAGES = 4_096;

/** Nodes that are watched, and nodes that are not. */
export const watched: Family = {
  name: "watched",
  rows: [
    { id: "unwatched-read-miss", title: "read miss, at the home, not watched", unit: "us" },
    {
      id: "metrics-read-miss",
      title: "read miss, at the home, with --metrics",
      unit: "us",
      against: [{ row: "unwatched-read-miss", goal: atMost(1.02) }],
    },
    {
      id: "trace-read-miss",
      title: "read miss, at the home, with --trace",
      unit: "us",
      against: [{ row: "unwatched-read-miss" }],
    },
  ],
  rounds: { full: 16, quick: 4, warmUp: true },
  async open(context, stack) {
    const folder = stack.adopt(await Deno.makeTempDir(), async (path) => {
      await Deno.remove(path, { recursive: true });
    });
    const size = String(REGION_PAGES * PAGE_BYTES);
    const rounds = async (name: string, settings: NodeSettings) => {
      const cluster = stack.use(await context.cluster(2, { size, ...settings }));
      const [owner, requester] = [cluster.node(1), cluster.node(2)];
      const id = `${name}-read-miss`;
      return { [id]: missRounds(context, { name: id, area: 0, requester, write: false, owner }) };
    };
    return {
      take: {
        ...await rounds("unwatched", {}),
        ...await rounds("metrics", { metrics: 0 }),
        ...await rounds("trace", { trace: `${folder}/trace.json` }),
      },
    };
  },
};
