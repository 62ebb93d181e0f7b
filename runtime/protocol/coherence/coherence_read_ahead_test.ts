import { assertEquals } from "@std/assert";
import { PageCache } from "./cache.ts";
import { Content, type GrantMessage } from "./messages.ts";
import { Outbox } from "./output.ts";
import { Access, PageState } from "./page.ts";

const { Invalid, Shared, Exclusive } = PageState;

function setUp(options: { pageCount?: number; runPages?: number; holdTimeUs?: number } = {}) {
  const outbox = new Outbox();
  const cache = new PageCache({
    self: 2,
    pageCount: 100,
    runPages: 8,
    holdTimeUs: 0,
    readAhead: true,
    readAheadMinPages: 2,
    ...options,
  }, outbox);
  /** What came out since the last time; of the messages the pages that were asked for. */
  const take = () => {
    const operations = outbox.operations.splice(0);
    const asked: [first: number, count: number][] = [];
    for (const { message } of outbox.messages.splice(0)) {
      if (message.kind === "request") asked.push([message.first, message.count]);
    }
    return { operations, asked };
  };
  let request = 0;
  /** Answers the earliest request that has no answer. */
  const grant = (first: number, count: number, rest: Partial<GrantMessage> = {}) => {
    cache.grant(3, {
      kind: "grant",
      access: Access.Read,
      content: Content.Data,
      first,
      count,
      request: ++request,
      invalidated: [],
      lostNode: 0,
      ...rest,
    }, 0);
  };
  /** Walks over pages 0 to 2, so that 3 to 6 are asked for ahead. */
  const walk = (access: Access, rest: Partial<GrantMessage> = {}) => {
    cache.fault(0, access, 0);
    grant(0, 1, rest);
    cache.fault(1, access, 0);
    grant(1, 2, rest);
    return take();
  };
  return { cache, take, grant, walk };
}

Deno.test("Coherence: a walk whose runs are long enough has the next run asked for", () => {
  const { cache, walk } = setUp();
  assertEquals(walk(Access.Read).asked, [[0, 1], [1, 2], [3, 4]]);
  assertEquals(cache.counters.pagesAhead, 4);
});

Deno.test("Coherence: the first page of what came ahead is not mapped: the fault there asks for the next run", () => {
  const { cache, take, grant, walk } = setUp();
  walk(Access.Read);
  grant(3, 4);
  assertEquals(take().operations, [{ kind: "install", first: 4, count: 3, writable: false }]);
  assertEquals([3, 4, 6, 7].map((page) => cache.state(page)), [Shared, Shared, Shared, Invalid]);
  cache.fault(3, Access.Read, 0);
  assertEquals(take(), {
    operations: [{ kind: "install", first: 3, count: 1, writable: false }],
    asked: [[7, 8]],
  });
  // The same fault once more tells nothing.
  cache.fault(3, Access.Read, 0);
  assertEquals(take().asked, []);
  grant(7, 8);
  take();
  cache.fault(7, Access.Read, 0);
  assertEquals(take().asked, [[15, 8]]);
});

Deno.test("Coherence: a walk that comes to what is still on its way has the next run asked for, and waits", () => {
  const { cache, take, grant, walk } = setUp();
  walk(Access.Read);
  cache.fault(3, Access.Read, 0);
  assertEquals(take().asked, [[7, 8]]);
  grant(3, 4);
  assertEquals(take().operations, [{ kind: "install", first: 3, count: 4, writable: false }]);
});

Deno.test("Coherence: pages that no node ever wrote become zeros ahead of a walk, its first page too", () => {
  const { take, grant, walk } = setUp();
  const zero = { content: Content.Zero, access: Access.Write };
  walk(Access.Write, zero);
  grant(3, 4, zero);
  assertEquals(take().operations, [
    { kind: "installZero", first: 3, count: 4 },
    { kind: "evict", first: 3, count: 1 },
  ]);
});

Deno.test("Coherence: a walk that writes what is here to read is given the right to ahead", () => {
  const { cache, take, grant, walk } = setUp();
  cache.fetch(0, 8, Access.Read);
  grant(0, 8);
  take();
  const kept = { content: Content.Kept, access: Access.Write };
  assertEquals(walk(Access.Write, kept).asked, [[0, 1], [1, 2], [3, 4]]);
  grant(3, 4, kept);
  assertEquals(take().operations, [{ kind: "unprotect", first: 4, count: 3 }]);
  cache.fault(3, Access.Write, 0);
  assertEquals(take(), {
    operations: [{ kind: "install", first: 3, count: 1, writable: true }],
    asked: [[7, 1]],
  });
  assertEquals(cache.state(3), Exclusive);
});

