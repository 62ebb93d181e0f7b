import { assertEquals } from "@std/assert";
import { type Demand, DemandQueue } from "./demand_queue.ts";

function demandOf(first: number, count: number, request: number, requester = 3): Demand {
  return { kind: "invalidate", first, count, requester, request };
}

function setUp() {
  const met: number[] = [];
  const queue = new DemandQueue(({ request }) => met.push(request));
  /** The demands met since the last time, by the numbers of their requests. */
  const take = () => met.splice(0);
  return { queue, take };
}

Deno.test("DemandQueue: a demand for pages that are not held is met at once", () => {
  const { queue, take } = setUp();
  queue.hold(7, 0, 50);
  queue.add(demandOf(3, 4, 1), 0);
  assertEquals(take(), [1]);
  assertEquals([queue.deadline, queue.awaitedPages], [Infinity, []]);
});

Deno.test("DemandQueue: a demand waits for each held page of its run, by the clock or until it is released", () => {
  const { queue, take } = setUp();
  queue.hold(7, 0, 50);
  queue.hold(5, 10, 60);
  queue.hold(9, 20, 70);
  queue.add(demandOf(4, 4, 1), 30);
  assertEquals([queue.deadline, queue.awaitedPages], [60, [7, 5]]);
  queue.release(5, 40);
  queue.release(9, 40);
  assertEquals([queue.deadline, queue.awaitedPages], [50, [7]]);
  queue.meetDue(49);
  assertEquals(take(), []);
  queue.meetDue(50);
  assertEquals(take(), [1]);
  assertEquals([queue.deadline, queue.awaitedPages], [Infinity, []]);
});

Deno.test("DemandQueue: a release meets what waited for it alone, in the same step", () => {
  const { queue, take } = setUp();
  queue.hold(7, 0, 50);
  queue.add(demandOf(7, 1, 1), 0);
  queue.release(7, 1);
  assertEquals(take(), [1]);
  queue.release(7, 2);
  assertEquals(take(), []);
});

Deno.test("DemandQueue: demands on one page are met in the order in which they came, others do not wait", () => {
  const { queue, take } = setUp();
  queue.hold(1, 0, 50);
  queue.add(demandOf(1, 2, 1), 0);
  queue.add(demandOf(2, 2, 2), 0);
  queue.add(demandOf(3, 1, 3), 0);
  queue.add(demandOf(4, 1, 4), 0);
  assertEquals(take(), [4]);
  assertEquals([queue.deadline, queue.awaitedPages], [50, [1]]);
  queue.release(1, 0);
  assertEquals(take(), [1, 2, 3]);
});

Deno.test("DemandQueue: the demands of a node that is gone are dropped, and what waited for them is due", () => {
  const { queue, take } = setUp();
  queue.hold(1, 0, 50);
  queue.add(demandOf(1, 2, 1), 0);
  queue.add(demandOf(2, 1, 2, 4), 0);
  assertEquals(queue.drop(3).map(({ request }) => request), [1]);
  queue.meetDue(0);
  assertEquals(take(), [2]);
  assertEquals(queue.deadline, Infinity);
});

Deno.test("DemandQueue: a hold that begins does not make a demand forget the one that it waited for", () => {
  const { queue, take } = setUp();
  queue.hold(1, 0, 50);
  queue.add(demandOf(1, 1, 1), 0);
  queue.hold(2, 60, 110);
  assertEquals(queue.deadline, 50);
  queue.meetDue(60);
  assertEquals(take(), [1]);
});

Deno.test("DemandQueue: holds that are over are forgotten where no demand waits", () => {
  const { queue } = setUp();
  for (let page = 0; page < 100; page++) queue.hold(page, page * 5, page * 5 + 10);
  assertEquals(queue.holds.size, 2);
  queue.hold(98, 496, 506);
  assertEquals([...queue.holds.keys()], [99, 98]);
});

Deno.test("DemandQueue: a node that leaves meets every demand, in the order in which they came", () => {
  const { queue, take } = setUp();
  queue.hold(1, 0, 50);
  queue.add(demandOf(1, 2, 1), 0);
  queue.add(demandOf(2, 1, 2), 0);
  queue.releaseAll();
  assertEquals(take(), [1, 2]);
});
