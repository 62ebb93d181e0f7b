import { assertEquals } from "@std/assert";
import { Cluster } from "../../tests/simulator/cluster.ts";
import { PageCache } from "./cache.ts";
import { Directory } from "./directory.ts";
import { Engine } from "./engine.ts";
import type { Message } from "./messages.ts";
import { Access, PageState } from "./page.ts";

const { Invalid, Shared, Exclusive } = PageState;

Deno.test("the first access makes a page exclusive, without bytes", () => {
  const cluster = new Cluster(2);
  assertEquals(cluster.access(2, 5, Access.Read), ["request 2>1", "grant 1>2", "done 2>1"]);
  assertEquals(cluster.states(5), [Invalid, Exclusive]);
  assertEquals(cluster.node(2).counters.pagesZero, 1);
  assertEquals(cluster.node(1).directory!.copies(5), { owner: 2, nodes: [2] });
});

Deno.test("a read leaves the owner a copy to read, a write leaves it none", () => {
  const cluster = new Cluster(3);
  cluster.access(2, 0, Access.Write);
  cluster.access(3, 0, Access.Read);
  assertEquals(cluster.states(0), [Invalid, Shared, Shared]);
  cluster.access(1, 0, Access.Write);
  assertEquals(cluster.states(0), [Exclusive, Invalid, Invalid]);
});

Deno.test("a node that has a page to read gets the right to write without bytes", () => {
  const cluster = new Cluster(3);
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

Deno.test("a read miss takes three hops, or two with the home, with any number of nodes", () => {
  for (const nodes of [3, 4, 8, 16, 32, 33, 64]) {
    const cluster = new Cluster(nodes);
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
    const direct = [`request ${last}>1`, `grant 1>${last}`, `done ${last}>1`];
    assertEquals(cluster.access(last, 1, Access.Read), direct);
  }
});

Deno.test("a write miss costs two messages more for each other node that has a copy", () => {
  for (const nodes of [3, 4, 33, 64]) {
    const cluster = new Cluster(nodes);
    cluster.access(2, 0, Access.Write);
    for (let node = 3; node < nodes; node++) cluster.access(node, 0, Access.Read);
    const messages = cluster.access(nodes, 0, Access.Write);
    assertEquals(messages.length, 4 + 2 * (nodes - 3));
    const expected: PageState[] = Array(nodes).fill(Invalid);
    expected[nodes - 1] = Exclusive;
    assertEquals(cluster.states(0), expected);
  }
});

Deno.test("sequential misses ask for longer and longer runs", () => {
  const cluster = new Cluster(2, { runPages: 8 });
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

Deno.test("a held page is given up when its time is over", () => {
  const cluster = new Cluster(3, { holdTimeUs: 50 });
  cluster.fault(2, 0, Access.Write);
  cluster.deliver(2, 1, 100);
  cluster.deliver(1, 2, 100);
  cluster.deliver(2, 1, 100);
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

Deno.test("an upgrade that comes too late gets the bytes", () => {
  const cluster = new Cluster(3);
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

Deno.test("nodes may only say what their part in the protocol lets them say", () => {
  const cluster = new Cluster(3);
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

Deno.test("an engine is made of the parts it is given", () => {
  class Counting extends PageCache {
    faultsSeen = 0;
    override fault(page: number, access: Access): void {
      this.faultsSeen++;
      super.fault(page, access);
    }
  }
  const options = { self: 1, pageCount: 1, runPages: 1, holdTimeUs: 0 };
  const engine = new Engine(options, { PageCache: Counting, Directory });
  const output = engine.step({ kind: "fault", page: 0, access: Access.Write }, 0);
  assertEquals(output.operations, [{ kind: "installZero", first: 0, count: 1 }]);
  assertEquals(output.messages, []);
  assertEquals((engine.cache as Counting).faultsSeen, 1);
});
