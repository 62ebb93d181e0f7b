/** Pages whose homes are on every node: what is asked of which node, and how often. */

import { assertEquals } from "@std/assert";
import { Access, PageState } from "./page.ts";
import { ScriptedCluster } from "../../../tests/support/scripted_cluster.ts";

const { Invalid, Shared, Exclusive } = PageState;
const REGION = { placement: "first-touch", chunkPages: 4 } as const;

Deno.test("Coherence: the first node to touch a chunk asks once, and then nobody", () => {
  const cluster = new ScriptedCluster(3, REGION);
  assertEquals(cluster.access(2, 4, Access.Write), ["locate 2>1", "located 1>2"]);
  for (const page of [5, 6, 7]) assertEquals(cluster.access(2, page, Access.Write), []);
  assertEquals(cluster.states(4), [Invalid, Exclusive, Invalid]);
  assertEquals(cluster.access(1, 0, Access.Write), []);
});

Deno.test("Coherence: a miss costs what it does at the directory node, once its home is known", () => {
  const cluster = new ScriptedCluster(3, REGION);
  for (const page of [4, 5]) cluster.access(2, page, Access.Write);
  assertEquals(cluster.access(3, 4, Access.Read), [
    "locate 3>1",
    "located 1>3",
    "request 3>2",
    "grant 2>3",
  ]);
  assertEquals(cluster.access(3, 5, Access.Read), ["request 3>2", "grant 2>3"]);
  assertEquals(cluster.states(5), [Invalid, Shared, Shared]);
});

Deno.test("Coherence: nodes take turns where chunks are spread, and a home need not be asked first", () => {
  const cluster = new ScriptedCluster(3, { ...REGION, placement: "spread" });
  const homes = [0, 4, 8, 12].map((page) => {
    cluster.access(3, page, Access.Write);
    return cluster.node(1).homes.of(page);
  });
  assertEquals(homes, [1, 2, 3, 1]);
  // Node 2 was told nothing of its chunk, but by the request.
  assertEquals(cluster.node(2).homes.of(4), 2);
  assertEquals(cluster.node(2).directory!.copies(4), { owner: 3, nodes: [3] });
});

Deno.test("Coherence: a run ends where the next page has another home, or one that is not known", () => {
  const cluster = new ScriptedCluster(3, { ...REGION, runPages: 8 });
  cluster.step(2, { kind: "fetch", first: 2, count: 8, access: Access.Write });
  assertEquals(cluster.log, ["locate 2>1", "locate 2>1", "locate 2>1"]);
  cluster.flush();
  assertEquals([1, 2, 9, 10].map((page) => cluster.node(2).state(page)), [
    Invalid,
    Exclusive,
    Exclusive,
    Invalid,
  ]);
});

Deno.test("Coherence: ahead of a walk that writes no home is asked for, and ahead of one that reads it is", () => {
  const options = { ...REGION, runPages: 4, readAhead: true, readAheadMinPages: 2 };
  for (const access of [Access.Read, Access.Write]) {
    const cluster = new ScriptedCluster(3, options);
    for (const page of [0, 1, 2]) cluster.access(3, page, Access.Write);
    const said = [0, 1, 2, 3].flatMap((page) => cluster.access(2, page, access));
    const located = said.filter((message) => message === "locate 2>1").length;
    assertEquals(located, access === Access.Write ? 1 : 2);
    assertEquals(cluster.node(1).homes.of(4), access === Access.Write ? 0 : 2);
  }
});

