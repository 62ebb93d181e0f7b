import { assertEquals } from "@std/assert";
import { Access, contains, overlaps, PageState, permits } from "./page.ts";

Deno.test("overlaps: runs overlap when they have a page in common", () => {
  const run = { first: 4, count: 3 };
  const overlapping = [[0, 5], [4, 1], [6, 9], [0, 20], [5, 1]] as const;
  for (const [first, count] of overlapping) assertEquals(overlaps(run, { first, count }), true);
  for (const [first, count] of [[0, 4], [7, 1]] as const) {
    assertEquals(overlaps(run, { first, count }), false);
    assertEquals(overlaps({ first, count }, run), false);
  }
});

Deno.test("contains: a run contains its pages and no others", () => {
  const pages = [3, 4, 5, 6, 7].map((page) => contains({ first: 4, count: 3 }, page));
  assertEquals(pages, [false, true, true, true, false]);
});

Deno.test("permits: a copy permits what its state says", () => {
  const { Invalid, Shared, Exclusive } = PageState;
  const permitted = [Invalid, Shared, Exclusive].map((state) => [
    permits(state, Access.Read),
    permits(state, Access.Write),
  ]);
  assertEquals(permitted, [[false, false], [true, false], [true, true]]);
});
