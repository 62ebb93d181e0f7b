/**
 * Nodes leave and die at the worst moments. Most of these stories were found by the simulator or
 * the checker first.
 */

import { assert, assertEquals, assertFalse } from "@std/assert";
import type { GrantMessage } from "../../../runtime/protocol/coherence/messages.ts";
import { Access, PageState } from "../../../runtime/protocol/coherence/page.ts";
import { ScriptedCluster } from "../../support/scripted_cluster.ts";

const { Invalid, Shared, Exclusive } = PageState;

Deno.test("a node that leaves has its only copies taken over", () => {
  const cluster = new ScriptedCluster(3, { runPages: 4 });
  for (const page of [0, 1, 7]) cluster.access(2, page, Access.Write);
  cluster.access(3, 7, Access.Read);
  cluster.step(2, { kind: "leave" });
  cluster.flush();
  assert(cluster.log.includes("left 1>2"));
  const { directory } = cluster.node(1);
  assertEquals(directory!.copies(0), { owner: 1, nodes: [1] });
  assertEquals(directory!.copies(1), { owner: 1, nodes: [1] });
  assertEquals(directory!.copies(7), { owner: 3, nodes: [3] });
});

Deno.test("the copies of a leaving node count until it has left", () => {
  const cluster = new ScriptedCluster(3);
  for (const page of [0, 1]) cluster.access(2, page, Access.Write);
  cluster.access(3, 0, Access.Read);
  // Page 0 is on node 3 too; while page 1 is taken over, node 3 dies.
  cluster.step(2, { kind: "leave" });
  cluster.deliver(2, 1);
  cluster.step(1, { kind: "peerLost", node: 3 });
  cluster.flush();
  assert(cluster.log.includes("left 1>2"));
  assertEquals(cluster.node(1).directory!.copies(0), { owner: 1, nodes: [1] });
  assertEquals(cluster.node(1).directory!.copies(1), { owner: 1, nodes: [1] });
});

Deno.test("a page that is to be taken over is asked for again where a request for it brought others only", () => {
  const cluster = new ScriptedCluster(3, { runPages: 4 }, [1, Infinity, Infinity]);
  cluster.access(1, 9, Access.Write);
  cluster.access(2, 1, Access.Write);
  cluster.tellRooms();
  // Node 3 has asked for pages 0 and 1. The home is to let node 2 leave before it hears of that.
  cluster.step(3, { kind: "fetch", first: 0, count: 2, access: Access.Read });
  cluster.step(2, { kind: "leave" });
  cluster.deliver(2, 1);
  cluster.deliver(1, 3);
  assertEquals(cluster.log.slice(-3), ["request 3>1", "leave 2>1", "adopt 1>3"]);
  cluster.flush();
  assertEquals(cluster.states(1), [Invalid, Invalid, Exclusive]);
  assert(cluster.log.includes("left 1>2"));
});

Deno.test("two nodes that leave do not rely on each other", () => {
  const cluster = new ScriptedCluster(3);
  for (const page of [0, 1]) cluster.access(2, page, Access.Write);
  cluster.access(3, 0, Access.Read);
  cluster.access(3, 2, Access.Write);
  for (const node of [2, 3]) cluster.step(node, { kind: "leave" });
  cluster.flush();
  for (const page of [0, 1, 2]) {
    assertEquals(cluster.node(1).directory!.copies(page), { owner: 1, nodes: [1] });
  }
  assertEquals(cluster.log.filter((line) => line.startsWith("left")).sort(), [
    "left 1>2",
    "left 1>3",
  ]);
});

Deno.test("a node does not leave while a transaction depends on it", () => {
  const cluster = new ScriptedCluster(4);
  for (const page of [0, 1]) cluster.access(2, page, Access.Write);
  cluster.access(3, 0, Access.Read);
  cluster.step(2, { kind: "leave" });
  cluster.deliver(2, 1);
  // While page 1 is taken over, node 2 is asked for page 0, which others have too.
  cluster.fault(4, 0, Access.Read);
  cluster.deliver(4, 1);
  cluster.deliver(1, 2);
  cluster.deliver(2, 1);
  assertFalse(cluster.log.includes("left 1>2"));
  cluster.flush();
  assert(cluster.log.includes("left 1>2"));
  assertEquals(cluster.states(0).slice(2), [Shared, Shared]);
});

Deno.test("a page whose only copy was on a dead node is lost for ever", () => {
  const cluster = new ScriptedCluster(3);
  cluster.access(2, 0, Access.Write);
  cluster.step(1, { kind: "peerLost", node: 2 });
  cluster.flush();
  cluster.fault(3, 0, Access.Read);
  cluster.deliver(3, 1);
  assertEquals(cluster.deliver(1, 3).events, [{ kind: "pageLost", page: 0, node: 2 }]);
  assertEquals(cluster.fault(3, 0, Access.Write).events, [{ kind: "pageLost", page: 0, node: 2 }]);
  cluster.flush();
  assertEquals(cluster.states(0)[2], Invalid);
});

