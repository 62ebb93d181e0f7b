import { assertEquals } from "@std/assert";
import { ScriptedCluster } from "../../../tests/support/scripted_cluster.ts";
import { PageCache } from "./cache.ts";
import { Directory } from "./directory.ts";
import { Coherence } from "./coherence.ts";
import { ChunkHomes } from "./chunk_homes.ts";
import { HomeMoves } from "./home_moves.ts";
import type { Message } from "./messages.ts";
import { Access, PageState, permits } from "./page.ts";

const { Invalid, Shared, Exclusive } = PageState;

Deno.test("Coherence: the first access makes a page exclusive, without bytes", () => {
  const cluster = new ScriptedCluster(2);
  assertEquals(cluster.access(2, 5, Access.Read), ["request 2>1", "grant 1>2"]);
  assertEquals(cluster.states(5), [Invalid, Exclusive]);
  assertEquals(cluster.node(2).counters.pagesZero, 1);
  assertEquals(cluster.node(1).directory!.copies(5), { owner: 2, nodes: [2] });
});

Deno.test("Coherence: a read leaves the owner a copy to read, a write leaves it none", () => {
  const cluster = new ScriptedCluster(3);
  cluster.access(2, 0, Access.Write);
  cluster.access(3, 0, Access.Read);
  assertEquals(cluster.states(0), [Invalid, Shared, Shared]);
  cluster.access(1, 0, Access.Write);
  assertEquals(cluster.states(0), [Exclusive, Invalid, Invalid]);
});

Deno.test("Coherence: a node that has a page to read gets the right to write without bytes", () => {
  const cluster = new ScriptedCluster(3);
  cluster.access(2, 0, Access.Write);
  cluster.access(3, 0, Access.Read);
  const received = cluster.node(3).counters.pagesReceived;
  assertEquals(cluster.access(3, 0, Access.Write), [
    "request 3>1",
    "grant 1>3",
    "invalidate 1>2",
    "acknowledge 2>3",
    "done 3>1",
  ]);
  assertEquals(cluster.node(3).counters.pagesReceived, received);
  assertEquals(cluster.states(0), [Invalid, Invalid, Exclusive]);
});

Deno.test("Coherence: a read miss takes three hops, or two with the home, with any number of nodes", () => {
  for (const nodes of [3, 4, 8, 16, 32, 33, 64]) {
    const cluster = new ScriptedCluster(nodes);
    const last = nodes;
    cluster.access(2, 0, Access.Write);
    assertEquals(cluster.access(last, 0, Access.Read), [
      `request ${last}>1`,
      "forward 1>2",
      `grant 2>${last}`,
      `done ${last}>1`,
    ]);
    assertEquals(cluster.access(1, 0, Access.Read), ["forward 1>2", "grant 2>1"]);
    cluster.access(1, 1, Access.Write);
    const direct = [`request ${last}>1`, `grant 1>${last}`];
    assertEquals(cluster.access(last, 1, Access.Read), direct);
  }
});

Deno.test("Coherence: a write miss costs two messages more for each other node that has a copy", () => {
  for (const nodes of [3, 4, 33, 64]) {
    const cluster = new ScriptedCluster(nodes);
    cluster.access(2, 0, Access.Write);
    for (let node = 3; node < nodes; node++) cluster.access(node, 0, Access.Read);
    const messages = cluster.access(nodes, 0, Access.Write);
    assertEquals(messages.length, 4 + 2 * (nodes - 3));
    const expected: PageState[] = Array(nodes).fill(Invalid);
    expected[nodes - 1] = Exclusive;
    assertEquals(cluster.states(0), expected);
  }
});

Deno.test("Coherence: sequential misses ask for longer and longer runs", () => {
  const cluster = new ScriptedCluster(2, { runPages: 8 });
  for (let page = 0; page < 64; page++) cluster.access(2, page, Access.Write);
  assertEquals(cluster.node(2).counters.pagesZero, 64);
  let misses = 0;
  for (let page = 0; page < 64; page++) {
    if (cluster.node(1).state(page) === Invalid) {
      cluster.access(1, page, Access.Read);
      misses++;
    }
  }
  // 1 + 2 + 4 + 8 + 8 + …
  assertEquals(misses, 11);
});