Deno.test("Coherence: by auto three nodes ask nothing about homes, and their runs reach over chunks", () => {
  const cluster = new ScriptedCluster(3, { ...REGION, placement: "auto", runPages: 8 });
  cluster.step(2, { kind: "fetch", first: 2, count: 8, access: Access.Write });
  assertEquals(cluster.log, ["request 2>1"]);
  cluster.flush();
  assertEquals(cluster.states(9), [Invalid, Exclusive, Invalid]);
  assertEquals([0, 4, 8, 12].map((page) => cluster.node(1).homes.given(page)), [1, 1, 1, 0]);
  assertEquals([0, 4, 8, 12].map((page) => cluster.node(2).homes.given(page)), [1, 1, 1, 0]);
  assertEquals(cluster.access(3, 4, Access.Read), [
    "request 3>1",
    "forward 1>2",
    "grant 2>3",
    "done 3>1",
  ]);
});

Deno.test("Coherence: by auto what a fourth node touches first has its home there, and nothing moves", () => {
  const cluster = new ScriptedCluster(3, { ...REGION, placement: "auto" });
  cluster.access(3, 0, Access.Write);
  cluster.join();
  assertEquals(cluster.access(4, 4, Access.Write), ["locate 4>1", "located 1>4"]);
  assertEquals(cluster.access(3, 8, Access.Write), ["locate 3>1", "located 1>3"]);
  assertEquals(cluster.access(2, 4, Access.Read), [
    "locate 2>1",
    "located 1>2",
    "request 2>4",
    "grant 4>2",
  ]);
  assertEquals(cluster.access(3, 1, Access.Write), ["request 3>1", "grant 1>3"]);
  assertEquals([0, 4, 8, 12].map((page) => cluster.node(1).homes.given(page)), [1, 4, 3, 0]);
  // With three of them left what is asked about has its home at node 1 again.
  cluster.step(1, { kind: "peerLost", node: 2 });
  cluster.flush();
  cluster.access(3, 12, Access.Write);
  assertEquals(cluster.node(1).homes.given(12), 1);
});

Deno.test("Coherence: by auto a request to node 1 for pages of another home is sent there", () => {
  const cluster = new ScriptedCluster(3, { ...REGION, placement: "auto", runPages: 8 });
  cluster.node(1).assignHomes({ first: 4, count: 4 }, 2);
  cluster.step(3, { kind: "fetch", first: 5, count: 6, access: Access.Write });
  cluster.fault(3, 9, Access.Write);
  cluster.flush();
  // The rest of the run goes its own way, as a thread waits for a page of it.
  assertEquals(cluster.log, [
    "request 3>1",
    "located 1>3",
    "request 3>2",
    "request 3>1",
    "grant 1>3",
    "grant 2>3",
  ]);
  assertEquals([5, 7, 8, 9].map((page) => cluster.node(3).state(page)), [
    Exclusive,
    Exclusive,
    Invalid,
    Exclusive,
  ]);
  // A run ends where the next page has another home, though its requester does not know.
  cluster.node(1).assignHomes({ first: 16, count: 4 }, 2);
  cluster.step(3, { kind: "fetch", first: 14, count: 4, access: Access.Write });
  cluster.flush();
  assertEquals([14, 15, 16].map((page) => cluster.node(3).state(page)), [
    Exclusive,
    Exclusive,
    Invalid,
  ]);
});

Deno.test("Coherence: a request that is made anew is told as the same one", () => {
  const told: [string, ...number[]][] = [];
  const cluster = new ScriptedCluster(3, {
    ...REGION,
    placement: "auto",
    requested: (request) => told.push(["requested", request]),
    requestedAnew: (before, request) => told.push(["anew", before, request]),
    served: (request) => told.push(["served", request]),
  });
  cluster.node(1).assignHomes({ first: 4, count: 4 }, 2);
  cluster.access(3, 5, Access.Write);
  assertEquals(told, [["requested", 1], ["anew", 1, 2], ["served", 2]]);
});

