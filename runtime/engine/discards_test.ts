import { assertEquals } from "@std/assert";
import type { PageRun } from "../protocol/coherence/page.ts";
import { Discards } from "./discards.ts";

const PAGE = 4096;
const alias = new Uint8Array(64 * PAGE);

/** Some pages of the region. */
function bytes(first: number, count: number): Uint8Array {
  return alias.subarray(first * PAGE, (first + count) * PAGE);
}

/** What is discarded while some bytes wait to be sent. */
function carriedOut(discards: Discards, ...unsent: Uint8Array[]): PageRun[] {
  const runs: PageRun[] = [];
  discards.carryOut(unsent, 1, (run) => runs.push(run));
  return runs;
}

Deno.test("Discards: pages of which nothing waits to be sent go at once", () => {
  const discards = new Discards(alias, PAGE);
  discards.add({ first: 3, count: 5 });
  discards.add({ first: 20, count: 1 });
  assertEquals(carriedOut(discards, bytes(8, 2), bytes(2, 1)), [
    { first: 3, count: 5 },
    { first: 20, count: 1 },
  ]);
  assertEquals([discards.isEmpty, carriedOut(discards)], [true, []]);
});

Deno.test("Discards: a page whose bytes wait to be sent goes once they are sent", () => {
  const discards = new Discards(alias, PAGE);
  discards.add({ first: 3, count: 6 });
  const [one, two] = [bytes(1, 3), bytes(5, 2)];
  assertEquals(carriedOut(discards, one, two), [{ first: 4, count: 1 }, { first: 7, count: 2 }]);
  assertEquals(carriedOut(discards, one, two), []);
  assertEquals(carriedOut(discards, two), [{ first: 3, count: 1 }]);
  // A write of which only the end is missing.
  assertEquals(carriedOut(discards, alias.subarray(7 * PAGE - 1, 7 * PAGE)), [
    { first: 5, count: 1 },
  ]);
  assertEquals(carriedOut(discards), [{ first: 6, count: 1 }]);
  assertEquals(discards.isEmpty, true);
});

Deno.test("Discards: bytes that are none of the region, such as arguments of a call, hold nothing up", () => {
  const discards = new Discards(alias, PAGE);
  discards.add({ first: 0, count: 2 });
  assertEquals(carriedOut(discards, new Uint8Array(64 * PAGE)), [{ first: 0, count: 2 }]);
});

Deno.test("Discards: a page that is in use again stays", () => {
  const discards = new Discards(alias, PAGE);
  discards.add({ first: 0, count: 10 });
  const unsent = bytes(0, 10);
  assertEquals(carriedOut(discards, unsent), []);
  discards.cancel({ first: 4, count: 2 });
  discards.cancel({ first: 9, count: 9 });
  assertEquals(carriedOut(discards, unsent), []);
  assertEquals(carriedOut(discards), [{ first: 0, count: 4 }, { first: 6, count: 3 }]);
});

Deno.test("Discards: of pages whose bytes lie in several messages, in any order, those go that are in none", () => {
  const discards = new Discards(alias, PAGE);
  for (const first of [30, 0, 12]) discards.add({ first, count: 10 });
  const sending = [
    bytes(35, 20),
    bytes(3, 2),
    bytes(2, 10),
    bytes(8, 6),
    bytes(4, 1),
    bytes(20, 1),
  ];
  assertEquals(carriedOut(discards, ...sending), [
    { first: 0, count: 2 },
    { first: 14, count: 6 },
    { first: 21, count: 1 },
    { first: 30, count: 5 },
  ]);
  assertEquals(carriedOut(discards), [
    { first: 2, count: 8 },
    { first: 12, count: 2 },
    { first: 20, count: 1 },
    { first: 35, count: 5 },
  ]);
});

Deno.test("Discards: it is looked again only once more pages wait, or fewer bytes", () => {
  const discards = new Discards(alias, PAGE);
  assertEquals([discards.isDue(1), discards.isDue(2)], [false, false]);
  discards.add({ first: 0, count: 2 });
  assertEquals(discards.isDue(1), true);
  assertEquals(carriedOut(discards, bytes(0, 2)), []);
  assertEquals([discards.isDue(1), discards.isDue(2)], [false, true]);
  discards.add({ first: 5, count: 1 });
  assertEquals(discards.isDue(1), true);
  assertEquals(carriedOut(discards), [{ first: 0, count: 2 }, { first: 5, count: 1 }]);
  assertEquals(discards.isDue(2), false);
});
