import { assert, assertEquals } from "@std/assert";
import { SyncRequesters } from "../../../tests/support/sync_requesters.ts";
import { Barriers } from "./barriers.ts";
import { firstTicketOf, GatherStep } from "./messages.ts";
import { SYNC_LIMITS, SyncDesk, type SyncLimits, type ThreadsAtWork } from "./desk.ts";

Deno.test("Barriers: all are answered when the last arrives, and it is told so", () => {
  const cluster = new SyncRequesters().arrive(1, 1, 3).arrive(2, 1, 3);
  assertEquals(cluster.answers(), []);
  cluster.arrive(3, 1, 3);
  assertEquals(cluster.answers(), ["1.1 Done", "2.1 Done", "3.1 Last"]);
  assert(cluster.isEmpty);
});

Deno.test("Barriers: a barrier can be used again at once, with other parties too", () => {
  const cluster = new SyncRequesters().arrive(1, 1, 2).arrive(2, 1, 2).arrive(2, 2, 2).arrive(
    1,
    2,
    2,
  );
  assertEquals(cluster.answers(), ["1.1 Done", "2.1 Last", "2.2 Done", "1.2 Last"]);
  cluster.arrive(1, 3, 1).arrive(1, 4, 3);
  assertEquals(cluster.answers(), ["1.3 Last"]);
});

Deno.test("Barriers: two threads of one node are two parties", () => {
  const cluster = new SyncRequesters().arrive(1, 1, 2).arrive(1, 2, 2);
  assertEquals(cluster.answers(), ["1.1 Done", "1.2 Last"]);
});

Deno.test("Barriers: another number of parties is an error for every thread, which is told the other's", () => {
  const cluster = new SyncRequesters().arrive(1, 1, 3).arrive(2, 1, 3).arrive(3, 1, 2);
  assertEquals(cluster.answers(), [
    "1.1 PartiesMismatch 2",
    "2.1 PartiesMismatch 2",
    "3.1 PartiesMismatch 3",
  ]);
  assert(cluster.isEmpty);
});

Deno.test("Barriers: barriers with other names do not know of each other", () => {
  const cluster = new SyncRequesters().arrive(1, 1, 2, "a").arrive(2, 1, 3, "b").arrive(
    3,
    1,
    2,
    "a",
  );
  assertEquals(cluster.answers(), ["1.1 Done", "3.1 Last"]);
  assertEquals(cluster.synchronizer.usage.barriers, 1);
});

Deno.test("Barriers: a thread that cancels has not arrived", () => {
  const cluster = new SyncRequesters().arrive(1, 1, 3).arrive(2, 1, 3).cancel(1, 1);
  assertEquals(cluster.answers(), ["1.1 Cancelled"]);
  cluster.arrive(3, 1, 3).arrive(1, 2, 3);
  assertEquals(cluster.answers(), ["2.1 Done", "3.1 Done", "1.2 Last"]);
});

Deno.test("Barriers: a node that dies while it waits has not arrived, and others may take its place", () => {
  const cluster = new SyncRequesters(4).arrive(1, 1, 3).arrive(2, 1, 3).lose(2);
  cluster.arrive(3, 1, 3).beat(9).arrive(4, 1, 3);
  assertEquals(cluster.answers(), ["1.1 Done", "3.1 Done", "4.1 Last"]);
});

Deno.test("Barriers: where a node dies while it waits and no other can take its place, none waits on", () => {
  const cluster = new SyncRequesters().arrive(1, 1, 3).arrive(2, 1, 3).lose(2).beat(9);
  assertEquals(cluster.answers(), []);
  cluster.arrive(3, 1, 3).beat(2);
  assertEquals(cluster.answers(), ["1.1 PeerLost 2", "3.1 PeerLost 2"]);
  cluster.arrive(1, 2, 3);
  assertEquals(cluster.answers(), ["1.2 PeerLost 2"]);
});

Deno.test("Barriers: where a node dies or leaves that took part in the last round, the next is not waited for", () => {
  for (const go of ["lose", "leave"] as const) {
    const cluster = new SyncRequesters().arrive(1, 1, 3).arrive(2, 1, 3).arrive(3, 1, 3);
    cluster.arrive(1, 2, 3).answers();
    cluster[go](3);
    assertEquals(cluster.answers(), ["1.2 PeerLost 3"]);
    cluster.arrive(2, 2, 3);
    assertEquals(cluster.answers(), ["2.2 PeerLost 3"]);
  }
});