Deno.test("a source that dies is replaced by another node that has the page", () => {
  const cluster = new ScriptedCluster(4);
  cluster.access(2, 0, Access.Write);
  cluster.access(3, 0, Access.Read);
  cluster.fault(4, 0, Access.Read);
  cluster.deliver(4, 1);
  assertEquals(cluster.link(1, 2)[0]!.kind, "forward");
  cluster.link(1, 2).length = 0;
  cluster.step(1, { kind: "peerLost", node: 2 });
  cluster.flush();
  assertEquals(cluster.node(4).state(0), Shared);
  assertEquals(cluster.node(1).directory!.copies(0), { owner: 3, nodes: [3, 4] });
});

Deno.test("a grant from a node that is gone is not taken", () => {
  const cluster = new ScriptedCluster(4);
  cluster.access(2, 0, Access.Write);
  cluster.access(3, 0, Access.Read);
  cluster.fault(4, 0, Access.Read);
  cluster.deliver(4, 1);
  cluster.deliver(1, 2);
  const late = cluster.link(2, 4).shift() as GrantMessage;
  cluster.step(1, { kind: "peerLost", node: 2 });
  assertEquals(cluster.deliver(1, 4).events, [{ kind: "peerGone", node: 2 }]);
  // Its bytes were turned away, so taking it would map whatever is in the alias.
  assertFalse(cluster.node(4).acceptsData(2, late));
  assertEquals(cluster.step(4, { kind: "message", from: 2, message: late }).operations, []);
  assertEquals(cluster.node(4).state(0), Invalid);
  cluster.flush();
  assertEquals(cluster.node(4).state(0), Shared);
});

Deno.test("a write whose source dies gets the bytes of a copy that was dropped for it", () => {
  const cluster = new ScriptedCluster(4);
  cluster.access(2, 0, Access.Write);
  cluster.access(3, 0, Access.Read);
  cluster.fault(4, 0, Access.Write);
  cluster.deliver(4, 1);
  cluster.link(1, 2).length = 0;
  cluster.deliver(1, 3);
  assertEquals(cluster.node(3).state(0), Invalid);
  cluster.step(1, { kind: "peerLost", node: 2 });
  cluster.flush();
  assertEquals(cluster.log.filter((line) => line === "grant 3>4").length, 1);
  assertEquals(cluster.states(0)[3], Exclusive);
  assertEquals(cluster.node(1).directory!.copies(0), { owner: 4, nodes: [4] });
});

Deno.test("a node that has a page again does not give it up to stand in for a dead one", () => {
  const cluster = new ScriptedCluster(4);
  cluster.access(2, 0, Access.Write);
  cluster.access(3, 0, Access.Read);
  cluster.fault(4, 0, Access.Write);
  for (const [from, to] of [[4, 1], [1, 2], [2, 4], [1, 3]] as const) cluster.deliver(from, to);
  // Node 4 has the bytes and waits for node 3 only, but the home cannot know that.
  cluster.step(1, { kind: "peerLost", node: 2 });
  for (const [from, to] of [[1, 4], [4, 1], [3, 4], [4, 1]] as const) cluster.deliver(from, to);
  assertEquals(cluster.link(1, 3).map(({ kind }) => kind), ["peerLost", "forward"]);
  cluster.fault(3, 0, Access.Write);
  for (const [from, to] of [[3, 1], [1, 4], [4, 3], [1, 3]] as const) cluster.deliver(from, to);
  assertEquals(cluster.states(0), [Invalid, Invalid, Exclusive, Invalid]);
  const { operations, messages, events } = cluster.deliver(1, 3);
  assertEquals([...operations, ...messages, ...events], []);
  cluster.flush();
  assertEquals(cluster.states(0), [Invalid, Invalid, Exclusive, Invalid]);
});

Deno.test("what a node sends in place of a dead one is not used if it comes too late", () => {
  const cluster = new ScriptedCluster(5);
  cluster.access(2, 0, Access.Write);
  cluster.access(3, 0, Access.Read);
  cluster.fault(4, 0, Access.Write);
  for (const [from, to] of [[4, 1], [1, 2], [2, 4], [1, 3]] as const) cluster.deliver(from, to);
  // Node 4 has the bytes and waits for node 3 only, which is asked for them when node 2 dies.
  cluster.step(1, { kind: "peerLost", node: 2 });
  for (const [from, to] of [[1, 4], [4, 1], [3, 4], [4, 1], [1, 3]] as const) {
    cluster.deliver(from, to);
  }
  assertEquals(cluster.link(1, 3).map(({ kind }) => kind), ["forward"]);
  // Meanwhile node 5 reads, and node 3 is granted to write once node 5 has dropped its copy.
  cluster.fault(5, 0, Access.Read);
  for (const [from, to] of [[1, 5], [5, 1], [5, 1], [1, 4], [4, 5], [5, 1]] as const) {
    cluster.deliver(from, to);
  }
  cluster.fault(3, 0, Access.Write);
  for (const [from, to] of [[3, 1], [3, 1], [1, 4], [4, 3]] as const) cluster.deliver(from, to);
  assertEquals(cluster.states(0).slice(2), [Invalid, Invalid, Shared]);
  const { messages } = cluster.deliver(1, 3);
  assertEquals(messages.map(({ to, message }) => [to, message.kind]), [[4, "grant"]]);
  assertFalse(cluster.node(4).acceptsData(3, messages[0]!.message as GrantMessage));
  cluster.flush();
  assertEquals(cluster.states(0).slice(2), [Exclusive, Invalid, Invalid]);
});

