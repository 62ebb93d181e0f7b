/** Messages for a miss as the cluster grows: counted in the simulator, which runs the same protocol. */

import { Access } from "../../runtime/protocol/coherence/page.ts";
import { Cluster } from "../../tests/simulator/coherence/cluster.ts";
import type { Family } from "../row.ts";

const NODES = [2, 4, 8, 16, 32, 64];
const PAGE = 0;

/** How many messages it takes the last of so many nodes to read a page that a node has written. */
function messages(nodes: number, owner: number): number {
  const cluster = new Cluster(nodes);
  cluster.access(owner, PAGE, Access.Write);
  return cluster.access(nodes, PAGE, Access.Read).length;
}

/** One sample for each size. */
export const growth: Family = {
  name: "growth",
  rows: [
    {
      id: "messages-home",
      title: "messages for a read miss, page at the home, 2 to 64 nodes",
      unit: "messages",
      constant: true,
    },
    {
      id: "messages-third",
      title: "messages for a read miss, page at a third, 4 to 64 nodes",
      unit: "messages",
      constant: true,
    },
  ],
  rounds: { full: 1, quick: 1, warmUp: false },
  open() {
    const count = (owner: number) => () =>
      Promise.resolve(
        NODES.filter((nodes) => nodes > owner).map((nodes) => messages(nodes, owner)),
      );
    return Promise.resolve({
      take: { "messages-home": count(1), "messages-third": count(2) },
      [Symbol.asyncDispose]: () => Promise.resolve(),
    });
  },
};
