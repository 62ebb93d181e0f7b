import { assert, assertEquals, assertFalse } from "@std/assert";
import { CLEARS_MAX } from "../../limits.ts";
import { Directory } from "./directory.ts";
import { CLEAR_REQUEST, Content, type NodeId } from "./messages.ts";
import { Outbox } from "./output.ts";
import { Access, type PageRun } from "./page.ts";

const PAGES = 2 ** 28;

function setUp(nodes: number, runPages = 8, workPages = 8_192) {
  const outbox = new Outbox();
  const takenOver: PageRun[] = [];
  const directory = new Directory({ self: 1, pageCount: PAGES, runPages, workPages }, outbox, {
    room: { pages: Infinity, spare: Infinity },
    hasDeclined: false,
    lacks: () => undefined,
    adopt: (run) => takenOver.push(run),
  });
  for (let node = 1; node <= nodes; node++) directory.peerJoined(node);
  const take = () => outbox.messages.splice(0).map(({ to, message }) => ({ to, ...message }));
  let request = 0;
  /** A request, its transaction and its end; returns the messages that the home sent for it. */
  const transact = (from: NodeId, access: Access, first: number, count = 1) => {
    request++;
    directory.request(from, { kind: "request", access, first, count, request });
    // A grant that is final has ended it already.
    if (directory.busy(first)) {
      directory.done(from, { kind: "done", first, count, request, lost: false });
    }
    return take();
  };
  return { directory, outbox, take, takenOver, transact };
}

/** Has freed pages cleared, since they are wanted. */
function clear(directory: Directory, run: PageRun): void {
  directory.free(run);
  directory.reuse(run, 0);
}

Deno.test("Directory: pages of the largest region have their holders, at no cost for those between", () => {
  const { directory, transact } = setUp(64);
  transact(64, Access.Write, PAGES - 1);
  transact(33, Access.Read, PAGES - 1);
  transact(2, Access.Write, 0);
  assertEquals(directory.copies(PAGES - 1), { owner: 64, nodes: [33, 64] });
  assertEquals(directory.copies(0), { owner: 2, nodes: [2] });
});

Deno.test("Directory: pages that were lost are zero again once they are cleared", () => {
  const { directory, take, transact } = setUp(3);
  transact(2, Access.Write, 5, 3);
  directory.peerLost(2);
  directory.peerLostSeen(1, 2);
  directory.peerLostSeen(3, 2);
  clear(directory, { first: 6, count: 1 });
  while (directory.hasWork) directory.work();
  take();
  const contents = [5, 6, 7].map((page) => {
    const [message] = transact(3, Access.Read, page);
    return message?.kind === "grant" ? message.content : message?.kind;
  });
  assertEquals(contents, [Content.Lost, Content.Zero, Content.Lost]);
});

Deno.test("Directory: a death is worked off in parts, and what is needed meanwhile is looked at first", () => {
  const { directory, take, transact } = setUp(3, 128, 1_000);
  for (let first = 0; first < 4_096; first += 128) transact(2, Access.Write, first, 128);
  directory.peerLost(2);
  take();
  const contentAt = (page: number) => {
    const [message] = transact(3, Access.Read, page);
    return message?.kind === "grant" ? message.content : message?.kind;
  };
  assertEquals([contentAt(4_000), contentAt(5_000)], [Content.Lost, Content.Zero]);
  let parts = 0;
  for (; directory.hasWork; parts++) directory.work();
  assertEquals(parts, 5);
  assertEquals([contentAt(17), contentAt(4_095)], [Content.Lost, Content.Lost]);
});

Deno.test("Directory: a node lets go of pages whose other holder dies while that death is worked off", () => {
  const { directory, outbox, take, takenOver, transact } = setUp(3, 8, 512);
  for (const page of [0, 2_000]) {
    transact(2, Access.Write, page);
    transact(3, Access.Read, page);
  }
  directory.peerLost(3);
  directory.leave(2);
  for (let round = 0; directory.hasWork || takenOver.length > 0; round++) {
    directory.work();
    for (const { first, count } of takenOver.splice(0)) transact(1, Access.Write, first, count);
    if (round > 100) throw new Error("there is always work left");
  }
  assertEquals(outbox.events, [{ kind: "nodeLeft", node: 2 }]);
  take();
  assertEquals([0, 2_000].map((page) => directory.copies(page).nodes), [[1], [1]]);
});

