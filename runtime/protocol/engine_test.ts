import { assert, assertEquals, assertFalse } from "@std/assert";
import { PageCache } from "./cache.ts";
import { Directory } from "./directory.ts";
import { Engine, type Input } from "./engine.ts";
import type { GrantMessage, Message, NodeId } from "./messages.ts";
import type { Output } from "./output.ts";
import { Access, PageState } from "./page.ts";

/** Engines with links between them, driven by hand. */
class Cluster {
  readonly engines: Engine[] = [];
  readonly #links = new Map<string, Message[]>();
  /** Every message that was sent, as "kind from>to". */
  readonly log: string[] = [];

  constructor(nodes: number, options: { holdTimeUs?: number; runPages?: number } = {}) {
    const { holdTimeUs = 0, runPages = 1 } = options;
    for (let self = 1; self <= nodes; self++) {
      this.engines.push(new Engine({ self, pageCount: 64, runPages, holdTimeUs }));
      if (self > 1) this.step(1, { kind: "peerJoined", node: self });
    }
  }

  node(id: NodeId): Engine {
    return this.engines[id - 1]!;
  }

  step(id: NodeId, input: Input, now = 0): Output {
    const { operations, messages, events } = this.node(id).step(input, now);
    for (const { to, message } of messages) {
      this.log.push(`${message.kind} ${id}>${to}`);
      this.link(id, to).push(message);
    }
    return { operations, messages, events };
  }

  link(from: NodeId, to: NodeId): Message[] {
    const key = `${from}>${to}`;
    const link = this.#links.get(key) ?? [];
    this.#links.set(key, link);
    return link;
  }

  fault(id: NodeId, page: number, access: Access): Output {
    return this.step(id, { kind: "fault", page, access });
  }

  /** Delivers the first message between two nodes. */
  deliver(from: NodeId, to: NodeId, now = 0): Output {
    const message = this.link(from, to).shift();
    if (message === undefined) throw new Error(`nothing is on its way from ${from} to ${to}`);
    return this.step(to, { kind: "message", from, message }, now);
  }

  /** Delivers until nothing is under way. */
  flush(): void {
    const nodes = this.engines.map((_, index) => index + 1);
    for (let busy = true; busy;) {
      busy = false;
      for (const from of nodes) {
        for (const to of nodes) {
          while (this.link(from, to).length > 0) {
            this.deliver(from, to);
            busy = true;
          }
        }
      }
    }
  }

  /** An access, from its fault until nothing is under way; returns the messages that it took. */
  access(id: NodeId, page: number, access: Access): string[] {
    const start = this.log.length;
    this.fault(id, page, access);
    this.flush();
    return this.log.slice(start);
  }

  states(page: number): PageState[] {
    return this.engines.map((engine) => engine.state(page));
  }
}

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

Deno.test("a node that leaves has its only copies taken over", () => {
  const cluster = new Cluster(3, { runPages: 4 });
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
  const cluster = new Cluster(3);
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

Deno.test("two nodes that leave do not rely on each other", () => {
  const cluster = new Cluster(3);
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
  const cluster = new Cluster(4);
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
  const cluster = new Cluster(3);
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
  const cluster = new Cluster(4);
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
  const cluster = new Cluster(4);
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
  const cluster = new Cluster(4);
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
  const cluster = new Cluster(4);
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

Deno.test("a demand on a page is not met before an earlier one whose time is over", () => {
  const cluster = new Cluster(4, { holdTimeUs: 50 });
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
  assertEquals(cluster.deliver(1, 3, 1050).messages, []);
  const { messages } = cluster.step(3, { kind: "tick" }, 1050);
  assertEquals(messages.map(({ message }) => message.kind), ["acknowledge", "grant"]);
});

Deno.test("a requester that dies before a sharer gave up its copy leaves it that copy", () => {
  const cluster = new Cluster(4, { holdTimeUs: 50 });
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
