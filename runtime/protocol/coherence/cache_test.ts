import { assert, assertEquals, assertFalse, assertMatch } from "@std/assert";
import { PageCache } from "./cache.ts";
import { Content, type GrantMessage, type NodeId } from "./messages.ts";
import { Outbox } from "./output.ts";
import { Access, PageState } from "./page.ts";

const PAGES = 100;

function setUp(options: { runPages?: number; holdTimeUs?: number } = {}) {
  const outbox = new Outbox();
  const { runPages = 4, holdTimeUs = 0 } = options;
  const cache = new PageCache({ self: 2, pageCount: PAGES, runPages, holdTimeUs }, outbox);
  /** What came out since the last time. */
  const take = () => {
    const { operations, messages, events } = outbox;
    outbox.operations = [];
    outbox.messages = [];
    outbox.events = [];
    return { operations, messages, events };
  };
  return { cache, take };
}

function grantOf(
  first: number,
  count: number,
  request: number,
  rest: Partial<GrantMessage> = {},
): GrantMessage {
  return {
    kind: "grant",
    access: Access.Read,
    content: Content.Data,
    first,
    count,
    request,
    invalidated: [],
    lostNode: 0,
    ...rest,
  };
}

function requestOf(access: Access, first: number, count: number, request: number) {
  return { to: 1, message: { kind: "request", access, first, count, request } };
}

Deno.test("PageCache: a fault asks for its page once, however often it is told", () => {
  const { cache, take } = setUp();
  for (let time = 0; time < 3; time++) cache.fault(7, Access.Read, 0);
  assertEquals(take().messages, [requestOf(Access.Read, 7, 1, 1)]);
});

Deno.test("PageCache: a fault on a page that is here maps it again, as far as it is allowed", () => {
  const { cache, take } = setUp();
  cache.fault(7, Access.Read, 0);
  cache.grant(3, grantOf(7, 1, 1), 0);
  take();
  cache.fault(7, Access.Read, 0);
  assertEquals(take(), {
    operations: [{ kind: "install", first: 7, count: 1, writable: false }],
    messages: [],
    events: [],
  });
  assertEquals(cache.counters.staleFaults, 1);
});

Deno.test("PageCache: a write that waits for a read asks again when only the read is granted", () => {
  const { cache, take } = setUp();
  cache.fault(7, Access.Read, 0);
  cache.fault(7, Access.Write, 0);
  cache.grant(3, grantOf(7, 1, 1), 0);
  const done = { kind: "done", first: 7, count: 1, request: 1, lost: false };
  assertEquals(take().messages.slice(1), [
    { to: 1, message: done },
    requestOf(Access.Write, 7, 1, 2),
  ]);
});

Deno.test("PageCache: pages that are fetched are asked for in runs, without those that are here", () => {
  const { cache, take } = setUp();
  cache.fault(3, Access.Read, 0);
  cache.grant(3, grantOf(3, 1, 1), 0);
  take();
  cache.fetch(0, 10, Access.Read);
  assertEquals(take().messages, [
    requestOf(Access.Read, 0, 3, 2),
    requestOf(Access.Read, 4, 4, 3),
    requestOf(Access.Read, 8, 2, 4),
  ]);
});

Deno.test("PageCache: a run ends where the region ends", () => {
  const { cache, take } = setUp();
  for (const page of [PAGES - 2, PAGES - 1]) cache.fault(page, Access.Write, 0);
  assertEquals(take().messages, [
    requestOf(Access.Write, PAGES - 2, 1, 1),
    requestOf(Access.Write, PAGES - 1, 1, 2),
  ]);
});

Deno.test("PageCache: a grant takes effect when the last acknowledgement is here, in any order", () => {
  for (const early of [true, false]) {
    const { cache, take } = setUp();
    cache.fault(7, Access.Write, 0);
    const grant = grantOf(7, 1, 1, { access: Access.Write, invalidated: [3, 4] });
    const acknowledge = (from: NodeId) =>
      cache.acknowledge(from, { kind: "acknowledge", first: 7, count: 1, request: 1 }, 0);
    acknowledge(4);
    if (early) acknowledge(3);
    cache.grant(5, grant, 0);
    if (!early) {
      assertEquals(cache.state(7), PageState.Invalid);
      acknowledge(3);
    }
    assertEquals(take().operations, [{ kind: "install", first: 7, count: 1, writable: true }]);
    assertEquals(cache.state(7), PageState.Exclusive);
  }
});

Deno.test("PageCache: no grant waits for the acknowledgement of a node that is gone", () => {
  const { cache } = setUp();
  cache.fault(7, Access.Write, 0);
  cache.grant(5, grantOf(7, 1, 1, { access: Access.Write, invalidated: [3] }), 0);
  assertEquals(cache.state(7), PageState.Invalid);
  cache.peerLost(3, 0);
  assertEquals(cache.state(7), PageState.Exclusive);
});