Deno.test("Barriers: nobody is told of a node that is leaving before it has left, or died", () => {
  for (const go of ["lose", "leave"] as const) {
    const cluster = new SyncRequesters().arrive(1, 1, 3).arrive(2, 1, 3).arrive(3, 1, 3);
    cluster.arrive(1, 2, 3).answers();
    cluster.part(3).arrive(2, 2, 3).beat();
    assertEquals(cluster.answers(), []);
    cluster[go](3);
    assertEquals(cluster.answers(), ["1.2 PeerLost 3", "2.2 PeerLost 3"]);
  }
});

Deno.test("Barriers: those that are left go on with another number of parties", () => {
  const cluster = new SyncRequesters().arrive(1, 1, 3).arrive(2, 1, 3).arrive(3, 1, 3).lose(3);
  cluster.arrive(1, 2, 3).answers();
  cluster.arrive(1, 3, 2).arrive(2, 2, 2);
  assertEquals(cluster.answers(), ["1.3 Done", "2.2 Last"]);
  // They have agreed on it before a party of that round goes.
  cluster.arrive(1, 4, 3).lose(2);
  assertEquals(cluster.answers(), []);
  cluster.beat(2);
  assertEquals(cluster.answers(), ["1.4 PeerLost 2"]);
});

Deno.test("Barriers: a node that took no part in a barrier goes, and nobody there notices", () => {
  for (const go of ["lose", "leave"] as const) {
    const cluster = new SyncRequesters(4).arrive(4, 1, 1).arrive(1, 1, 2).arrive(2, 1, 2);
    cluster.arrive(3, 1, 2, "other").arrive(4, 2, 2, "other").arrive(1, 2, 2).answers();
    cluster[go](4);
    assertEquals(cluster.answers(), []);
    cluster.beat(9).arrive(2, 2, 2);
    assertEquals(cluster.answers(), ["1.2 Done", "2.2 Last"]);
  }
});

Deno.test("Barriers: where all that are left wait with every thread, and a node has died, none waits on", () => {
  const cluster = new SyncRequesters().arrive(1, 1, 3).lose(3).beat(9).arrive(2, 1, 3);
  assertEquals(cluster.answers(), []);
  cluster.beat().arrive(2, 2, 4, "other").beat();
  assertEquals(cluster.answers(), ["1.1 PeerLost 3", "2.1 PeerLost 3"]);
  cluster.arrive(1, 2, 3);
  assertEquals(cluster.answers(), ["1.2 PeerLost 3"]);
});

Deno.test("Barriers: a node with a thread that may yet arrive is waited for", () => {
  const cluster = new SyncRequesters().lose(3).arrive(1, 1, 3).arrive(2, 1, 3);
  cluster.synchronizer.setThreads(1, 2);
  cluster.beat(9);
  assertEquals(cluster.answers(), []);
  cluster.arrive(1, 2, 3);
  assertEquals(cluster.answers(), ["1.1 Done", "2.1 Done", "1.2 Last"]);
});

Deno.test("Barriers: a thread that arrives twice at once is not taken for one that waits in vain", () => {
  const cluster = new SyncRequesters(2).lose(2).arrive(1, 1, 2).beat().arrive(1, 2, 2).beat();
  assertEquals(cluster.answers(), ["1.1 Done", "1.2 Last"]);
});

Deno.test("Barriers: nodes that only serve are waited for by none; where none has died, all that join may come", () => {
  const cluster = new SyncRequesters(2);
  cluster.synchronizer.peerJoined(3, false);
  cluster.arrive(1, 1, 2).arrive(2, 1, 3, "other").beat(9).lose(3).beat(9).leave(2).beat(9);
  assertEquals(cluster.answers(), []);
  cluster.synchronizer.peerJoined(4, true);
  cluster.synchronizer.peerJoined(5, false);
  cluster.lose(4).beat(2);
  assertEquals(cluster.answers(), ["1.1 PeerLost 4"]);
});

