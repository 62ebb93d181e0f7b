import { assertEquals } from "@std/assert";
import { Placement } from "./placement.ts";

Deno.test("Placement: threads get the nodes in turn, beginning behind the main thread's", () => {
  const placement = new Placement([1, 4, 7], 3);
  assertEquals(Array.from({ length: 9 }, () => placement.place()), [
    ...[4, 7, 1, 4, 7, 1, 4, 7, undefined],
  ]);
});

Deno.test("Placement: a node without room is passed over until a thread of it has ended", () => {
  const placement = new Placement([1, 2], 1);
  assertEquals([placement.place(), placement.place()], [2, undefined]);
  placement.free(2);
  assertEquals([placement.place(1), placement.place(2), placement.place(2)], [
    ...[undefined, 2, undefined],
  ]);
  assertEquals(placement.place(3), undefined);
});
