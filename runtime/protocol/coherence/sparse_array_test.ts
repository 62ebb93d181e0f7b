import { assertEquals } from "@std/assert";
import { SparseArray } from "./sparse_array.ts";

const LAST = 2 ** 21 - 1;

Deno.test("SparseArray: items are where they were put, and nowhere else", () => {
  const array = new SparseArray<string>();
  for (const index of [0, 511, 512, LAST]) array.set(index, `item ${index}`);
  assertEquals(array.get(511), "item 511");
  assertEquals(array.get(LAST), "item 2097151");
  assertEquals([array.get(1), array.get(513), array.get(LAST + 1)], Array(3).fill(undefined));
});

Deno.test("SparseArray: a walk goes over what is there, in ascending order", () => {
  const array = new SparseArray<number>();
  for (const index of [LAST, 3, 600, 4]) array.set(index, index);
  array.set(4, undefined);
  const walk: number[] = [];
  for (let index = array.next(0); index !== undefined; index = array.next(index + 1)) {
    walk.push(index);
  }
  assertEquals(walk, [3, 600, LAST]);
  assertEquals(array.next(LAST + 1), undefined);
  assertEquals([array.next(4, 600), array.next(4, 601), array.next(600, 601)], [
    undefined,
    600,
    600,
  ]);
});
