import { assertEquals } from "@std/assert";
import { BarrierGatherer } from "./barrier_gatherer.ts";
import { type BarrierTreeMessage, GatherStep, SyncOperation, SyncStatus } from "./messages.ts";

const { Gathered, Released, Recall, Dissolved } = GatherStep;
const { Done, Last, Cancelled } = SyncStatus;
const [PARENT, SELF, CHILD, STRANGER] = [2, 3, 4, 9];
const PLAN: BarrierTreeMessage = {
  kind: "barrierTree",
  tree: 5,
  name: "phase",
  parties: 20,
  arrivals: 2,
  leads: false,
  parent: PARENT,
  children: [CHILD],
};

/** A node's part, and what it has said. */
class Bench {
  readonly said: unknown[] = [];
  readonly gatherer = new BarrierGatherer({
    ask: ({ ticket }) => void this.said.push(["ask", ticket]),
    send: (to, { step, generation }) => void this.said.push([to, step, generation]),
    answer: ({ ticket, status }) => void this.said.push(["answer", ticket, status]),
    violation: (node) => void this.said.push(["breach", node]),
  }, () => this.unanswered);

  /** @param unanswered How many arrivals of the node have no answer. */
  constructor(readonly unanswered = 4) {}

  /** The tree that it is part of. */
  planned(plan: Partial<BarrierTreeMessage> = {}): this {
    this.gatherer.plan(1, { ...PLAN, ...plan });
    return this;
  }

  arrive(ticket: number, count = 20, name = "phase"): boolean {
    return this.gatherer.arrive({
      kind: "sync",
      operation: SyncOperation.Arrive,
      ticket,
      name,
      count,
    });
  }

  hear(from: number, step: GatherStep, generation: number, tree = 5): this {
    this.gatherer.receive(from, { kind: "gather", step, tree, generation });
    return this;
  }

  /** What it has said since this was last asked. */
  take(): unknown[] {
    return this.said.splice(0);
  }
}

Deno.test("BarrierGatherer: reports once its threads and children are there, and passes the release on", () => {
  const bench = new Bench().planned();
  assertEquals([bench.arrive(1), bench.arrive(2)], [true, true]);
  assertEquals(bench.take(), []);
  bench.hear(CHILD, Gathered, 0);
  assertEquals(bench.take(), [[PARENT, Gathered, 0]]);
  bench.hear(PARENT, Released, 0);
  assertEquals(bench.take(), [[CHILD, Released, 0], ["answer", 1, Done], ["answer", 2, Done]]);
  // The next generation, the other way round.
  bench.hear(CHILD, Gathered, 1);
  bench.arrive(3);
  assertEquals(bench.take(), []);
  bench.arrive(4);
  assertEquals(bench.take(), [[PARENT, Gathered, 1]]);
  assertEquals(bench.gatherer.kept, 2);
});

Deno.test("BarrierGatherer: of the node that leads, the last arrival is the last", () => {
  const bench = new Bench().planned({ leads: true, children: [] });
  bench.arrive(1);
  bench.arrive(2);
  bench.hear(PARENT, Released, 0);
  assertEquals(bench.take().slice(1), [["answer", 1, Done], ["answer", 2, Last]]);
});

Deno.test("BarrierGatherer: what is not of the tree is for the desk", () => {
  const bench = new Bench();
  assertEquals(bench.arrive(1), false);
  bench.planned();
  assertEquals([bench.arrive(2, 21), bench.arrive(3, 20, "other")], [false, false]);
  assertEquals([bench.gatherer.cancel(2), bench.take()], [false, []]);
});

Deno.test("BarrierGatherer: an arrival is taken back at once where it is not reported, otherwise by the desk", () => {
  const bench = new Bench().planned({ children: [] });
  bench.arrive(1);
  assertEquals([bench.gatherer.cancel(1), bench.take()], [true, [["answer", 1, Cancelled]]]);
  bench.arrive(2);
  bench.arrive(3);
  bench.take();
  assertEquals([bench.gatherer.cancel(2), bench.take()], [true, [[1, Recall, 0]]]);
  bench.hear(1, Dissolved, 0);
  assertEquals(bench.take(), [["answer", 2, Cancelled], ["ask", 3]]);
  assertEquals([bench.gatherer.size, bench.arrive(4)], [0, false]);
});

Deno.test("BarrierGatherer: where the release was overtaken by the end of the tree, threads go on", () => {
  const bench = new Bench().planned({ children: [] });
  bench.arrive(1);
  bench.arrive(2);
  bench.arrive(3);
  assertEquals(bench.take(), [[PARENT, Gathered, 0], [1, Recall, 0]]);
  bench.hear(1, Dissolved, 1);
  assertEquals(bench.take(), [["answer", 1, Done], ["answer", 2, Done], ["ask", 3]]);
  // The release comes late, and is of no tree any more.
  assertEquals(bench.hear(PARENT, Released, 0).take(), []);
});