Deno.test("Coherence: word of a home tells of the chunks behind that have the same", () => {
  const cluster = new ScriptedCluster(3, REGION);
  for (const page of [0, 4, 8, 16]) cluster.access(2, page, Access.Write);
  cluster.access(3, 12, Access.Write);
  assertEquals(cluster.access(1, 0, Access.Read), ["request 1>2", "grant 2>1"]);
  assertEquals(cluster.access(3, 0, Access.Read), [
    "locate 3>1",
    "located 1>3",
    "request 3>2",
    "grant 2>3",
  ]);
  assertEquals(cluster.access(3, 8, Access.Read), ["request 3>2", "grant 2>3"]);
  assertEquals([4, 16].map((page) => cluster.node(3).homes.given(page)), [2, 0]);
});

Deno.test("Coherence: a home that leaves tells of chunks of which it only heard in the middle of runs", () => {
  const cluster = new ScriptedCluster(3, { ...REGION, runPages: 8 });
  for (const page of [0, 4]) cluster.access(2, page, Access.Write);
  cluster.node(1).assignHomes({ first: 8, count: 8 }, 2);
  cluster.access(3, 8, Access.Write);
  cluster.step(3, { kind: "fetch", first: 9, count: 7, access: Access.Write });
  cluster.flush();
  assertEquals(cluster.node(2).homes.given(12), 2);
  cluster.step(2, { kind: "leave" });
  cluster.flush();
  assertEquals(cluster.node(1).directory!.copies(14), { owner: 3, nodes: [3] });
});

Deno.test("Coherence: a request to a node that is not the home is a breach", () => {
  const cluster = new ScriptedCluster(3, REGION);
  cluster.access(3, 0, Access.Write);
  cluster.access(2, 0, Access.Read);
  const message = { kind: "request", access: Access.Read, first: 0, count: 1, request: 9 } as const;
  for (const node of [1, 2]) {
    const { events } = cluster.step(node, { kind: "message", from: 3, message });
    assertEquals(events.map(({ kind }) => kind), ["violation"]);
  }
});

Deno.test("Coherence: word of a home that was not asked for is a breach", () => {
  const cluster = new ScriptedCluster(2, REGION);
  const message = { kind: "located", first: 0, count: 1, node: 2 } as const;
  const { events } = cluster.step(2, { kind: "message", from: 1, message });
  const reason = "located page 0, which this node did not ask about";
  assertEquals(events, [{ kind: "violation", node: 1, reason }]);
});

Deno.test("Coherence: node 1 takes over from a home that has died, and asks which node has what", () => {
  const cluster = new ScriptedCluster(4, REGION);
  // Node 2 is the home: of page 4 node 3 has the only copy, of page 5 node 2 itself.
  for (const page of [5, 4]) cluster.access(2, page, Access.Write);
  cluster.access(3, 4, Access.Write);
  cluster.step(1, { kind: "peerLost", node: 2 });
  cluster.fault(4, 4, Access.Read);
  cluster.flush();
  assertEquals(cluster.states(4), [Invalid, Invalid, Shared, Shared]);
  assertEquals(cluster.node(1).directory!.copies(4), { owner: 3, nodes: [3, 4] });
  assertEquals(cluster.log.filter((line) => line.startsWith("holds")), ["holds 3>1"]);
  // Whether page 6 was touched, nobody knows.
  for (const page of [5, 6]) {
    cluster.fault(4, page, Access.Read);
    cluster.deliver(4, 1);
    assertEquals(cluster.deliver(1, 4).events, [{ kind: "pageLost", page, node: 2 }]);
    cluster.flush();
  }
});

Deno.test("Coherence: a copy on its way is waited for when its home has died", () => {
  const cluster = new ScriptedCluster(4, REGION);
  cluster.access(2, 4, Access.Write);
  cluster.access(3, 4, Access.Write);
  cluster.fault(4, 4, Access.Write);
  for (const [from, to] of [[4, 1], [1, 4], [4, 2], [2, 3]] as const) cluster.deliver(from, to);
  // Node 3 has sent its only copy to node 4 when their home dies.
  assertEquals(cluster.link(3, 4).map(({ kind }) => kind), ["grant"]);
  cluster.step(1, { kind: "peerLost", node: 2 });
  cluster.deliver(1, 4);
  assertEquals(cluster.link(4, 1).map(({ kind }) => kind), ["drain", "peerLostSeen"]);
  cluster.flush();
  assertEquals(cluster.states(4), [Invalid, Invalid, Invalid, Exclusive]);
  assertEquals(cluster.node(1).directory!.copies(4), { owner: 4, nodes: [4] });
});

