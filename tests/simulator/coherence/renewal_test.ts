/**
 * Pages that were lost are given out again, at the worst moments. The simulator found these stories
 * first.
 */

import { assertEquals } from "@std/assert";
import { Access, PageState } from "../../../runtime/protocol/coherence/page.ts";
import { ScriptedCluster } from "../../support/scripted_cluster.ts";

/** A cluster of four in which node 2 died with the only copy of page 0. */
function withLostPage(): ScriptedCluster {
  const cluster = new ScriptedCluster(4);
  cluster.access(2, 0, Access.Write);
  cluster.step(1, { kind: "peerLost", node: 2 });
  cluster.flush();
  return cluster;
}

Deno.test("a page that is renewed while a node is told of its loss is not lost for others", () => {
  const cluster = withLostPage();
  cluster.fault(3, 0, Access.Read);
  cluster.deliver(3, 1);
  cluster.step(1, { kind: "renew", first: 0, count: 1 });
  const { events } = cluster.deliver(1, 3);
  assertEquals(events, [{ kind: "pageLost", page: 0, node: 2 }]);
  cluster.flush();
  cluster.access(4, 0, Access.Write);
  assertEquals(cluster.node(4).state(0), PageState.Exclusive);
});

Deno.test("a page that is lost while no thread waits for it can be had once it is renewed", () => {
  const cluster = withLostPage();
  cluster.step(3, { kind: "fetch", first: 0, count: 1, access: Access.Read });
  cluster.flush();
  cluster.step(1, { kind: "renew", first: 0, count: 1 });
  cluster.access(3, 0, Access.Write);
  assertEquals(cluster.node(3).state(0), PageState.Exclusive);
});

Deno.test("a page whose requester had its bytes is not lost with the node that sent them", () => {
  const cluster = new ScriptedCluster(4);
  cluster.access(2, 0, Access.Write);
  cluster.access(3, 0, Access.Read);
  cluster.fault(4, 0, Access.Write);
  for (const [from, to] of [[4, 1], [1, 2], [2, 4]] as const) cluster.deliver(from, to);
  // Node 4 has the bytes and waits for node 3 to drop its copy; both others die.
  for (const node of [2, 3]) cluster.step(1, { kind: "peerLost", node });
  cluster.link(1, 3).length = 0;
  cluster.flush();
  cluster.step(1, { kind: "renew", first: 0, count: 1 });
  assertEquals(cluster.node(1).directory!.copies(0), { owner: 4, nodes: [4] });
  cluster.access(1, 0, Access.Read);
  assertEquals(cluster.states(0)[3], PageState.Shared);
});
