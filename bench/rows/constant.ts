/**
 * What the protocol costs when much is under way: transactions of others, requests that wait,
 * requests of the same node. Measured on the state machines alone, without messages and memory.
 */

import { PageCache } from "../../runtime/protocol/coherence/cache.ts";
import { Coherence, type Input } from "../../runtime/protocol/coherence/coherence.ts";
import { Directory } from "../../runtime/protocol/coherence/directory.ts";
import { Content, type NodeId } from "../../runtime/protocol/coherence/messages.ts";
import { Outbox } from "../../runtime/protocol/coherence/output.ts";
import { Access, permits } from "../../runtime/protocol/coherence/page.ts";
import { atMost, type Family, ONCE } from "../family.ts";

const PAGES = 2 ** 24;
const RUN_PAGES = 128;
const NODES = 40;
/** How many operations make one sample: many, since the kernel counts time by the tick. */
const OPERATIONS = 40_000;
/** How many queues are drained for one sample. */
const DRAINS = 8;
/** The two pages between the pages that are used: so no run grows. */
const STRIDE = 2;
/** The pages that one node writes and another one reads for one sample. */
const WALK_PAGES = 2 ** 15;
/** Odd, and far from every small number: all pages are touched with it, each far from the last. */
const WALK_STRIDE = 20_231;

/** A home with its members, and nothing to tell it. */
class Home {
  readonly directory: Directory;
  readonly #outbox = new Outbox();
  #request = 0;

  constructor() {
    const options = { self: 1, pageCount: PAGES, runPages: RUN_PAGES, migration: true };
    this.directory = new Directory(options, this.#outbox, {
      room: { pages: Infinity, spare: Infinity },
      hasDeclined: false,
      lacks: () => undefined,
      adopt() {},
    });
    for (let node = 1; node <= NODES; node++) this.directory.peerJoined(node);
  }

  /** A node asks to write a page; returns the number of its request. */
  ask(node: NodeId, first: number): number {
    const request = ++this.#request;
    const message = { kind: "request", access: Access.Write, first, count: 1, request } as const;
    this.directory.request(node, message);
    this.#outbox.messages.length = 0;
    return request;
  }

  /** That node has the page. */
  end(node: NodeId, first: number, request: number): void {
    this.directory.done(node, { kind: "done", first, count: 1, request, lost: false });
    this.#outbox.messages.length = 0;
  }
}

/**
 * How long this thread has had a core, in microseconds: what others compute meanwhile is not in it.
 */
function cpuUs(): number {
  return Number(Deno.readTextFileSync("/proc/thread-self/schedstat").split(" ", 1)[0]) / 1_000;
}

/** How long this thread has waited for a core that another one had, in milliseconds. */
function delayMs(): number {
  return Number(Deno.readTextFileSync("/proc/thread-self/schedstat").split(" ", 2)[1]) / 1e6;
}

/** The time of one of some operations that are made in a row, in microseconds. */
function timed(times: number, operate: (index: number) => void): number {
  const begun = cpuUs();
  for (let index = 0; index < times; index++) operate(index);
  return (cpuUs() - begun) / times;
}

/** Two nodes take pages from each other while transactions on other pages are under way. */
function requests(underWay: number): () => number {
  const home = new Home();
  const page = (index: number) => index * STRIDE;
  for (let index = 0; index < underWay + 100; index++) home.ask(3, page(index));
  for (let index = 0; index < underWay; index++) home.ask(2, page(index));
  let turn = 0;
  return () => {
    return timed(OPERATIONS, (index) => {
      const first = page(underWay + index % 100);
      if (index % 100 === 0) turn++;
      const node = 4 + turn % 2;
      home.end(node, first, home.ask(node, first));
    });
  };
}

/** Requests to write one page wait, and are served one after the other; in milliseconds for all. */
function drain(waiting: number): number {
  const homes = Array.from({ length: DRAINS }, () => {
    const home = new Home();
    home.ask(3, 0);
    const asked: [NodeId, number][] = [[2, home.ask(2, 0)]];
    for (let index = 0; index < waiting; index++) {
      const node = 4 + index % (NODES - 4);
      asked.push([node, home.ask(node, 0)]);
    }
    return { home, asked };
  });
  const begun = cpuUs();
  for (const { home, asked } of homes) {
    for (const [node, request] of asked) home.end(node, 0, request);
  }
  return (cpuUs() - begun) / 1_000 / DRAINS;
}

/** A node misses a page and gives it up while other requests of it are under way. */
function misses(underWay: number): () => number {
  const outbox = new Outbox();
  const options = { self: 2, pageCount: PAGES, runPages: RUN_PAGES, holdTimeUs: 0 };
  const cache = new PageCache(options, outbox);
  const page = (index: number) => index * 1_000;
  for (let index = 0; index < underWay; index++) cache.fault(page(index), Access.Read, 0);
  outbox.messages.length = 0;
  return () => {
    return timed(OPERATIONS, (index) => {
      const first = page(index % 1_000) + 500;
      cache.fault(first, Access.Read, 0);
      const asked = outbox.messages[0]!.message;
      if (asked.kind !== "request") throw new Error(`a fault led to ${asked.kind}`);
      const { request } = asked;
      const run = { first, count: 1, request };
      const content = Content.Data;
      const access = Access.Read;
      cache.grant(1, { kind: "grant", access, content, invalidated: [], lostNode: 0, ...run }, 0);
      cache.demand({ kind: "invalidate", first, count: 1, requester: 3, request: 1 }, 0);
      outbox.messages.length = 0;
      outbox.operations.length = 0;
    });
  };
}