Deno.test("Coherence: the right to write what a program writes behind a read is asked for with that read", () => {
  const { cache, take, grant } = setUp();
  const kept = { content: Content.Kept, access: Access.Write };
  const demand = { kind: "invalidate", requester: 3, request: 9, count: 1 } as const;
  cache.fetch(50, 1, Access.Read);
  grant(50, 1);
  take();
  /** Another node has written page 10, and read page 50. */
  const byOther = () => {
    cache.demand({ ...demand, first: 10 }, 0);
    const forward = { kind: "forward", access: Access.Read, invalidated: [] } as const;
    cache.demand({ ...forward, first: 50, count: 1, requester: 3, request: 9 }, 0);
    take();
  };
  for (let turn = 0; turn < 2; turn++) {
    cache.fault(10, Access.Read, 0);
    assertEquals(take().asked, [[10, 1]]);
    grant(10, 1);
    cache.fault(50, Access.Write, 0);
    assertEquals(take().asked.length, 1);
    grant(50, 1, kept);
    byOther();
  }
  cache.fault(10, Access.Read, 0);
  assertEquals(take().asked, [[10, 1], [50, 1]]);
  grant(10, 1);
  grant(50, 1, kept);
  assertEquals(cache.state(50), Exclusive);
  // It is mapped when the program comes there.
  assertEquals(take().operations, [{ kind: "install", first: 10, count: 1, writable: false }]);
  cache.fault(50, Access.Write, 0);
  assertEquals(take(), {
    operations: [{ kind: "install", first: 50, count: 1, writable: true }],
    asked: [],
  });
  // What the program has not only to upgrade is left to it.
  byOther();
  cache.demand({ ...demand, first: 50 }, 0);
  cache.fault(10, Access.Read, 0);
  assertEquals(take().asked, [[10, 1]]);
});

Deno.test("Coherence: a run of one page that came ahead is not mapped at all", () => {
  const { cache, take, grant, walk } = setUp();
  walk(Access.Read);
  grant(3, 1);
  assertEquals(take().operations, []);
  cache.fault(3, Access.Read, 0);
  assertEquals(take(), {
    operations: [{ kind: "install", first: 3, count: 1, writable: false }],
    asked: [[4, 8]],
  });
});

Deno.test("Coherence: where less was granted than asked for the walk misses, and then enters what came ahead", () => {
  const { cache, take, grant } = setUp();
  cache.fault(0, Access.Read, 0);
  grant(0, 1);
  cache.fault(1, Access.Read, 0);
  // Of pages 1 and 2 only 1 comes; 3 to 6 were asked for ahead.
  grant(1, 1);
  grant(3, 4);
  take();
  cache.fault(2, Access.Read, 0);
  assertEquals(take().asked, [[2, 1]]);
  grant(2, 1);
  take();
  cache.fault(3, Access.Read, 0);
  assertEquals(take().asked, [[7, 8]]);
});

Deno.test("Coherence: nothing is asked for ahead behind the region, nor what is here or asked for already", () => {
  const { cache, walk } = setUp({ pageCount: 3 });
  assertEquals(walk(Access.Read).asked, [[0, 1], [1, 2]]);
  const other = setUp();
  other.cache.fetch(3, 1, Access.Read);
  other.grant(3, 1);
  other.take();
  assertEquals(other.walk(Access.Read).asked, [[0, 1], [1, 2]]);
  assertEquals(cache.counters.pagesAhead, 0);
});

Deno.test("Coherence: a node that leaves asks for nothing ahead", () => {
  const { cache, take, grant, walk } = setUp();
  walk(Access.Read);
  grant(3, 4);
  take();
  cache.leave();
  cache.fault(3, Access.Read, 0);
  assertEquals(take().asked, []);
});

Deno.test("Coherence: what came ahead is not held, nor is what a thread waits for behind its first page mapped late", () => {
  const { cache, take, grant, walk } = setUp({ holdTimeUs: 50 });
  walk(Access.Read);
  cache.fault(5, Access.Read, 0);
  grant(3, 4);
  assertEquals(take().operations, [{ kind: "install", first: 4, count: 3, writable: false }]);
  const demand = { kind: "invalidate", requester: 3, request: 9, count: 1 } as const;
  for (const first of [3, 4, 5, 6]) cache.demand({ ...demand, first }, 0);
  assertEquals(cache.awaitedPages, [5]);
});

Deno.test("Coherence: without the setting nothing is asked for ahead", () => {
  const cache = new PageCache(
    { self: 2, pageCount: 100, runPages: 8, holdTimeUs: 0 },
    new Outbox(),
  );
  for (const page of [0, 1, 3, 7]) cache.fault(page, Access.Read, 0);
  assertEquals(cache.counters.pagesAhead, 0);
});