Deno.test("BarrierGatherer: what waits for longer than from one beat to the next is recalled, once", () => {
  const bench = new Bench().planned();
  bench.gatherer.beat();
  bench.arrive(1);
  bench.gatherer.beat();
  assertEquals(bench.take(), []);
  bench.gatherer.beat();
  bench.gatherer.beat();
  assertEquals(bench.take(), [[1, Recall, 0]]);
});

Deno.test("BarrierGatherer: a report may come ahead of the word of its tree", () => {
  const bench = new Bench().hear(CHILD, Gathered, 0);
  bench.hear(STRANGER, Gathered, 0, 4).planned();
  bench.arrive(1);
  bench.arrive(2);
  assertEquals(bench.take(), [[PARENT, Gathered, 0]]);
  // Of a tree before that one this node will never hear.
  assertEquals(bench.hear(STRANGER, Gathered, 0, 4).take(), []);
});

Deno.test("BarrierGatherer: reports ahead of strangers are breaches, and stand for no child", () => {
  const bench = new Bench().hear(STRANGER, Gathered, 0).hear(STRANGER + 1, Gathered, 0).planned();
  assertEquals(bench.take(), [["breach", STRANGER], ["breach", STRANGER + 1]]);
  assertEquals([bench.arrive(1), bench.arrive(2), bench.take()], [true, true, []]);
  assertEquals(bench.hear(CHILD, Gathered, 0).take(), [[PARENT, Gathered, 0]]);
});

Deno.test("BarrierGatherer: one sender that floods is blamed, and no other", () => {
  const bench = new Bench(3);
  for (let tree = 6; tree < 9; tree++) bench.hear(STRANGER, Gathered, 0, tree);
  assertEquals(bench.take(), []);
  // A tree is planted behind an arrival of this node, and ahead of the answer to it.
  assertEquals(bench.hear(STRANGER, Gathered, 0, 9).take(), [["breach", STRANGER]]);
  assertEquals([bench.hear(CHILD, Gathered, 0).take(), bench.gatherer.early], [[], 4]);
  bench.planned();
  bench.arrive(1);
  bench.arrive(2);
  assertEquals([bench.take(), bench.gatherer.early], [[[PARENT, Gathered, 0]], 3]);
  // Nothing is kept of a node that is gone.
  bench.gatherer.peerGone(STRANGER);
  assertEquals(bench.gatherer.early, 0);
});

Deno.test("BarrierGatherer: where no arrival is unanswered no tree can be on its way", () => {
  assertEquals(new Bench(0).hear(CHILD, Gathered, 0).take(), [["breach", CHILD]]);
});

Deno.test("BarrierGatherer: what is not due is a breach", () => {
  const gathered = () => {
    const bench = new Bench().planned().hear(CHILD, Gathered, 0);
    bench.arrive(1);
    bench.arrive(2);
    bench.take();
    return bench;
  };
  const breaches: readonly [from: number, step: GatherStep, generation: number][] = [
    [STRANGER, Gathered, 0],
    [CHILD, Gathered, 0],
    [CHILD, Gathered, 1],
    [CHILD, Released, 0],
    [PARENT, Released, 1],
    [PARENT, Dissolved, 0],
    [1, Dissolved, 2],
    [CHILD, Recall, 0],
  ];
  for (const [from, step, generation] of breaches) {
    assertEquals(gathered().hear(from, step, generation).take(), [["breach", from]]);
  }
  assertEquals(new Bench().planned().hear(PARENT, Released, 0).take(), [["breach", PARENT]]);
  assertEquals(new Bench().planned().hear(1, Dissolved, 1).take(), [["breach", 1]]);
  // Of a tree of which this node has yet to hear there can be the first report of each child.
  assertEquals(new Bench().hear(PARENT, Released, 0).take(), [["breach", PARENT]]);
  assertEquals(new Bench().hear(CHILD, Gathered, 1).take(), [["breach", CHILD]]);
  const twice = new Bench().hear(CHILD, Gathered, 0).hear(CHILD, Gathered, 0);
  assertEquals(twice.take(), [["breach", CHILD]]);
  // A child that is none has reported ahead.
  assertEquals(new Bench().hear(STRANGER, Gathered, 0).planned().take(), [["breach", STRANGER]]);
  // Another tree for the same barrier, a number that is not new, and a node that may not plan.
  assertEquals(new Bench().planned().planned({ tree: 6 }).take(), [["breach", 1]]);
  assertEquals(new Bench().planned().planned({ name: "other" }).take(), [["breach", 1]]);
  const bench = new Bench();
  bench.gatherer.plan(SELF, PLAN);
  assertEquals(bench.take(), [["breach", SELF]]);
});
