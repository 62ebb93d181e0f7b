/**
 * Nodes with a limit to their memory, message by message.
 */

import { assert, assertEquals } from "@std/assert";
import { MEMORY_WAIT_MAX_MS } from "../../../runtime/limits.ts";
import type { PageOperation } from "../../../runtime/protocol/coherence/output.ts";
import { Access, PageState } from "../../../runtime/protocol/coherence/page.ts";
import { ScriptedCluster } from "../../support/scripted_cluster.ts";

const { Invalid, Shared, Exclusive } = PageState;
const WAIT_US = MEMORY_WAIT_MAX_MS * 1000;

/** The operations of a kind, each as its first page and count. */
function runs(operations: readonly PageOperation[], kind: PageOperation["kind"]) {
  return operations.filter((operation) => operation.kind === kind)
    .map(({ first, count }) => [first, count]);
}

Deno.test("room: dead bytes of a source are given back when they are needed, without a message", () => {
  const cluster = new ScriptedCluster(3, {}, [Infinity, 1]);
  cluster.access(2, 0, Access.Write);
  cluster.access(3, 0, Access.Write);
  assertEquals(cluster.node(2).cache.copies.pagesDead, 1);
  const { operations, messages } = cluster.fault(2, 5, Access.Read);
  assertEquals(runs(operations, "discard"), [[0, 1]]);
  assertEquals(messages.map(({ message }) => message.kind), ["request"]);
  assertEquals(cluster.node(2).counters.pagesDiscarded, 1);
});

Deno.test("room: dead bytes that may be asked for need the home's word, also in idle time", () => {
  const cluster = new ScriptedCluster(4);
  cluster.access(2, 0, Access.Write);
  cluster.access(3, 0, Access.Read);
  cluster.fault(4, 0, Access.Write);
  for (const [from, to] of [[4, 1], [1, 3]] as const) cluster.deliver(from, to);
  // The write for which node 3 has dropped its copy is under way, and its source dies.
  assertEquals(cluster.step(3, { kind: "idle" }).operations, []);
  cluster.deliver(3, 1);
  cluster.link(1, 2).length = 0;
  cluster.step(1, { kind: "peerLost", node: 2 });
  cluster.flush();
  assertEquals(cluster.log.filter((line) => line === "grant 3>4").length, 1);
  assertEquals(cluster.log.filter((line) => line.startsWith("dropped")), ["dropped 1>3"]);
  assertEquals(cluster.states(0)[3], Exclusive);
  assertEquals(cluster.node(3).cache.copies.pagesDead, 0);
});

Deno.test("room: a copy that another node has too is dropped, and asked for anew", () => {
  const cluster = new ScriptedCluster(3, {}, [Infinity, 1]);
  cluster.access(3, 0, Access.Write);
  cluster.access(2, 0, Access.Read);
  assertEquals(cluster.access(2, 1, Access.Read), [
    "drop 2>1",
    "dropped 1>2",
    "request 2>1",
    "grant 1>2",
  ]);
  assertEquals(cluster.states(0), [Invalid, Invalid, Shared]);
  assertEquals(cluster.node(1).directory!.copies(0), { owner: 3, nodes: [3] });
  cluster.access(2, 0, Access.Read);
  assertEquals(cluster.states(0), [Invalid, Shared, Shared]);
});

Deno.test("room: a fault on a page that the home is asked to forget waits for the answer", () => {
  const cluster = new ScriptedCluster(3, {}, [Infinity, 1]);
  cluster.access(3, 0, Access.Write);
  cluster.access(2, 0, Access.Read);
  cluster.fault(2, 1, Access.Read);
  const { operations, messages } = cluster.fault(2, 0, Access.Read);
  assertEquals([operations, messages], [[], []]);
  cluster.flush();
  assertEquals([cluster.states(0)[1], cluster.states(1)[1]], [Invalid, Exclusive]);
  // Page 1 stayed until its thread could run.
  cluster.step(2, { kind: "tick" });
  cluster.flush();
  assertEquals([cluster.states(0)[1], cluster.states(1)[1]], [Shared, Invalid]);
});

