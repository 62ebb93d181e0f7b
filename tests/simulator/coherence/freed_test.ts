/**
 * Pages are freed that are lost, or are on their way, at the worst moments. The simulator found
 * these stories first.
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

Deno.test("a page that is freed while a node is told of its loss is not lost for others", () => {
  const cluster = withLostPage();
  cluster.fault(3, 0, Access.Read);
  cluster.deliver(3, 1);
  cluster.clear({ first: 0, count: 1 });
  const { events } = cluster.deliver(1, 3);
  assertEquals(events, [{ kind: "pageLost", page: 0, node: 2 }]);
  cluster.flush();
  cluster.access(4, 0, Access.Write);
  assertEquals(cluster.node(4).state(0), PageState.Exclusive);
});

Deno.test("a page that is lost while no thread waits for it can be had once it is cleared", () => {
  const cluster = withLostPage();
  cluster.step(3, { kind: "fetch", first: 0, count: 1, access: Access.Read });
  cluster.flush();
  cluster.clear({ first: 0, count: 1 });
  cluster.flush();
  cluster.access(3, 0, Access.Write);
  assertEquals(cluster.node(3).state(0), PageState.Exclusive);
});

/**
 * A cluster in which node 4 has the bytes of page 0 while the two nodes that had it before are
 * dead.
 */
function withSurvivor(): ScriptedCluster {
  const cluster = new ScriptedCluster(4);
  cluster.access(2, 0, Access.Write);
  cluster.access(3, 0, Access.Read);
  cluster.fault(4, 0, Access.Write);
  for (const [from, to] of [[4, 1], [1, 2], [2, 4]] as const) cluster.deliver(from, to);
  // Node 4 waits for node 3 to drop its copy; both others die.
  for (const node of [2, 3]) cluster.step(1, { kind: "peerLost", node });
  cluster.link(1, 3).length = 0;
  return cluster;
}

Deno.test("a page whose requester had its bytes is not lost with the node that sent them", () => {
  const cluster = withSurvivor();
  cluster.flush();
  assertEquals(cluster.node(1).directory!.copies(0), { owner: 4, nodes: [4] });
  cluster.access(1, 0, Access.Read);
  assertEquals(cluster.states(0)[3], PageState.Shared);
});

Deno.test("a page that is freed while it is on its way is cleared once it is there", () => {
  const cluster = withSurvivor();
  cluster.clear({ first: 0, count: 1 });
  cluster.flush();
  assertEquals(cluster.node(1).directory!.copies(0), { owner: 0, nodes: [] });
  assertEquals(cluster.states(0)[3], PageState.Invalid);
});

Deno.test("a request for a page that is being cleared waits, and gets zeros", () => {
  const cluster = new ScriptedCluster(3, { holdTimeUs: 100 });
  cluster.access(2, 0, Access.Write);
  cluster.clear({ first: 0, count: 1 });
  cluster.step(1, { kind: "work" });
  cluster.fault(3, 0, Access.Read);
  cluster.deliver(3, 1);
  // Node 2 keeps the page for its thread.
  cluster.deliver(1, 2);
  assertEquals(cluster.link(2, 1), []);
  cluster.step(2, { kind: "tick" }, 100);
  assertEquals(cluster.deliver(2, 1).events, [{ kind: "cleared", first: 0, count: 1 }]);
  const { operations } = cluster.deliver(1, 3);
  assertEquals(operations, [{ kind: "installZero", first: 0, count: 1 }]);
});

Deno.test("a node that leaves while its pages are cleared has none of them taken over", () => {
  const cluster = new ScriptedCluster(2);
  cluster.access(2, 0, Access.Write);
  cluster.clear({ first: 0, count: 1 });
  cluster.step(1, { kind: "work" });
  cluster.step(2, { kind: "leave" });
  cluster.flush();
  assertEquals(cluster.log.slice(-4), [
    "invalidate 1>2",
    "leave 2>1",
    "acknowledge 2>1",
    "left 1>2",
  ]);
});
