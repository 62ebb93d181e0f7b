import { assertEquals } from "@std/assert";
import { ScriptedCluster } from "../../../tests/support/scripted_cluster.ts";
import { OWED_MAX_BEATS } from "../../limits.ts";
import { type Debt, Debts, type Lacking } from "./debts.ts";
import { CLEAR_REQUEST, Content } from "./messages.ts";
import { Access } from "./page.ts";
import type { Transaction } from "./transactions.ts";

function transaction(first: number, rest: Partial<Transaction> = {}): Transaction {
  return {
    requester: 3,
    request: first,
    access: Access.Write,
    first,
    count: 1,
    invalidated: [],
    lostWith: 0,
    refused: [],
    phase: { kind: "forwarded", source: 2 },
    ...rest,
  };
}

/** Lets time pass, and shows which nodes the home reminds of what, and which are in default. */
function beat(debts: Debts): { reminded: string[]; defaults: string[] } {
  const { reminders, defaults } = debts.beat();
  return {
    reminded: reminders.map(({ node, debt: { request } }) => `${node} of ${request}`).sort(),
    defaults: defaults.map(({ node, page }) => `${node} holds up ${page}`),
  };
}

Deno.test("Debts: each party of the oldest transaction is reminded, once it is no more new, but for the home", () => {
  const active = [transaction(5, { invalidated: [1, 4] }), transaction(6, { requester: 5 })];
  const debts = new Debts(() => active, 1);
  assertEquals(beat(debts).reminded, []);
  assertEquals(beat(debts).reminded, ["2 of 5", "3 of 5", "4 of 5", "5 of 6"]);
});

Deno.test("Debts: a node that has settled is reminded of the next, and no node of what has ended or moved on", () => {
  const [first, second] = [transaction(5), transaction(6)];
  const active = [first, second];
  const debts = new Debts(() => active, 1);
  beat(debts);
  assertEquals(beat(debts).reminded, ["2 of 5", "3 of 5"]);
  debts.settled(2, first);
  debts.settled(2, { ...second, request: 9 });
  assertEquals(beat(debts).reminded, ["2 of 6", "3 of 5"]);
  active.shift();
  assertEquals(beat(debts).reminded, ["2 of 6", "3 of 6"]);
  second.phase = { kind: "forwarded", source: 4 };
  assertEquals(beat(debts).reminded, []);
  assertEquals(beat(debts).reminded, ["3 of 6", "4 of 6"]);
});

Deno.test("Debts: a node that has not dropped what is cleared is reminded, and no other party is", () => {
  const clearing = transaction(5, {
    requester: 1,
    request: CLEAR_REQUEST,
    invalidated: [1, 2, 3, 4],
    phase: { kind: "clearing", awaited: [1, 2, 3, 4] },
  });
  const debts = new Debts(() => [clearing], 1, undefined, 2);
  beat(debts);
  // To say that it is done does not clear a page: the acknowledgement would have come before.
  debts.settled(3, clearing);
  assertEquals(beat(debts).reminded, ["2 of 0", "3 of 0", "4 of 0"]);
  // One more acknowledgement is a phase of its own: what it is now about has just begun.
  clearing.phase = { kind: "clearing", awaited: [2, 3] };
  assertEquals(beat(debts).reminded, []);
  for (let times = 1; times <= 2; times++) assertEquals(beat(debts).reminded, ["2 of 0", "3 of 0"]);
  assertEquals(beat(debts).defaults, ["2 holds up 5", "3 holds up 5"]);
});

Deno.test("Debts: a node that leaves as many reminders as the limit says unanswered is in default", () => {
  const stuck = transaction(5);
  const debts = new Debts(() => [stuck], 1);
  beat(debts);
  for (let times = 1; times <= OWED_MAX_BEATS; times++) {
    assertEquals(beat(debts), { reminded: ["2 of 5", "3 of 5"], defaults: [] });
    debts.settled(3, stuck, 0);
  }
  assertEquals(beat(debts), { reminded: ["3 of 5"], defaults: ["2 holds up 5"] });
});

Deno.test("Debts: a node that goes on settling one after the other is never in default", () => {
  const active = Array.from({ length: 100 }, (_, first) => transaction(first));
  const debts = new Debts(() => active, 1, undefined, 2);
  beat(debts);
  while (active.length > 0) {
    assertEquals(beat(debts).defaults, []);
    debts.settled(3, active[0]!);
    assertEquals(beat(debts).defaults, []);
    debts.settled(3, active[0]!);
    active.shift();
  }
});

