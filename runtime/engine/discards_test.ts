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
  discards.carryOut(unsent, (run) => runs.push(run));
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