Deno.test("Barriers: the nodes of the last round are known of no more barriers than the limit says", () => {
  const cluster = new SyncRequesters(3, { rounds: 1 });
  for (const name of ["a", "b"]) cluster.arrive(1, 1, 2, name).arrive(2, 1, 2, name);
  cluster.arrive(1, 1, 2, "a").arrive(3, 1, 2, "b").answers();
  cluster.lose(2);
  assertEquals(cluster.answers(), ["3.1 PeerLost 2"]);
});

Deno.test("Barriers: a barrier for which there is no room is refused", () => {
  const cluster = new SyncRequesters(3, { objects: 1, waiting: 9 }).arrive(1, 1, 2, "a");
  cluster.arrive(2, 1, 2, "b").arrive(3, 1, 1, "b").arrive(2, 2, 2, "a");
  assertEquals(cluster.answers(), ["2.1 LimitExceeded", "3.1 Last", "1.1 Done", "2.2 Last"]);
});

Deno.test("Barriers: when time passes the nodes are counted once, however many barriers there are", () => {
  let counted = 0;
  const answered: string[] = [];
  class CountedDesk extends SyncDesk {
    override threadsAtWork(): ThreadsAtWork {
      counted++;
      return super.threadsAtWork();
    }
  }
  const desk = new CountedDesk({
    reply: (to, { ticket }) => void answered.push(`${to}.${ticket}`),
    tell: (node) => {
      throw new Error(`node ${node} is told of a tree`);
    },
    violation: (_, reason) => {
      throw new Error(reason);
    },
  }, SYNC_LIMITS);
  for (const node of [1, 2]) desk.admit(node, true);
  const barriers = new Barriers(desk);
  for (let number = 1; number <= 100; number++) barriers.arrive(1, number, `of ${number}`, 3);
  barriers.arrive(2, 1, "of 50", 3);
  barriers.doubt(3);
  assertEquals([counted, answered], [1, []]);
  barriers.doubt(3);
  assertEquals([counted, answered], [2, ["1.50", "2.1"]]);
});

/** Nodes 1 to 4, of which 3 is below 2 in trees, after two rounds at a barrier. */
function planted(limits: Partial<SyncLimits> = {}): SyncRequesters {
  const cluster = new SyncRequesters(4, { treeNodes: 2, treeRadix: 2, ...limits });
  for (const ticket of [1, 2]) {
    for (const node of [4, 3, 2, 1]) cluster.arrive(node, ticket, 4);
  }
  cluster.answers();
  return cluster;
}

const PLANTED = ["2: 1 under 1", "3: 1 under 1", "4: 1 under 3"];
const { Gathered, Recall } = GatherStep;

Deno.test("Barriers: a round that is like the last plants a tree, which gathers the next ones", () => {
  const cluster = planted();
  assertEquals(cluster.told(), PLANTED);
  for (const generation of [0, 1]) {
    cluster.gather(2, Gathered, 1, generation).arrive(1, 3 + generation, 4);
    assertEquals([cluster.told(), cluster.answers()], [[], []]);
    cluster.gather(3, Gathered, 1, generation);
    assertEquals(cluster.told(), [
      `3: Released of 1.${generation}`,
      `2: Released of 1.${generation}`,
    ]);
    assertEquals(cluster.answers(), [`1.${3 + generation} Last`]);
  }
  assert(cluster.isEmpty);
});

Deno.test("Barriers: no tree for few nodes, for other shares, or for threads past their engines", () => {
  assertEquals(planted({ treeNodes: 4 }).told(), []);
  const cluster = new SyncRequesters(3, { treeNodes: 1, treeRadix: 2 });
  const first = firstTicketOf(1);
  // Another node has two of four arrivals each time; then one arrives by a link of its own.
  for (const twice of [1, 2, 3]) {
    for (const node of [1, 2, 3]) cluster.arrive(node, twice, 4);
    cluster.arrive(twice, 9, 4);
  }
  for (let round = 0; round < 4; round++) {
    for (const node of [1, 2]) cluster.arrive(node, 50 + round, 3);
    cluster.arrive(3, first + round, 3);
  }
  assertEquals([cluster.told(), cluster.violations()], [[], []]);
});