Deno.test("Coherence: bytes that a dead home may have begun to send are given back", () => {
  const cluster = new ScriptedCluster(4, { ...REGION, runPages: 2 });
  cluster.step(2, { kind: "fetch", first: 4, count: 2, access: Access.Write });
  cluster.flush();
  // Other nodes have page 5 than page 4, so that node 4, which asks for both, is granted one.
  for (const page of [4, 5]) cluster.access(3, page, Access.Read);
  cluster.access(1, 5, Access.Write);
  cluster.access(2, 5, Access.Read);
  cluster.step(4, { kind: "fetch", first: 4, count: 2, access: Access.Read });
  for (const [from, to] of [[4, 1], [1, 4], [4, 2]] as const) cluster.deliver(from, to);
  cluster.link(2, 4).length = 0;
  cluster.step(1, { kind: "peerLost", node: 2 });
  cluster.flush();
  assertEquals(cluster.node(4).state(4), Shared);
  assertEquals(cluster.node(4).cache.copies.pagesDead, 1);
});

Deno.test("Coherence: a grant that lacks acknowledgements is for reading when its home has died", () => {
  const cluster = new ScriptedCluster(5, REGION);
  cluster.access(2, 4, Access.Write);
  cluster.access(3, 4, Access.Write);
  cluster.access(5, 4, Access.Read);
  cluster.fault(4, 4, Access.Write);
  for (const [from, to] of [[4, 1], [1, 4], [4, 2], [2, 3], [3, 4]] as const) {
    cluster.deliver(from, to);
  }
  // Node 5 was never told to drop its copy.
  cluster.link(2, 5).length = 0;
  cluster.step(1, { kind: "peerLost", node: 2 });
  cluster.deliver(1, 4);
  for (const node of [1, 3, 5]) cluster.deliver(4, node);
  for (const node of [3, 5]) cluster.deliver(1, node);
  for (const node of [1, 3, 5]) cluster.deliver(node, 4);
  assertEquals(cluster.states(4).slice(2), [Invalid, Shared, Shared]);
  cluster.flush();
  assertEquals(cluster.states(4).slice(2), [Invalid, Exclusive, Invalid]);
});

Deno.test("Coherence: a home that leaves hands over what it knows, and nothing is lost", () => {
  const cluster = new ScriptedCluster(3, REGION);
  for (const [node, kind] of [[2, "room"], [3, "room"]] as const) {
    cluster.step(node, { kind, node: 1, pages: Infinity, spare: Infinity });
  }
  for (const page of [4, 5]) cluster.access(2, page, Access.Write);
  cluster.access(3, 5, Access.Write);
  cluster.step(2, { kind: "leave" });
  cluster.flush();
  assertEquals(cluster.log.filter((line) => /^(retire|left|leave)/.test(line)).sort(), [
    "leave 2>1",
    "leave 2>3",
    "left 1>2",
    "left 3>2",
    "retire 2>1",
    "retired 1>2",
    "retired 1>3",
  ]);
  assertEquals(cluster.node(1).directory!.copies(4), { owner: 1, nodes: [1] });
  assertEquals(cluster.node(1).directory!.copies(5), { owner: 3, nodes: [3] });
  // Nobody had touched page 6, and node 1 knows that.
  assertEquals(cluster.access(3, 6, Access.Write), ["request 3>1", "grant 1>3"]);
  assertEquals(cluster.node(3).counters.pagesZero, 1);
});

