import { assert, assertEquals } from "@std/assert";
import { FreedPages } from "./freed_pages.ts";

/** Every page of a set, by walking over it. */
function pagesOf(freed: FreedPages): number[] {
  const pages: number[] = [];
  for (let page = freed.next(0); page !== undefined; page = freed.next(page + 1)) pages.push(page);
  return pages;
}

Deno.test("FreedPages has what was added and not deleted, across chunks", () => {
  const freed = new FreedPages();
  freed.add({ first: 510, count: 5 });
  freed.add({ first: 3, count: 1 });
  assertEquals(pagesOf(freed), [3, 510, 511, 512, 513, 514]);
  assert(freed.has(512));
  freed.delete({ first: 511, count: 2 });
  assertEquals(pagesOf(freed), [3, 510, 513, 514]);
  assert(!freed.has(512));
});

Deno.test("FreedPages is empty once all was deleted, whatever the extent", () => {
  const freed = new FreedPages();
  assert(freed.isEmpty);
  freed.add({ first: 2 ** 28 - 3, count: 3 });
  freed.add({ first: 0, count: 1 });
  assert(!freed.isEmpty);
  freed.delete({ first: 0, count: 2 ** 28 });
  assert(freed.isEmpty);
  assertEquals(freed.next(0), undefined);
});

Deno.test("FreedPages: a whole chunk that is marked has pages deleted of one set only", () => {
  const [one, other] = [new FreedPages(), new FreedPages()];
  for (const freed of [one, other]) freed.add({ first: 512, count: 512 });
  one.delete({ first: 513, count: 510 });
  one.add({ first: 514, count: 1 });
  assertEquals(pagesOf(one), [512, 514, 1023]);
  assertEquals(pagesOf(other).length, 512);
  other.add({ first: 600, count: 1 });
  other.delete({ first: 0, count: 1024 });
  assert(other.isEmpty);
});

Deno.test("FreedPages.next looks no further than it is to", () => {
  const freed = new FreedPages();
  freed.add({ first: 700, count: 1 });
  freed.add({ first: 5000, count: 1 });
  assertEquals(freed.next(0, 700), undefined);
  assertEquals(freed.next(0, 701), 700);
  assertEquals(freed.next(701, 1024), undefined);
});

Deno.test("FreedPages.move takes the marks of a run along, be they in whole chunks or not", () => {
  const [from, to] = [new FreedPages(), new FreedPages()];
  from.add({ first: 500, count: 600 });
  from.add({ first: 2000, count: 1 });
  to.add({ first: 1030, count: 1 });
  from.move({ first: 511, count: 2000 }, to);
  assertEquals(pagesOf(from), Array.from({ length: 11 }, (_, index) => 500 + index));
  assertEquals(pagesOf(to), [...Array.from({ length: 589 }, (_, index) => 511 + index), 2000]);
  from.move({ first: 0, count: 4096 }, to);
  assert(from.isEmpty);
  to.delete({ first: 0, count: 4096 });
  assert(to.isEmpty);
});