Deno.test("Barriers: what is unlike the last round dissolves the tree, with the generation under way", () => {
  const dissolved = (generation: number) =>
    [2, 3, 4].map((node) => `${node}: Dissolved of 1.${generation}`);
  const causes: readonly [what: string, cause: (cluster: SyncRequesters) => unknown][] = [
    ["a recall", (cluster) => cluster.gather(4, Recall, 1, 1)],
    ["an arrival of a node of the tree", (cluster) => cluster.arrive(2, 9, 4)],
    ["other parties", (cluster) => cluster.arrive(1, 9, 5)],
    ["an arrival too many", (cluster) => cluster.arrive(1, 8, 4).arrive(1, 9, 4)],
  ];
  for (const [what, cause] of causes) {
    const cluster = planted();
    cluster.gather(2, Gathered, 1, 0).gather(3, Gathered, 1, 0).arrive(1, 3, 4);
    cluster.told();
    // The node had not heard that the generation was complete.
    cluster.gather(3, Recall, 1, 0);
    assertEquals(cluster.told(), [], what);
    cause(cluster);
    assertEquals(cluster.told(), dissolved(1), what);
    // What was on its way.
    cluster.gather(3, Gathered, 1, 1).gather(3, Recall, 1, 1);
    assertEquals([cluster.told(), cluster.violations()], [[], []], what);
  }
  const left = planted();
  left.told();
  left.part(3);
  assertEquals(left.told(), ["2: Dissolved of 1.0", "4: Dissolved of 1.0"]);
  left.arrive(4, 3, 4).answers();
  left.synchronizer.peerGone(3);
  assertEquals([left.answers(), left.told()], [["4.3 PeerLost 3"], []]);
});

Deno.test("Barriers: a recall that later reports have overtaken by way of other nodes has no effect", () => {
  const cluster = planted();
  for (const generation of [0, 1, 2]) {
    cluster.gather(2, Gathered, 1, generation).gather(3, Gathered, 1, generation);
    cluster.arrive(1, 3 + generation, 4);
  }
  cluster.told();
  // The reports of node 4 are among those of node 3.
  cluster.gather(4, Recall, 1, 0);
  assertEquals([cluster.told(), cluster.violations()], [[], []]);
});

Deno.test("Barriers: the next tree takes twice as many rounds alike, up to a limit", () => {
  const cluster = planted({ treeRounds: 6 });
  let ticket = 3;
  for (const [tree, needed] of [[1, 4], [2, 6], [3, 6]] as const) {
    assertEquals(cluster.told().length, 3);
    cluster.gather(2, Recall, tree, 0).told();
    for (let round = 1; round <= needed; round++) {
      assertEquals(cluster.told(), []);
      for (const node of [1, 2, 3, 4]) cluster.arrive(node, ticket, 4);
      ticket++;
    }
  }
});

Deno.test("Barriers: a tree goes with the round that is forgotten, and when it is used up", () => {
  const forgotten = planted({ rounds: 1 });
  forgotten.told();
  for (const node of [1, 2]) forgotten.arrive(node, 9, 2, "other");
  assertEquals(forgotten.told(), [2, 3, 4].map((node) => `${node}: Dissolved of 1.0`));
  const used = planted({ treeUses: 1 });
  used.told();
  used.gather(2, Gathered, 1, 0).gather(3, Gathered, 1, 0).arrive(1, 3, 4);
  assertEquals(used.told(), [
    "3: Released of 1.0",
    "2: Released of 1.0",
    ...[2, 3, 4].map((node) => `${node}: Dissolved of 1.1`),
  ]);
  for (let ticket = 4; ticket < 20; ticket++) {
    for (const node of [1, 2, 3, 4]) used.arrive(node, ticket, 4);
  }
  assertEquals(used.told(), []);
});

Deno.test("Barriers: what is not due in a tree is a breach", () => {
  const breaches: readonly [from: number, step: GatherStep, tree: number, generation: number][] = [
    [4, Gathered, 1, 0],
    [2, Gathered, 1, 1],
    [2, Recall, 1, 1],
    [2, GatherStep.Released, 1, 0],
    [2, GatherStep.Dissolved, 1, 0],
    [2, Gathered, 2, 0],
  ];
  for (const [from, step, tree, generation] of breaches) {
    const cluster = planted().gather(from, step, tree, generation);
    const reason = `step ${step} of generation ${generation} in tree ${tree}, which is not due`;
    assertEquals(cluster.violations(), [`${from}: ${reason}`]);
  }
  const twice = planted().gather(2, Gathered, 1, 0).gather(2, Gathered, 1, 0);
  assertEquals(twice.violations().length, 1);
});