Deno.test("PageCache: nodes that are gone are forgotten with the last request from before", () => {
  class OpenCache extends PageCache {
    get remembered(): NodeId[] {
      return [...this.gone.keys()];
    }
  }
  const options = { self: 2, pageCount: PAGES, runPages: 4, holdTimeUs: 0 };
  const cache = new OpenCache(options, new Outbox());
  cache.peerLost(3, 0);
  assertEquals(cache.remembered, []);
  cache.fault(7, Access.Write, 0);
  cache.peerLost(4, 0);
  cache.fault(9, Access.Write, 0);
  cache.peerLost(5, 0);
  assertEquals(cache.remembered, [4, 5]);
  cache.grant(6, grantOf(7, 1, 1, { access: Access.Write, invalidated: [4] }), 0);
  assertEquals(cache.remembered, [5]);
  cache.grant(6, grantOf(9, 1, 2, { access: Access.Write }), 0);
  assertEquals(cache.remembered, []);
});

Deno.test("PageCache: bytes are accepted only for a request of this node that has none yet", () => {
  const { cache } = setUp();
  cache.fault(7, Access.Write, 0);
  const grant = grantOf(7, 1, 1, { access: Access.Write, invalidated: [3] });
  assert(cache.acceptsData(5, grant));
  assertFalse(cache.acceptsData(5, { ...grant, request: 2 }));
  assertFalse(cache.acceptsData(5, { ...grant, first: 6 }));
  assertFalse(cache.acceptsData(5, { ...grant, count: 2 }));
  assertFalse(cache.acceptsData(5, { ...grant, access: Access.Read }));
  cache.grant(5, grant, 0);
  assertFalse(cache.acceptsData(5, grant));
});

Deno.test("PageCache: a grant that does not fit its request is a violation", () => {
  const cases: [Partial<GrantMessage>, RegExp][] = [
    [{ first: 8 }, /asked for were 7\+1/],
    [{ count: 2 }, /asked for were 7\+1/],
    [{ count: 0 }, /asked for were 7\+1/],
    [{ access: Access.Read }, /less than was asked for/],
    [{ content: Content.Kept }, /no bytes for page 7/],
  ];
  for (const [change, reason] of cases) {
    const { cache, take } = setUp();
    cache.fault(7, Access.Write, 0);
    take();
    cache.grant(5, grantOf(7, 1, 1, { access: Access.Write, ...change }), 0);
    const { events, operations } = take();
    assertEquals(operations, []);
    assertEquals(events.length, 1);
    const event = events[0]!;
    assertMatch(event.kind === "violation" ? event.reason : "", reason);
  }
});

Deno.test("PageCache: a demand for a page that is not here is a violation", () => {
  const { cache, take } = setUp();
  const demand = { first: 7, count: 1, requester: 3, request: 9, invalidated: [] };
  cache.demand({ kind: "forward", access: Access.Read, ...demand }, 0);
  const reason = "forward of page 7, which is not here";
  assertEquals(take().events, [{ kind: "violation", node: 1, reason }]);
});

Deno.test("PageCache: tells whether a thread waits, not whether pages were fetched ahead", () => {
  const { cache } = setUp();
  cache.fetch(0, 4, Access.Read);
  assertFalse(cache.isAwaited);
  cache.fault(1, Access.Read, 0);
  assert(cache.isAwaited);
  cache.grant(3, grantOf(0, 4, 1), 0);
  assertFalse(cache.isAwaited);
});

Deno.test("PageCache: what a thread waited for is held until it has run, and nothing else", () => {
  const { cache, take } = setUp({ holdTimeUs: 50 });
  const demandAll = (request: number) => {
    for (let first = 0; first < 4; first++) {
      cache.demand({ kind: "invalidate", first, count: 1, requester: 3, request }, 10);
    }
    return take().messages.length;
  };
  cache.fetch(0, 4, Access.Read);
  cache.fault(2, Access.Read, 0);
  cache.grant(3, grantOf(0, 4, 1), 0);
  take();
  assertEquals(demandAll(8), 3);
  assertEquals([cache.awaitedPages, cache.deadline], [[2], 50]);
  cache.resumed(2, 20);
  assertEquals(take().operations, [{ kind: "evict", first: 2, count: 1 }]);
  assertEquals([cache.awaitedPages, cache.deadline], [[], Infinity]);
  cache.fetch(0, 4, Access.Read);
  cache.grant(3, grantOf(0, 4, 2), 30);
  take();
  assertEquals(demandAll(9), 4);
});

Deno.test("PageCache: a copy to read is not held for a thread that waits to write", () => {
  const { cache, take } = setUp({ holdTimeUs: 50 });
  cache.fault(7, Access.Read, 0);
  cache.fault(7, Access.Write, 0);
  cache.grant(3, grantOf(7, 1, 1), 0);
  take();
  cache.demand({ kind: "invalidate", first: 7, count: 1, requester: 4, request: 9 }, 0);
  assertEquals(take().messages.map(({ message }) => message.kind), ["acknowledge"]);
});