/** A home and another node, whose messages arrive at once. */
class Pair {
  readonly #nodes: Coherence[];

  constructor() {
    const options = {
      self: 1,
      pageCount: PAGES,
      runPages: RUN_PAGES,
      holdTimeUs: 0,
      migration: true,
    };
    this.#nodes = [1, 2].map((self) => new Coherence({ ...options, self }));
    this.#step(1, { kind: "peerJoined", node: 2 });
  }

  /** The home writes all pages and the other node reads them, in steps of so many; us a page. */
  walk(stride: number): number {
    const begun = cpuUs();
    for (const [self, access] of [[1, Access.Write], [2, Access.Read]] as const) {
      const node = this.#nodes[self - 1]!;
      for (let index = 0; index < WALK_PAGES; index++) {
        const page = index * stride % WALK_PAGES;
        if (!permits(node.state(page), access)) this.#step(self, { kind: "fault", page, access });
      }
    }
    return (cpuUs() - begun) / WALK_PAGES;
  }

  #step(self: NodeId, input: Input): void {
    for (const { to, message } of this.#nodes[self - 1]!.step(input, 0).messages) {
      this.#step(to, { kind: "message", from: self, message });
    }
  }
}

/**
 * The longest that a home is occupied in one go with the death of a node that has many pages; in
 * ms.
 */
function death(pages: number): number {
  const outbox = new Outbox();
  const directory = new Directory({ self: 1, pageCount: 2 ** 28, runPages: RUN_PAGES }, outbox, {
    room: { pages: Infinity, spare: Infinity },
    hasDeclined: false,
    lacks: () => undefined,
    adopt() {},
  });
  for (let node = 1; node <= 3; node++) directory.peerJoined(node);
  for (let first = 0; first < pages; first += RUN_PAGES) {
    const run = { first, count: RUN_PAGES, request: first };
    directory.request(3, { kind: "request", access: Access.Write, ...run });
    outbox.messages.length = 0;
  }
  const parts: number[] = [];
  const part = (act: () => void) => {
    const begun = [performance.now(), delayMs()] as const;
    act();
    parts.push(performance.now() - begun[0] - (delayMs() - begun[1]));
  };
  part(() => directory.peerLost(3));
  while (directory.hasWork) part(() => directory.work());
  return Math.max(...parts);
}

/** The longest parts of what is done in many. */
export const departures: Family = {
  name: "departures",
  rows: [
    {
      id: "death-10m",
      title: "a death with 10 million pages: the longest of its parts",
      unit: "ms",
      goal: atMost(10),
    },
    {
      id: "death-33m",
      title: "a death with 33 million pages, the same",
      unit: "ms",
      goal: atMost(10),
    },
  ],
  rounds: { full: 3, quick: 1, warmUp: false },
  columns: ONCE,
  // deno-lint-ignore require-await
  async open() {
    // deno-lint-ignore require-await
    const sample = (pages: number) => async () => [death(pages)];
    return { take: { "death-10m": sample(10_000_000), "death-33m": sample(2 ** 25) } };
  },
};

/** The state machines under load. */
export const constant: Family = {
  name: "constant",
  rows: [
    { id: "request-10", title: "a request, 10 transactions under way", unit: "us" },
    {
      id: "request-10000",
      title: "a request, 10,000 transactions under way",
      unit: "us",
      against: [{ row: "request-10", goal: atMost(1.5) }],
    },
    { id: "drain-4000", title: "4,000 requests that wait for one page are served", unit: "ms" },
    {
      id: "drain-16000",
      title: "16,000 requests that wait for one page are served",
      unit: "ms",
      against: [{ row: "drain-4000", goal: atMost(6) }],
    },
    { id: "pending-1", title: "a miss, one other request of the node under way", unit: "us" },
    {
      id: "pending-1000",
      title: "a miss, 1,000 other requests of the node under way",
      unit: "us",
      against: [{ row: "pending-1", goal: atMost(1.5) }],
    },
    {
      id: "page-missed",
      title: "a page written at home and read elsewhere, each a miss",
      unit: "us",
    },
    {
      id: "page-scanned",
      title: "the same in runs of 128 pages, a page",
      unit: "us",
      against: [{ row: "page-missed", goal: atMost(0.05) }],
    },
  ],
  rounds: { full: 15, quick: 5, warmUp: true },
  columns: ONCE,
  // deno-lint-ignore require-await
  async open() {
    const few = requests(10);
    const many = requests(10_000);
    const alone = misses(1);
    const crowded = misses(1_000);
    const missed = new Pair();
    const scanned = new Pair();
    // deno-lint-ignore require-await
    const sample = (take: () => number) => async () => [take()];
    return {
      take: {
        "request-10": sample(few),
        "request-10000": sample(many),
        "drain-4000": sample(() => drain(4_000)),
        "drain-16000": sample(() => drain(16_000)),
        "pending-1": sample(alone),
        "pending-1000": sample(crowded),
        "page-missed": sample(() => missed.walk(WALK_STRIDE)),
        "page-scanned": sample(() => scanned.walk(1)),
      },
    };
  },
};
