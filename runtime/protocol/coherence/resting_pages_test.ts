import { assert, assertEquals } from "@std/assert";
import { FreedPages } from "./freed_pages.ts";
import { RestingPages } from "./resting_pages.ts";

const ALL = { first: 0, count: 4096 };

/** The pages of a set, of a few. */
function of(due: FreedPages, ...pages: number[]): number[] {
  return pages.filter((page) => due.has(page));
}

Deno.test("RestingPages lets a page rest until the second beat after it was freed", () => {
  const resting = new RestingPages();
  let due = new FreedPages();
  resting.add({ first: 3, count: 2 });
  due = resting.beat(ALL, due);
  resting.add({ first: 4, count: 2 });
  assert(due.isEmpty);
  due = resting.beat(ALL, due);
  assertEquals(of(due, 3, 4, 5), [3]);
  due = resting.beat(ALL, due);
  assertEquals(of(due, 3, 4, 5), [3, 4, 5]);
  assert(resting.isEmpty);
  due = resting.beat(ALL, due);
  assertEquals(of(due, 3, 4, 5), [3, 4, 5], "what is not cleared yet stays due");
});

Deno.test("RestingPages moves a part of what rests, however long that has", () => {
  const [resting, due] = [new RestingPages(), new FreedPages()];
  resting.add({ first: 510, count: 4 });
  resting.beat(ALL, new FreedPages());
  resting.add({ first: 600, count: 1 });
  resting.move({ first: 511, count: 100 }, due);
  assertEquals(of(due, 510, 511, 513, 600), [511, 513, 600]);
  assert(resting.hasAny({ first: 500, count: 11 }));
  assert(!resting.hasAny({ first: 511, count: 100 }));
});