Deno.test("Directory: nodes that come and go for ever leave nothing behind", () => {
  const { directory, outbox, take, transact } = setUp(1);
  transact(1, Access.Write, 0);
  for (let node = 2; node <= 2_000; node++) {
    directory.peerJoined(node);
    transact(node, Access.Read, 0);
    if (node % 2 === 0) directory.peerLost(node);
    else directory.leave(node);
    while (directory.hasWork) directory.work();
    take();
    outbox.events.length = 0;
  }
  assertEquals(directory.copies(0), { owner: 1, nodes: [1] });
  assertEquals(directory.slots, 2);
});

/**
 * Clears pages to the end, with an acknowledgement for each demand; returns them, and the parts it
 * took.
 */
function clearAll({ directory, take }: ReturnType<typeof setUp>, run: PageRun) {
  clear(directory, run);
  let parts = 0;
  const demanded: string[] = [];
  for (; directory.hasWork; parts++) {
    directory.work();
    for (const { to, ...message } of take()) {
      if (message.kind !== "invalidate") throw new Error(`${message.kind} to clear pages`);
      const { kind, first, count, request } = message;
      demanded.push(`${kind} ${first}+${count} at ${to}`);
      directory.acknowledge(to, { kind: "acknowledge", first, count, request });
    }
  }
  return { parts, demanded };
}

Deno.test("Directory: clearing the largest region costs what was touched of it", () => {
  const cluster = setUp(3);
  const { directory, transact } = cluster;
  const all = { first: 0, count: PAGES };
  assertEquals(clearAll(cluster, all), { parts: 0, demanded: [] });
  transact(2, Access.Write, PAGES - 1);
  transact(2, Access.Write, 70_000, 4);
  transact(3, Access.Read, 70_001);
  const { parts, demanded } = clearAll(cluster, all);
  assertEquals(demanded, [
    "invalidate 70000+1 at 2",
    "invalidate 70001+1 at 2",
    "invalidate 70001+1 at 3",
    "invalidate 70002+2 at 2",
    `invalidate ${PAGES - 1}+1 at 2`,
  ]);
  assert(parts < 5);
  for (const page of [70_000, 70_001, 70_003, PAGES - 1]) {
    assertEquals(directory.copies(page), { owner: 0, nodes: [] });
    const [message] = transact(3, Access.Read, page);
    assertEquals(message?.kind === "grant" && message.content, Content.Zero);
  }
});

Deno.test("Directory: so many runs are cleared at one time, and all in the end", () => {
  const cluster = setUp(2);
  const { directory, outbox, take, transact } = cluster;
  const count = 8 * (CLEARS_MAX + 5);
  for (let first = 0; first < count; first += 8) transact(2, Access.Write, first, 8);
  clear(directory, { first: 0, count });
  while (directory.hasWork) directory.work();
  const demands = take();
  assertEquals(demands.length, CLEARS_MAX);
  assert(directory.isClearing({ first: 0, count: 1 }));
  assert(directory.isClearing({ first: count - 1, count: 1 }), "not begun is not cleared");
  assertFalse(directory.isClearing({ first: count, count: 100 }));
  directory.acknowledge(2, { kind: "acknowledge", first: 8, count: 8, request: CLEAR_REQUEST });
  assertEquals(outbox.events, [{ kind: "cleared", first: 8, count: 8 }]);
  assertFalse(directory.isClearing({ first: 8, count: 8 }));
  directory.peerLost(2);
  while (directory.hasWork) directory.work();
  assertFalse(directory.isClearing({ first: 0, count }));
  assertEquals(directory.copies(count - 1), { owner: 0, nodes: [] });
});

Deno.test("Directory: freed pages rest for a beat at least, and are cleared then", () => {
  const { directory, take, transact } = setUp(2);
  transact(2, Access.Write, 0, 8);
  directory.beat();
  directory.free({ first: 0, count: 8 });
  directory.beat();
  assertFalse(directory.hasWork);
  assert(directory.isClearing({ first: 7, count: 1 }), "what rests is not cleared");
  directory.beat();
  while (directory.hasWork) directory.work();
  assertEquals(take().map(({ to, kind }) => `${kind} ${to}`), ["invalidate 2"]);
});

Deno.test("Directory: a node keeps the pages that it alone has, and the others are cleared", () => {
  const { directory, take, transact } = setUp(3);
  const run = { first: 0, count: 40 };
  transact(2, Access.Write, 0, 8);
  transact(2, Access.Write, 8, 8);
  transact(3, Access.Read, 12);
  transact(3, Access.Write, 16, 4);
  directory.request(3, { kind: "request", access: Access.Read, first: 2, count: 1, request: 99 });
  take();
  directory.free(run);
  assertEquals(directory.reuse(run, 2), [
    { first: 0, count: 2 },
    { first: 3, count: 9 },
    { first: 13, count: 3 },
  ]);
  // Page 2 is on its way to node 3, page 12 is on both, and what is behind page 19 is untouched.
  const waits = Array.from({ length: 40 }, (_, first) => directory.isClearing({ first, count: 1 }));
  const waiting = waits.flatMap((isWaiting, page) => isWaiting ? [page] : []);
  assertEquals(waiting, [2, 12, 16, 17, 18, 19]);
  while (directory.hasWork) directory.work();
  const demands = take().flatMap((message) =>
    message.kind === "invalidate" ? [`page ${message.first} at node ${message.to}`] : []
  );
  assertEquals(demands, ["page 12 at node 2", "page 12 at node 3", "page 16 at node 3"]);
  assertEquals(directory.copies(3), { owner: 2, nodes: [2] });
});

