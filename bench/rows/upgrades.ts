/** What a write costs where others have copies to read. */

import { BenchCluster, type BenchNode } from "../nodes.ts";
import { atMost, type Family } from "../row.ts";
import { READ_MISS } from "./misses.ts";
import { missRounds } from "./page_rounds.ts";

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
      against: [{ row: "read-miss-three-hops", goal: atMost(1) }, { row: READ_MISS.id }],
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
    {
      id: "read-miss-three-hops",
      title: "read miss, dirty at a third node (three hops)",
      unit: "us",
    },
  ],
  rounds: { full: 12, quick: 3, warmUp: true },
  async open(context) {
    const cluster = await BenchCluster.start(NODES);
    const [home, writer, third, ...others] = cluster.nodes as [
      BenchNode,
      BenchNode,
      BenchNode,
      ...BenchNode[],
    ];
    const upgrade = (name: string, area: number, readers: BenchNode[]) =>
      missRounds(context, { name, area, asker: writer, write: true, owner: writer, readers });
    const read = (name: string, area: number, owner: BenchNode, readers: BenchNode[]) =>
      missRounds(context, { name, area, asker: writer, write: false, owner, readers });
    return {
      take: {
        "upgrade-home": upgrade("upgrade-home", 0, [home]),
        "upgrade-1": upgrade("upgrade-1", 1, [third]),
        "upgrade-2": upgrade("upgrade-2", 2, [third, others[0]!]),
        "upgrade-7": upgrade("upgrade-7", 3, [home, third, ...others]),
        [READ_MISS.id]: read(READ_MISS.id, 4, home, [third]),
        "read-miss-three-hops": read("read-miss-three-hops", 5, third, []),
      },
      [Symbol.asyncDispose]: () => cluster[Symbol.asyncDispose](),
    };
  },
};