Deno.test("Debts: what a loss asks for is not settled by a word", () => {
  const aborting = transaction(5, {
    phase: {
      kind: "aborting",
      content: Content.Data,
      source: 2,
      lostNode: 3,
      awaited: [2, 4],
      refused: [],
    },
  });
  const active = [aborting, transaction(6, { phase: { kind: "sourceLost", source: 4 } })];
  const debts = new Debts(() => active, 1, undefined, 2);
  beat(debts);
  beat(debts);
  for (const node of [2, 4]) debts.settled(node, aborting);
  assertEquals(beat(debts).reminded, ["2 of 5", "3 of 6", "4 of 5"]);
  assertEquals(beat(debts).defaults, ["2 holds up 5", "4 holds up 5", "3 holds up 6"]);
});

Deno.test("PageCache.owes: a demand that waits for a hold is owed, and one that was met is not", () => {
  const cluster = new ScriptedCluster(3, { holdTimeUs: 100 });
  cluster.access(2, 0, Access.Write);
  cluster.step(3, { kind: "fault", page: 0, access: Access.Write });
  cluster.deliver(3, 1);
  const debt = { first: 0, requester: 3, request: 1 };
  cluster.deliver(1, 2);
  assertEquals(cluster.node(2).cache.owes(debt), true);
  assertEquals(cluster.node(3).cache.owes(debt), false);
  cluster.step(2, { kind: "resumed", page: 0 });
  assertEquals(cluster.node(2).cache.owes(debt), false);
});

/** Lets time pass while nodes say what they say of a transaction; which nodes have to go then. */
function disputed(
  transactions: readonly Transaction[],
  say: (debts: Debts) => void,
  lacks?: (debt: Debt) => Lacking | undefined,
): string[] {
  const debts = new Debts(() => transactions, 1, lacks, 2, 3);
  debts.beat();
  for (let times = 1; times <= 3; times++) {
    say(debts);
    assertEquals(debts.beat().defaults, []);
  }
  say(debts);
  return debts.beat().defaults.map(({ node, page, opponent }) =>
    `${node} of page ${page}, not ${opponent}`
  );
}

Deno.test("Debts: one of two nodes has to go where one lacks for long what the other says it has sent", () => {
  const bytes = transaction(5);
  const grantLacking = (debts: Debts) => {
    debts.settled(2, bytes);
    debts.settled(3, bytes, 0);
  };
  assertEquals(disputed([bytes], grantLacking), ["2 of page 5, not 3"]);
  const upgrade = transaction(6, {
    invalidated: [1, 4],
    phase: { kind: "granted", content: Content.Kept },
  });
  const acknowledgementLacking = (debts: Debts) => {
    debts.settled(4, upgrade);
    debts.settled(3, upgrade, 4);
  };
  assertEquals(disputed([upgrade], acknowledgementLacking), ["4 of page 6, not 3"]);
});

Deno.test("Debts: a node that more nodes contradict than the other has to go, and never the home", () => {
  const active = [transaction(5), transaction(6, { phase: { kind: "forwarded", source: 4 } })];
  const liar = (debts: Debts) => {
    for (const [index, source] of [2, 4].entries()) {
      debts.settled(source, active[index]!);
      debts.settled(3, active[index]!, 0);
    }
  };
  assertEquals(disputed(active, liar), ["3 of page 5, not 2"]);
  const granted = transaction(7, { phase: { kind: "granted", content: Content.Kept } });
  assertEquals(disputed([granted], (debts) => debts.settled(3, granted, 0)), [
    "3 of page 7, not 1",
  ]);
  const own = transaction(8, { requester: 1 });
  assertEquals(disputed([own], (debts) => debts.settled(2, own), () => 0), ["2 of page 8, not 1"]);
});

Deno.test("Debts: a requester that says it lacks nothing has not done its part, and one that lacks has", () => {
  const stuck = transaction(5);
  const debts = new Debts(() => [stuck], 1, undefined, 2, 100);
  beat(debts);
  for (let times = 1; times <= 5; times++) {
    debts.settled(2, stuck);
    debts.settled(3, stuck, 0);
    assertEquals(beat(debts), { reminded: ["3 of 5"], defaults: [] }, `${times}`);
  }
  for (let times = 1; times <= 2; times++) {
    debts.settled(3, stuck);
    beat(debts);
  }
  assertEquals(beat(debts).defaults, ["3 holds up 5"]);
});

Deno.test("PageCache.lacks: a requester lacks its grant, then acknowledgements, then nothing", () => {
  const cluster = new ScriptedCluster(4);
  cluster.access(2, 0, Access.Write);
  cluster.access(4, 0, Access.Read);
  cluster.fault(3, 0, Access.Write);
  const request = cluster.link(3, 1)[0]!;
  if (request.kind !== "request") throw new Error(request.kind);
  const debt = { first: 0, requester: 3, request: request.request };
  const lacks = () => cluster.node(3).cache.lacks(debt);
  cluster.deliver(3, 1);
  assertEquals([lacks(), cluster.node(2).cache.lacks(debt)], [0, undefined]);
  cluster.deliver(1, 2);
  cluster.deliver(2, 3);
  assertEquals(lacks(), 4);
  cluster.flush();
  assertEquals(lacks(), undefined);
});