Deno.test("a demand on a page is not met before an earlier one whose time is over", () => {
  const cluster = new ScriptedCluster(4, { holdTimeUs: 50 });
  cluster.access(2, 0, Access.Write);
  cluster.step(2, { kind: "tick" }, 1000);
  cluster.fault(3, 0, Access.Read);
  cluster.deliver(3, 1);
  cluster.deliver(1, 2, 1000);
  cluster.deliver(2, 3, 1000);
  cluster.deliver(3, 1);
  // Node 3 holds the page until 1050, and is told to drop it; then the source of the bytes dies.
  cluster.fault(4, 0, Access.Write);
  cluster.deliver(4, 1);
  cluster.link(1, 2).length = 0;
  assertEquals(cluster.deliver(1, 3, 1010).messages, []);
  cluster.step(1, { kind: "peerLost", node: 2 });
  cluster.deliver(1, 4, 1010);
  cluster.deliver(4, 1);
  cluster.deliver(1, 3, 1010);
  assertEquals(cluster.link(1, 3)[0]!.kind, "forward");
  const { messages } = cluster.deliver(1, 3, 1050);
  assertEquals(messages.map(({ message }) => message.kind), ["acknowledge", "grant"]);
});

Deno.test("a requester that dies before a sharer gave up its copy leaves it that copy", () => {
  const cluster = new ScriptedCluster(4, { holdTimeUs: 50 });
  cluster.access(2, 0, Access.Write);
  cluster.step(2, { kind: "tick" }, 1000);
  cluster.access(3, 0, Access.Read);
  // Node 2 gives up its copy, node 3 still holds its own.
  cluster.fault(4, 0, Access.Write);
  cluster.deliver(4, 1);
  cluster.deliver(1, 2, 1000);
  cluster.deliver(1, 3, 10);
  cluster.step(1, { kind: "peerLost", node: 4 });
  cluster.link(2, 4).length = 0;
  cluster.flush();
  assertEquals(cluster.log.filter((line) => line.startsWith("refused")), ["refused 3>1"]);
  assertEquals(cluster.node(1).directory!.copies(0), { owner: 3, nodes: [3] });
  assertFalse(cluster.node(1).directory!.busy(0));
});

Deno.test("a node leaves though a request of the home covers what is to be taken over", () => {
  const cluster = new ScriptedCluster(4, { runPages: 2, holdTimeUs: 50 });
  // The home has pages 0 and 1 to read, and no other node has; page 0 it holds.
  cluster.step(2, { kind: "fetch", first: 0, count: 2, access: Access.Write });
  cluster.flush();
  cluster.access(1, 0, Access.Read);
  cluster.access(1, 1, Access.Read);
  cluster.step(1, { kind: "peerLost", node: 2 });
  cluster.flush();
  cluster.step(1, { kind: "resumed", page: 1 });
  // A read of page 0 waits for the hold, and the home's own request for both waits for that read.
  cluster.access(3, 0, Access.Read);
  cluster.step(1, { kind: "fetch", first: 0, count: 2, access: Access.Write });
  cluster.access(4, 1, Access.Write);
  cluster.step(4, { kind: "leave" });
  cluster.flush();
  assertFalse(cluster.log.includes("left 1>4"));
  // Now the home grants page 0 to itself, and nothing is to be said about it.
  cluster.step(1, { kind: "peerLost", node: 3 });
  cluster.flush();
  assertEquals(cluster.node(1).state(0), Exclusive);
  assert(cluster.log.includes("left 1>4"));
  assertEquals(cluster.node(1).directory!.copies(1), { owner: 1, nodes: [1] });
});

Deno.test("a node that leaves with more than others have room for is told so", () => {
  const cluster = new ScriptedCluster(2, { runPages: 4, memoryPages: 32 });
  for (let page = 0; page < 20; page++) {
    cluster.access(1, page, Access.Write);
    cluster.access(2, 20 + page, Access.Write);
  }
  cluster.step(2, { kind: "leave" });
  cluster.flush();
  // The home takes pages also into the room that it keeps free: they would be lost.
  const taken = cluster.node(1).cache.copies.pagesExclusive;
  assertEquals([taken, cluster.log.at(-1)], [32, "keep 1>2"]);
  const { deadline } = cluster.node(2);
  const { events } = cluster.step(2, { kind: "tick" }, deadline);
  assertEquals(events, [{ kind: "memoryExhausted", page: undefined }]);
});