Deno.test("Coherence: homes leave at the same time, and nothing is lost with them", () => {
  const cluster = new ScriptedCluster(4, REGION);
  const room = { pages: Infinity, spare: Infinity };
  for (const node of [2, 3, 4]) cluster.step(node, { kind: "room", node: 1, ...room });
  for (const [home, page] of [[2, 4], [3, 8], [4, 12]] as const) {
    cluster.access(home, page, Access.Write);
  }
  // Each has the only copy of a page whose home is another.
  for (const [node, page] of [[3, 4], [4, 8], [2, 12]] as const) {
    cluster.access(node, page, Access.Write);
  }
  for (const node of [2, 3, 4]) cluster.step(node, { kind: "leave" });
  cluster.flush();
  assertEquals(cluster.log.filter((line) => line.startsWith("left 1>")).length, 3);
  for (const page of [4, 8, 12]) {
    assertEquals(cluster.node(1).directory!.copies(page), { owner: 1, nodes: [1] });
    assertEquals(cluster.node(1).state(page), Exclusive);
  }
});

Deno.test("Coherence: freed pages are cleared by their homes, and count as cleared behind their word", () => {
  const cluster = new ScriptedCluster(3, REGION);
  const { directory } = cluster.node(1);
  // Node 2 is the home of pages 4 to 7, of which two were touched; pages 8 to 11 have no home.
  for (const page of [4, 5]) cluster.access(2, page, Access.Write);
  cluster.access(3, 5, Access.Write);
  const start = cluster.log.length;
  cluster.clear({ first: 4, count: 8 });
  assertEquals(directory!.isClearing({ first: 4, count: 4 }), true);
  cluster.step(1, { kind: "work" });
  assertEquals(directory!.isClearing({ first: 8, count: 4 }), false);
  assertEquals(cluster.link(1, 2), [{ kind: "clear", first: 4, count: 4 }]);
  cluster.flush();
  assertEquals(cluster.log.slice(start), [
    "clear 1>2",
    "invalidate 2>3",
    "acknowledge 3>2",
    "cleared 2>1",
  ]);
  assertEquals(directory!.isClearing({ first: 4, count: 4 }), false);
  assertEquals(cluster.node(2).directory!.copies(5), { owner: 0, nodes: [] });
  cluster.access(3, 5, Access.Read);
  assertEquals(cluster.node(3).counters.pagesZero, 1);
});

Deno.test("Coherence: a home that does not clear what it is told to keeps no other from clearing", () => {
  const pageCount = 1024;
  const cluster = new ScriptedCluster(3, { ...REGION, pageCount });
  const { directory } = cluster.node(1);
  // Of each chunk one page was touched: by node 2, but for the last two.
  const last = pageCount - 4;
  for (let page = 0; page < last - 4; page += 4) cluster.access(2, page, Access.Write);
  cluster.access(3, last - 4, Access.Write);
  cluster.access(1, last, Access.Write);
  cluster.clear({ first: 0, count: pageCount });
  const work = (): void => {
    while (cluster.node(1).hasWork) cluster.step(1, { kind: "work" });
  };
  const told = (): number => cluster.log.filter((line) => line === "clear 1>2").length;
  work();
  assertEquals(told(), 64);
  assertEquals(directory!.isClearing({ first: last, count: 4 }), false);
  cluster.deliver(1, 3);
  cluster.step(3, { kind: "work" });
  cluster.deliver(3, 1);
  assertEquals(directory!.isClearing({ first: last - 4, count: 8 }), false);
  assertEquals(directory!.isClearing({ first: 0, count: 4 }), true);
  // It is told of more when it has done half.
  for (let done = 0; done < 32; done++) {
    cluster.deliver(1, 2);
    cluster.step(2, { kind: "work" });
    assertEquals(told(), 64);
    cluster.deliver(2, 1);
    work();
  }
  assertEquals(told(), 96);
  cluster.flush();
  assertEquals(directory!.isClearing({ first: 0, count: pageCount }), false);
});