Deno.test("Directory: memory that a node wants elsewhere ends the rest of freed pages", () => {
  for (const wants of ["offload", "leave"] as const) {
    const { directory, take, transact } = setUp(3);
    transact(2, Access.Write, 0, 8);
    transact(2, Access.Write, 100);
    directory.free({ first: 0, count: 8 });
    if (wants === "leave") directory.leave(2);
    else directory.offload(2, { kind: "offload", first: 100, count: 1, awaited: 0 });
    while (directory.hasWork) directory.work();
    const demands = take().filter(({ kind }) => kind === "invalidate");
    assertEquals(demands.map(({ to }) => to), [2], wants);
  }
});

Deno.test("Directory: an acknowledgement of what is not cleared is a violation", () => {
  const { directory, outbox, transact } = setUp(3);
  transact(2, Access.Write, 0);
  const acknowledge = { kind: "acknowledge", first: 0, count: 1, request: CLEAR_REQUEST } as const;
  directory.acknowledge(2, acknowledge);
  clear(directory, { first: 0, count: 1 });
  directory.work();
  directory.acknowledge(3, acknowledge);
  directory.acknowledge(2, { ...acknowledge, count: 2 });
  assertEquals(outbox.events.map((event) => event.kind === "violation" && event.node), [2, 3, 2]);
  assert(directory.isClearing({ first: 0, count: 1 }));
});

Deno.test("Directory: requests outside of the region are violations", () => {
  const { directory, outbox, take } = setUp(2);
  for (const [first, count] of [[PAGES, 1], [PAGES - 1, 2], [0, 0]] as const) {
    directory.request(2, { kind: "request", access: Access.Read, first, count, request: 1 });
  }
  assertEquals(outbox.events.map(({ kind }) => kind), Array(3).fill("violation"));
  assertEquals(take(), []);
});

Deno.test("Directory: a transaction covers the pages that can be treated alike", () => {
  const { directory, take, transact } = setUp(3);
  transact(2, Access.Write, 0, 3);
  transact(3, Access.Write, 3, 2);
  directory.request(3, { kind: "request", access: Access.Read, first: 1, count: 8, request: 90 });
  assertEquals(take().map((sent) => "count" in sent && [sent.kind, sent.first, sent.count]), [
    ["forward", 1, 2],
  ]);
  assertEquals([0, 1, 2, 3].map((page) => directory.busy(page)), [false, true, true, false]);
});

Deno.test("Directory: a run ends before a page that is busy", () => {
  const { directory, take, transact } = setUp(3);
  transact(2, Access.Write, 0, 4);
  const read = { kind: "request", access: Access.Read } as const;
  directory.request(1, { ...read, first: 2, count: 1, request: 1 });
  directory.request(3, { ...read, first: 0, count: 4, request: 1 });
  assertEquals(take().map((sent) => "count" in sent && [sent.kind, sent.first, sent.count]), [
    ["forward", 2, 1],
    ["forward", 0, 2],
  ]);
});

Deno.test("Directory: requests for a busy page wait, and are served in their order", () => {
  const { directory, take } = setUp(5);
  const write = { kind: "request", access: Access.Write, first: 0, count: 1 } as const;
  for (const node of [2, 3, 4, 5]) directory.request(node, { ...write, request: node });
  // The first touch is over as soon as it is granted.
  assertEquals(take().map(({ to, kind }) => [to, kind]), [[2, "grant"], [2, "forward"]]);
  const done = { kind: "done", first: 0, count: 1, lost: false } as const;
  directory.done(3, { ...done, request: 3 });
  assertEquals(take().map(({ to, kind }) => [to, kind]), [[3, "forward"]]);
  directory.done(4, { ...done, request: 4 });
  assertEquals(take().map(({ to, kind }) => [to, kind]), [[4, "forward"]]);
});