Deno.test("PageCache: a node that leaves asks for nothing more, and gives up what it holds at once", () => {
  const { cache, take } = setUp({ holdTimeUs: 50 });
  cache.fault(7, Access.Read, 0);
  cache.grant(3, grantOf(7, 1, 1), 0);
  const demand = { first: 7, count: 1, requester: 3, request: 9 };
  cache.demand({ kind: "invalidate", ...demand }, 0);
  assertEquals(cache.deadline, 50);
  take();
  cache.leave();
  assertEquals(take().messages.map(({ message }) => message.kind), ["acknowledge", "leave"]);
  cache.fault(8, Access.Read, 0);
  cache.fetch(8, 4, Access.Read);
  assertEquals(take().messages, []);
});

Deno.test("PageCache: request numbers begin anew at the end of 32 bits", () => {
  class Late extends PageCache {
    protected override nextRequest = 0xffff_ffff;
  }
  const outbox = new Outbox();
  const cache = new Late({ self: 2, pageCount: PAGES, runPages: 1, holdTimeUs: 0 }, outbox);
  for (const page of [3, 9]) cache.fault(page, Access.Read, 0);
  assertEquals(
    outbox.messages,
    [
      requestOf(Access.Read, 3, 1, 0xffff_ffff),
      requestOf(Access.Read, 9, 1, 1),
    ] as typeof outbox.messages,
  );
});

Deno.test("PageCache: knows how many pages it has to read and to write, and dead ones", () => {
  const { cache } = setUp();
  for (const page of [7, 20]) cache.fault(page, Access.Read, 0);
  cache.grant(3, grantOf(7, 1, 1), 0);
  cache.grant(3, grantOf(20, 1, 2, { access: Access.Write }), 0);
  assertEquals(cache.copies, { pagesShared: 1, pagesExclusive: 1, pagesDead: 0 });
  cache.demand({
    kind: "forward",
    access: Access.Read,
    first: 20,
    count: 1,
    requester: 4,
    request: 9,
    invalidated: [],
  }, 0);
  assertEquals(cache.copies, { pagesShared: 2, pagesExclusive: 0, pagesDead: 0 });
  cache.demand({ kind: "invalidate", first: 7, count: 1, requester: 4, request: 10 }, 0);
  assertEquals(cache.copies, { pagesShared: 1, pagesExclusive: 0, pagesDead: 1 });
});

Deno.test("PageCache: a node that leaves says so once what it asked for is there", () => {
  const { cache, take } = setUp({});
  cache.fault(7, Access.Read, 0);
  take();
  cache.leave();
  assertEquals(take().messages, []);
  cache.grant(3, grantOf(7, 1, 1), 0);
  assertEquals(take().messages.map(({ message }) => message.kind), ["done", "leave"]);
});

Deno.test("PageCache tells which pages have come from where, and of which requests threads wait", () => {
  const outbox = new Outbox();
  const told: string[] = [];
  const cache = new PageCache({
    self: 2,
    pageCount: PAGES,
    runPages: 4,
    holdTimeUs: 0,
    moved: ({ first, count }, source) => told.push(`${first}+${count} from ${source}`),
    requested: (request) => told.push(`requested ${request}`),
    served: (request) => told.push(`served ${request}`),
  }, outbox);
  cache.fault(7, Access.Read, 0);
  cache.grant(3, grantOf(7, 1, 1), 0);
  // Other nodes give up their copies for this write, and no bytes come.
  cache.fault(7, Access.Write, 0);
  const kept = { access: Access.Write, content: Content.Kept, invalidated: [3] };
  cache.grant(1, grantOf(7, 1, 2, kept), 0);
  cache.acknowledge(3, { kind: "acknowledge", first: 7, count: 1, request: 2 }, 0);
  // What no node had written before comes from none.
  cache.fetch(20, 1, Access.Write);
  cache.grant(1, grantOf(20, 1, 3, { access: Access.Write, content: Content.Zero }), 0);
  assertEquals(told, [
    "requested 1",
    "served 1",
    "7+1 from 3",
    "requested 2",
    "served 2",
    "7+1 from 0",
    "served 3",
  ]);
});

Deno.test("PageCache counts the copies in a run", () => {
  const { cache } = setUp();
  const copies = () => {
    const { shared, exclusive } = cache.copiesIn({ first: 5, count: 20 });
    return [shared, exclusive];
  };
  assertEquals(copies(), [0, 0]);
  cache.fetch(3, 4, Access.Read);
  cache.grant(3, grantOf(3, 4, 1), 0);
  cache.fetch(24, 2, Access.Write);
  cache.grant(3, grantOf(24, 2, 2, { access: Access.Write }), 0);
  assertEquals(copies(), [2, 1]);
});