Deno.test("room: the last copy is kept, and taken by the node with the most room", () => {
  const cluster = new ScriptedCluster(4, {}, [1, 1, 2, 3]);
  cluster.access(1, 9, Access.Write);
  cluster.tellRooms();
  cluster.access(3, 0, Access.Write);
  cluster.access(2, 0, Access.Read);
  cluster.step(1, { kind: "peerLost", node: 3 });
  cluster.flush();
  const log = cluster.access(2, 1, Access.Write);
  assertEquals(log.filter((line) => /drop|keep|offload|adopt/.test(line)), [
    "drop 2>1",
    "keep 1>2",
    "offload 2>1",
    "adopt 1>4",
  ]);
  assertEquals(cluster.states(0), [Invalid, Invalid, Shared, Exclusive]);
  assertEquals(cluster.states(1)[1], Exclusive);
  assertEquals(cluster.node(2).counters.pagesOffloaded, 1);
});

Deno.test("room: a page that a thread goes on to touch stays, another one goes", () => {
  const cluster = new ScriptedCluster(2, {}, [Infinity, 32]);
  for (let page = 0; page < 32; page++) cluster.access(2, page, Access.Write);
  for (let page = 32; page < 60; page++) {
    cluster.access(2, page, Access.Write);
    // The thread touches page 0 again and again, which is a fault where it is unmapped.
    cluster.access(2, 0, Access.Write);
    assert(cluster.node(2).cache.copies.pagesExclusive <= 32);
  }
  assertEquals(cluster.states(0), [Invalid, Exclusive]);
  assertEquals(cluster.states(1), [Exclusive, Invalid]);
});

Deno.test("room: a thread that finds none waits for 10 s, and is told", () => {
  const cluster = new ScriptedCluster(3, {}, [1, 1, 1]);
  for (const id of [1, 2, 3]) cluster.access(id, id, Access.Write);
  cluster.tellRooms();
  cluster.fault(2, 5, Access.Write);
  cluster.flush();
  assertEquals(cluster.step(2, { kind: "tick" }, WAIT_US - 1).events, []);
  cluster.flush();
  const { events } = cluster.step(2, { kind: "tick" }, WAIT_US);
  assertEquals(events, [{ kind: "memoryExhausted", page: 5 }]);
  assertEquals(cluster.states(2)[1], Exclusive);
});

Deno.test("room: a thread that waits goes on once another node has told of room", () => {
  const cluster = new ScriptedCluster(3, {}, [1, 1, 2]);
  for (const id of [1, 2, 3]) cluster.access(id, id, Access.Write);
  cluster.fault(2, 5, Access.Write);
  cluster.flush();
  cluster.tellRooms();
  const again = cluster.node(2).deadline;
  assert(again < WAIT_US);
  cluster.step(2, { kind: "tick" }, again);
  cluster.flush();
  assertEquals([cluster.states(2)[2], cluster.states(5)[1]], [Exclusive, Exclusive]);
  assertEquals(cluster.node(2).deadline, Infinity);
});

Deno.test("room: a thread that waits gets the last page of room, kept free or not", () => {
  const cluster = new ScriptedCluster(3, { memoryPages: 8, reservePages: 1 });
  for (const [id, pages] of [[1, 8], [2, 8], [3, 7]] as const) {
    for (let page = 0; page < pages; page++) cluster.access(id, 8 * id + page, Access.Write);
  }
  cluster.tellRooms();
  cluster.access(2, 50, Access.Write);
  assertEquals(cluster.states(50)[1], Exclusive);
  assertEquals(cluster.engines.map(({ cache }) => cache.copies.pagesExclusive), [8, 8, 8]);
});

Deno.test("room: none that is kept free goes to a node that wants some for later faults", () => {
  const cluster = new ScriptedCluster(3, { memoryPages: 8, reservePages: 2 });
  for (const [id, pages] of [[1, 6], [2, 8], [3, 6]] as const) {
    for (let page = 0; page < pages; page++) cluster.access(id, 8 * id + page, Access.Write);
  }
  cluster.tellRooms();
  const start = cluster.log.length;
  cluster.step(2, { kind: "tick" }, WAIT_US);
  cluster.flush();
  assertEquals(new Set(cluster.log.slice(start)), new Set(["offload 2>1"]));
});