Deno.test("Coherence: a held page is given up when its time is over", () => {
  const cluster = new ScriptedCluster(3, { holdTimeUs: 50 });
  cluster.fault(2, 0, Access.Write);
  cluster.deliver(2, 1, 100);
  cluster.deliver(1, 2, 100);
  cluster.fault(3, 0, Access.Write);
  cluster.deliver(3, 1, 110);
  assertEquals(cluster.deliver(1, 2, 120).messages, []);
  assertEquals(cluster.node(2).deadline, 150);
  assertEquals(cluster.step(2, { kind: "tick" }, 149).messages, []);
  const { operations, messages } = cluster.step(2, { kind: "tick" }, 150);
  assertEquals(operations, [{ kind: "evict", first: 0, count: 1 }]);
  assertEquals(messages.map(({ to, message }) => [to, message.kind]), [[3, "grant"]]);
  assertEquals(cluster.node(2).deadline, Infinity);
});

Deno.test("Coherence: an upgrade that comes too late gets the bytes", () => {
  const cluster = new ScriptedCluster(3);
  cluster.access(2, 0, Access.Write);
  cluster.access(3, 0, Access.Read);
  cluster.fault(2, 0, Access.Write);
  cluster.fault(3, 0, Access.Write);
  cluster.deliver(3, 1);
  cluster.deliver(2, 1);
  cluster.flush();
  assertEquals(cluster.states(0), [Invalid, Exclusive, Invalid]);
  assertEquals(cluster.node(2).counters.pagesReceived, 1);
});

Deno.test("Coherence: nodes may only say what their part in the protocol lets them say", () => {
  const cluster = new ScriptedCluster(3);
  const demand = { first: 0, count: 1, requester: 3, request: 1 } as const;
  const messages: Message[] = [
    { kind: "invalidate", ...demand },
    { kind: "forward", access: Access.Read, ...demand, invalidated: [] },
    { kind: "request", access: Access.Read, first: 0, count: 1, request: 1 },
    { kind: "peerLost", node: 1 },
    { kind: "left" },
  ];
  for (const message of messages) {
    const { events } = cluster.step(2, { kind: "message", from: 3, message });
    const reason = `${message.kind} from a node that may not send it`;
    assertEquals(events, [{ kind: "violation", node: 3, reason }]);
  }
});

Deno.test("Coherence: is made of the parts it is given", () => {
  class Counting extends PageCache {
    faultsSeen = 0;
    override fault(page: number, access: Access, now: number): void {
      this.faultsSeen++;
      super.fault(page, access, now);
    }
  }
  const options = { self: 1, pageCount: 1, runPages: 1, holdTimeUs: 0 };
  const engine = new Coherence(options, { PageCache: Counting, Directory, HomeMoves, ChunkHomes });
  const output = engine.step({ kind: "fault", page: 0, access: Access.Write }, 0);
  assertEquals(output.operations, [{ kind: "installZero", first: 0, count: 1 }]);
  assertEquals(output.messages, []);
  assertEquals((engine.cache as Counting).faultsSeen, 1);
});

/** A node reads the page, then writes it; the kinds of the messages that both took. */
function readAndWrite(cluster: ScriptedCluster, node: number, page = 0): string[] {
  const start = cluster.log.length;
  for (const access of [Access.Read, Access.Write]) {
    const allowed = cluster.node(node).state(page);
    if (!permits(allowed, access)) cluster.access(node, page, access);
  }
  return cluster.log.slice(start).map((line) => line.split(" ")[0]!);
}

