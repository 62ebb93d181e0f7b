import { assert, assertEquals, assertMatch } from "@std/assert";
import { SYNC_LIMITS } from "../../../runtime/protocol/sync/desk.ts";
import { PLANTED_BARRIER_BUGS } from "./barrier_bugs.ts";
import { BarrierWorld } from "./barrier_world.ts";
import { runBarrierBatch, runBarrierSchedule } from "./barrier_schedule.ts";

const SCHEDULES = 1_000;

Deno.test("no schedule of barriers that trees gather breaks a promise, and together they get into every corner", () => {
  const { failure, coverage } = runBarrierBatch(1, SCHEDULES);
  assertEquals(failure, undefined);
  assertEquals(Object.entries(coverage).filter(([, times]) => times === 0), []);
});

Deno.test("an arrival that was taken back is of no round, though its thread has yet to hear that", () => {
  const world = new BarrierWorld(3, { ...SYNC_LIMITS, treeNodes: 1 });
  const [first, ...others] = world.nodes as [Node, ...Node[]];
  type Node = BarrierWorld["nodes"][number];
  const arrive = (node: Node) => world.arrive(node, "a", 3);
  const own = "1 1";
  const drain = (except?: string) => {
    const next = () => world.busyLinks.find((link) => link !== except);
    for (let link = next(); link !== undefined; link = next()) world.deliver(link);
  };
  for (let round = 0; round < 2; round++) {
    world.nodes.forEach(arrive);
    drain();
  }
  arrive(first);
  world.cancel(first, first.tickets);
  arrive(first);
  for (let request = 0; request < 2; request++) world.deliver(own);
  others.forEach(arrive);
  drain(own);
  drain();
  world.checkQuiescence();
  assertEquals([world.coverage.byTree, world.coverage.cancelled, first.open.size], [1, 1, 0]);
});

Deno.test("a seed gives the same schedule of barriers again", () => {
  const traces = [1, 2].map(() => {
    const lines: string[] = [];
    runBarrierSchedule(12, undefined, undefined, (line) => lines.push(line));
    return lines;
  });
  assert(traces[0]!.length > 20);
  assertEquals(traces[0], traces[1]);
});

Deno.test("a recall that later reports have overtaken, by way of other nodes, is no breach", () => {
  runBarrierSchedule(3396);
});

Deno.test("the last round of a barrier may be of threads whose node goes, all of them", () => {
  runBarrierSchedule(2588467710);
});

for (const { name, parts, finding, seed = 1 } of PLANTED_BARRIER_BUGS) {
  Deno.test(`the simulator of barriers finds a planted bug: ${name}`, () => {
    const { failure } = runBarrierBatch(seed, SCHEDULES, parts);
    assertMatch(failure?.reason ?? "nothing was found", finding);
  });
}