Deno.test("room: runs that no thread waits for never take the last of it", () => {
  const options = { runPages: 8, readAhead: true, readAheadMinPages: 1 };
  const cluster = new ScriptedCluster(2, options, [Infinity, 9]);
  for (let page = 0; page < 64; page++) {
    cluster.fault(2, page, Access.Write);
    assert(cluster.node(2).cache.copies.pagesExclusive <= 9);
    cluster.flush();
    assertEquals(cluster.states(page)[1], Exclusive);
  }
  const { pagesAhead, pagesOffloaded } = cluster.node(2).counters;
  assert(pagesAhead > 0);
  assert(pagesOffloaded >= 64 - 9);
});

Deno.test("room: what a node that leaves has goes to the node with the most room", () => {
  const cluster = new ScriptedCluster(4, { runPages: 4 }, [2, Infinity, 8, 6]);
  cluster.tellRooms();
  cluster.step(2, { kind: "fetch", first: 0, count: 8, access: Access.Write });
  cluster.flush();
  cluster.step(2, { kind: "leave" });
  cluster.flush();
  assert(cluster.log.includes("left 1>2"));
  const held = cluster.engines.map(({ cache }) => cache.copies.pagesExclusive);
  assertEquals([held[0], held[2], held[3]], [0, 4, 4]);
});

Deno.test("room: a node that leaves is told where no node has room for its pages", () => {
  const cluster = new ScriptedCluster(2, {}, [1, Infinity]);
  cluster.access(1, 9, Access.Write);
  cluster.access(2, 0, Access.Write);
  cluster.step(2, { kind: "leave" });
  cluster.flush();
  assertEquals(cluster.log.at(-1), "keep 1>2");
  assertEquals(cluster.node(2).deadline, WAIT_US);
  const { events } = cluster.step(2, { kind: "tick" }, WAIT_US);
  assertEquals(events, [{ kind: "memoryExhausted", page: undefined }]);
});

Deno.test("room: where every node leaves, nothing is taken over", () => {
  const cluster = new ScriptedCluster(3);
  for (const id of [2, 3]) cluster.access(id, id, Access.Write);
  cluster.step(1, { kind: "leave" });
  cluster.step(2, { kind: "leave" });
  // Node 3 still works, and may need what node 2 has.
  cluster.flush();
  assertEquals(cluster.states(2)[0], Exclusive);
  cluster.step(3, { kind: "leave" });
  cluster.flush();
  assert(cluster.log.includes("left 1>3"));
  assertEquals(cluster.states(3)[0], Invalid);
});

Deno.test("room: a home at its limit serves others", () => {
  const cluster = new ScriptedCluster(3, {}, [1, Infinity, Infinity]);
  cluster.access(1, 0, Access.Write);
  cluster.fault(1, 1, Access.Write);
  cluster.access(2, 2, Access.Write);
  cluster.access(3, 2, Access.Read);
  cluster.access(3, 0, Access.Write);
  assertEquals([cluster.states(2)[2], cluster.states(0)[2]], [Shared, Exclusive]);
  // What it gave up is room for what its thread has waited for.
  assertEquals(cluster.states(1)[0], Exclusive);
});

Deno.test("room: a copy is kept while the others that have one leave", () => {
  const cluster = new ScriptedCluster(2, {}, [2]);
  for (const page of [0, 1]) cluster.access(2, page, Access.Write);
  cluster.access(1, 0, Access.Read);
  // While the home takes over page 1, its thread needs room for another page.
  cluster.step(2, { kind: "leave" });
  cluster.deliver(2, 1);
  assertEquals(cluster.link(1, 2).map(({ kind }) => kind), ["forward"]);
  cluster.fault(1, 9, Access.Write);
  cluster.flush();
  assert(cluster.log.includes("left 1>2"));
  const { directory } = cluster.node(1);
  assertEquals([0, 1].map((page) => directory!.copies(page).nodes), [[1], [1]]);
});