Deno.test("Directory: a grant of the home's own copy is over when it is sent, if no other node has one", () => {
  const { directory, take, transact } = setUp(3);
  transact(1, Access.Write, 0);
  const run = { first: 0, count: 1 } as const;
  directory.request(2, { kind: "request", access: Access.Write, ...run, request: 7 });
  assertEquals(take().map(({ to, kind }) => [to, kind]), [[1, "forward"]]);
  assertEquals(directory.busy(0), true);
  const grant = { kind: "grant", access: Access.Write, content: Content.Data, ...run } as const;
  directory.granted({ ...grant, request: 7, invalidated: [], lostNode: 0 }, 2);
  assertEquals(directory.busy(0), false);
  assertEquals(directory.copies(0), { owner: 2, nodes: [2] });
});

Deno.test("Directory: pages that were granted cannot be done as lost", () => {
  const { directory, outbox, transact } = setUp(3);
  transact(2, Access.Write, 9, 3);
  directory.request(3, { kind: "request", access: Access.Write, first: 9, count: 3, request: 8 });
  directory.done(3, { kind: "done", first: 9, count: 3, request: 8, lost: true });
  assertEquals(outbox.events.map(({ kind }) => kind), ["violation"]);
  assertEquals(directory.copies(9), { owner: 2, nodes: [2] });
});

Deno.test("Directory: what was not begun cannot be done", () => {
  const { directory, outbox, transact } = setUp(2);
  transact(2, Access.Write, 0);
  directory.done(2, { kind: "done", first: 0, count: 1, request: 1, lost: false });
  assertEquals(outbox.events.map(({ kind }) => kind), ["violation"]);
});

Deno.test("Directory: the home sends its own copy rather than ask the owner", () => {
  const { transact } = setUp(4);
  transact(2, Access.Write, 0);
  transact(1, Access.Read, 0);
  assertEquals(transact(3, Access.Read, 0).map(({ to }) => to), [1]);
});

Deno.test("Directory: no node that has not joined, or wants to leave, is served", () => {
  const { directory, take, takenOver, transact } = setUp(2);
  const read = { kind: "request", access: Access.Read, first: 9, count: 1, request: 9 } as const;
  directory.request(7, read);
  assertEquals(take(), []);
  transact(2, Access.Write, 0, 3);
  directory.leave(2);
  directory.request(2, read);
  assertEquals(take(), []);
  assertEquals(takenOver, [{ first: 0, count: 3 }]);
});

Deno.test("Directory: a node that has nothing leaves at once, and its requests are forgotten", () => {
  const { directory, outbox, take } = setUp(3);
  directory.leave(2);
  assertEquals(take().map(({ to, kind }) => [to, kind]), [[2, "left"], [1, "peerLost"], [
    3,
    "peerLost",
  ]]);
  assertEquals(outbox.events, [{ kind: "nodeLeft", node: 2 }]);
  directory.peerLost(2);
  assertEquals(take(), []);
});

Deno.test("Directory: a requester that dies with a page that it was to write loses it", () => {
  const { directory, take, transact } = setUp(4);
  transact(2, Access.Write, 0);
  const write = { kind: "request", access: Access.Write, first: 0, count: 1, request: 77 } as const;
  directory.request(3, write);
  directory.peerLost(3);
  assert(directory.busy(0));
  // The source has given up its copy: it had nothing to refuse.
  for (const node of [1, 4, 2]) directory.peerLostSeen(node, 3);
  assertFalse(directory.busy(0));
  take();
  directory.request(4, { ...write, request: 1 });
  const [grant] = take();
  assert(grant?.kind === "grant" && grant.lostNode === 3);
});

Deno.test("Directory: a source that refuses keeps the page from a requester that died", () => {
  const { directory, transact } = setUp(3);
  transact(2, Access.Write, 0);
  const run = { first: 0, count: 1, request: 77 } as const;
  directory.request(3, { kind: "request", access: Access.Write, ...run });
  directory.peerLost(3);
  directory.refused(2, { kind: "refused", ...run, requester: 3 });
  for (const node of [1, 2]) directory.peerLostSeen(node, 3);
  assertEquals(directory.copies(0), { owner: 2, nodes: [2] });
  assertFalse(directory.busy(0));
});

Deno.test("Directory: a node that refuses while the requester lives is not believed", () => {
  const { directory, take, transact } = setUp(3);
  transact(2, Access.Write, 0);
  directory.request(3, { kind: "request", access: Access.Write, first: 0, count: 1, request: 9 });
  directory.refused(2, { kind: "refused", first: 0, count: 1, requester: 3, request: 9 });
  directory.peerLost(3);
  directory.peerLostSeen(2, 3);
  directory.peerLostSeen(1, 3);
  take();
  const [grant] = transact(1, Access.Read, 0);
  assertEquals(grant?.kind === "grant" && [grant.content, grant.lostNode], [Content.Lost, 3]);
});