Deno.test("Coherence: a page that two nodes in turn read and write takes one transaction a turn", () => {
  const two = ["request", "forward", "grant", "done", "request", "grant", "invalidate"];
  const turn = [...two, "acknowledge", "done"];
  for (const migration of [false, true]) {
    const cluster = new ScriptedCluster(3, { migration });
    cluster.access(2, 0, Access.Write);
    assertEquals(readAndWrite(cluster, 3), turn);
    const turns = [2, 3, 2].map((node) => readAndWrite(cluster, node));
    assertEquals(turns, Array(3).fill(migration ? ["request", "forward", "grant", "done"] : turn));
    // Three hand-overs are used up: the page has to prove that it migrates, and then has seven.
    assertEquals(readAndWrite(cluster, 3), turn);
    for (let count = 0; count < 7; count++) {
      assertEquals(readAndWrite(cluster, 2 + count % 2).length, migration ? 4 : 9);
    }
    assertEquals(readAndWrite(cluster, 3).length, 9);
  }
});

Deno.test("Coherence: what several nodes read is not handed over, nor what one writes and another reads", () => {
  const cluster = new ScriptedCluster(4, { migration: true });
  const { Read, Write } = Access;
  cluster.access(2, 0, Write);
  for (let round = 0; round < 3; round++) {
    cluster.access(3, 0, Read);
    assertEquals(cluster.states(0), [Invalid, Shared, Shared, Invalid]);
    cluster.access(2, 0, Write);
  }
  readAndWrite(cluster, 3);
  // It was seen to migrate; once that is used up, three nodes read it.
  for (const node of [2, 3, 2]) cluster.access(node, 0, Read);
  for (const node of [3, 4]) cluster.access(node, 0, Read);
  cluster.access(4, 0, Write);
  cluster.access(2, 0, Read);
  assertEquals(cluster.states(0), [Invalid, Shared, Invalid, Shared]);
});

Deno.test("Coherence: a run joins no page that is handed over with one that is not", () => {
  const cluster = new ScriptedCluster(3, { migration: true, runPages: 8 });
  for (const page of [0, 1, 2, 3]) cluster.access(2, page, Access.Write);
  for (const page of [2, 1]) readAndWrite(cluster, 3, page);
  for (const page of [0, 3]) cluster.access(3, page, Access.Write);
  const access = Access.Read;
  cluster.step(2, { kind: "fetch", first: 0, count: 4, access });
  cluster.flush();
  assertEquals(cluster.states(0), [Invalid, Shared, Shared]);
  cluster.step(2, { kind: "fetch", first: 1, count: 3, access });
  cluster.flush();
  for (const page of [1, 2]) assertEquals(cluster.states(page), [Invalid, Exclusive, Invalid]);
  assertEquals(cluster.states(3), [Invalid, Invalid, Exclusive]);
});

Deno.test("Coherence: a reader that dies with a page that was handed over to it takes it along", () => {
  const cluster = new ScriptedCluster(4, { migration: true });
  cluster.access(2, 0, Access.Write);
  readAndWrite(cluster, 3);
  cluster.fault(4, 0, Access.Read);
  cluster.deliver(4, 1);
  cluster.deliver(1, 3);
  cluster.step(1, { kind: "peerLost", node: 4 });
  cluster.link(3, 4).length = 0;
  cluster.flush();
  cluster.fault(2, 0, Access.Read);
  cluster.deliver(2, 1);
  assertEquals(cluster.deliver(1, 2).events, [{ kind: "pageLost", page: 0, node: 4 }]);
});

Deno.test("Coherence: a held page is given up once the thread that waited for it has run", () => {
  const cluster = new ScriptedCluster(3, { holdTimeUs: 1000 });
  cluster.access(2, 0, Access.Write);
  assertEquals(cluster.node(2).awaitedPages, []);
  cluster.fault(3, 0, Access.Write);
  cluster.flush();
  assertEquals([cluster.node(2).awaitedPages, cluster.node(2).deadline], [[0], 1000]);
  const { operations, messages } = cluster.step(2, { kind: "resumed", page: 0 }, 1);
  assertEquals(operations, [{ kind: "evict", first: 0, count: 1 }]);
  assertEquals(messages.map(({ to, message }) => [to, message.kind]), [[3, "grant"]]);
  assertEquals(cluster.node(2).deadline, Infinity);
});
