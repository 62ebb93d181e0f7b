import { assertEquals } from "@std/assert";
import { Placement } from "./placement.ts";

/** The nodes that a number of threads are placed on. */
function nodesOf(placement: Placement, count: number): (number | undefined)[] {
  return Array.from({ length: count }, () => placement.place()?.node);
}

Deno.test("Placement: threads get the nodes in turn, beginning behind the main thread's", () => {
  const placement = new Placement({ nodes: [1, 4, 7], threadsPerNode: 3 });
  assertEquals(nodesOf(placement, 9), [4, 7, 1, 4, 7, 1, 4, 7, undefined]);
  assertEquals([1, 4, 7].map((node) => placement.threadsOf(node)), [
    ...[[0, 3, 6], [1, 4, 7], [2, 5, 8]],
  ]);
});

Deno.test("Placement: a node without room is passed over until a thread of it has ended", () => {
  const placement = new Placement({ nodes: [1, 2], threadsPerNode: 1 });
  assertEquals([placement.place(), placement.place()], [{ node: 2, thread: 1 }, undefined]);
  placement.free(1);
  // What has ended already, or never was, frees nothing.
  placement.free(1);
  placement.free(7);
  assertEquals([placement.place(1), placement.place(2), placement.place(2)], [
    ...[undefined, { node: 2, thread: 2 }, undefined],
  ]);
  assertEquals(placement.place(3), undefined);
});

Deno.test("Placement: another thread that has its parts sees the same", () => {
  const one = new Placement({ nodes: [1, 2], threadsPerNode: 2 });
  const other = new Placement(one.parts);
  assertEquals([one.place(), other.place(), one.place(), other.place()], [
    ...[{ node: 2, thread: 1 }, { node: 1, thread: 2 }, { node: 2, thread: 3 }, undefined],
  ]);
  other.free(3);
  one.hold();
  one.hold();
  other.release();
  assertEquals([one.threadsOf(2), other.isHeld], [[1], true]);
  other.release();
  assertEquals(one.isHeld, false);
});