Deno.test("Coherence: demands on behalf of nodes that nobody has heard of are bounded", () => {
  const cluster = new ScriptedCluster(2, REGION);
  cluster.access(1, 0, Access.Write);
  cluster.access(2, 0, Access.Read);
  const early = {
    kind: "invalidate",
    first: 0,
    count: 1,
    requester: 9,
    request: 1,
  } as const;
  const input = { kind: "message", from: 1, message: early } as const;
  for (let count = 0; count < 65_536; count++) {
    assertEquals(cluster.node(2).step(input, 0).events, []);
  }
  const { events } = cluster.step(2, input);
  assertEquals(events, [{
    kind: "violation",
    node: 1,
    reason: "more than 65536 demands on behalf of nodes not heard of",
  }]);
});

Deno.test("Coherence: node 1 clears what it has told a home to that has died", () => {
  const cluster = new ScriptedCluster(3, REGION);
  const { directory } = cluster.node(1);
  cluster.access(2, 4, Access.Write);
  cluster.access(3, 4, Access.Write);
  cluster.clear({ first: 4, count: 1 });
  cluster.step(1, { kind: "work" });
  cluster.link(1, 2).length = 0;
  cluster.step(1, { kind: "peerLost", node: 2 });
  assertEquals(directory!.isClearing({ first: 4, count: 1 }), true);
  cluster.flush();
  assertEquals(directory!.isClearing({ first: 4, count: 1 }), false);
  assertEquals(cluster.states(4), [Invalid, Invalid, Invalid]);
});

Deno.test("Coherence: word of a clear that was not told to a home is a breach, and so is one from elsewhere", () => {
  const cluster = new ScriptedCluster(3, REGION);
  cluster.access(2, 4, Access.Write);
  const run = { first: 4, count: 1 };
  for (
    const [to, from, message] of [
      [1, 2, { kind: "cleared", ...run }],
      [2, 3, { kind: "clear", ...run }],
      [3, 2, { kind: "cleared", ...run }],
      // Pages 8 and on have another home, or none.
      [2, 1, { kind: "clear", first: 4, count: 5 }],
    ] as const
  ) {
    const { events } = cluster.step(to, { kind: "message", from, message });
    assertEquals(events.map(({ kind }) => kind), ["violation"]);
  }
});

Deno.test("Coherence: what a node has of the pages of a home that died is told in parts, and served in parts", () => {
  const cluster = new ScriptedCluster(3, { ...REGION, workPages: 4 });
  for (const page of [4, 8, 12]) {
    cluster.access(2, page, Access.Write);
    cluster.access(3, page, Access.Read);
  }
  cluster.step(1, { kind: "peerLost", node: 2 });
  cluster.deliver(1, 3);
  const told = () => cluster.link(3, 1).map(({ kind }) => kind).filter((kind) => kind !== "drain");
  assertEquals(told(), ["holds", "peerLostSeen"]);
  assertEquals(cluster.node(3).hasWork, true);
  cluster.step(3, { kind: "work" });
  cluster.step(3, { kind: "work" });
  assertEquals(told(), ["holds", "peerLostSeen", "holds", "holds", "reported"]);
  assertEquals(cluster.node(3).hasWork, false);
  const { directory } = cluster.node(1);
  // Node 1 tells itself in parts as well.
  while (cluster.node(1).hasWork) cluster.step(1, { kind: "work" });
  while (cluster.link(3, 1).length > 0) cluster.deliver(3, 1);
  assertEquals([4, 8, 12].map((page) => directory!.busy(page)), [true, true, false]);
  cluster.flush();
  assertEquals([4, 8, 12].map((page) => directory!.busy(page)), [false, false, false]);
  assertEquals([4, 8, 12].map((page) => directory!.copies(page).nodes), [[3], [3], [3]]);
});
