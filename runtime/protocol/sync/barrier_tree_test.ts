import { assertEquals } from "@std/assert";
import { treePlaces } from "./barrier_tree.ts";

Deno.test("treePlaces: children with more nodes below them come first, and parents are above them", () => {
  const places = treePlaces([1, 20, 30, 40, 50, 60, 70, 80, 90, 100], 3);
  assertEquals([...places].map(([node, { parent, children }]) => [node, parent, children]), [
    [1, undefined, [100, 40, 70, 20, 30]],
    [20, 1, []],
    [30, 1, []],
    [40, 1, [50, 60]],
    [50, 40, []],
    [60, 40, []],
    [70, 1, [80, 90]],
    [80, 70, []],
    [90, 70, []],
    [100, 1, []],
  ]);
});

for (const [radix, count] of [[2, 1], [2, 33], [3, 27], [8, 17], [8, 64], [8, 1024]] as const) {
  Deno.test(`treePlaces: ${count} nodes are one tree of radix ${radix}`, () => {
    const nodes = Array.from({ length: count }, (_, index) => index + 1);
    const places = treePlaces(nodes, radix);
    const reached: number[] = [];
    const visit = (node: number): void => {
      reached.push(node);
      for (const child of places.get(node)!.children) {
        assertEquals(places.get(child)!.parent, node);
        visit(child);
      }
    };
    visit(1);
    assertEquals(reached.toSorted((a, b) => a - b), nodes);
    // As many on each level as the radix has other digits.
    const digits = Math.ceil(Math.log2(count) / Math.log2(radix) - 1e-9);
    assertEquals(places.get(1)!.children.length <= digits * (radix - 1), true);
  });
}
