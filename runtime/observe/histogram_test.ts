import { assertEquals } from "@std/assert";
import { BUCKET_BOUNDS_US, Histogram } from "./histogram.ts";

/** The bound of the bucket that a duration is counted in. */
function boundOf(us: number): number {
  const histogram = new Histogram();
  histogram.add(us);
  const index = histogram.counts.indexOf(1);
  return BUCKET_BOUNDS_US[index] ?? Infinity;
}

Deno.test("Histogram: a duration is in the first bucket whose bound is not below it", () => {
  for (const us of [0, 0.3, 1, 1.01, 2, 2.5, 3, 4, 4.1, 1000, 1024, 1024.5, 5e6, 1e8, 1e10]) {
    const expected = BUCKET_BOUNDS_US.find((bound) => us <= bound) ?? Infinity;
    assertEquals(boundOf(us), expected, `${us}`);
  }
});

Deno.test("Histogram: counts and sums all durations", () => {
  const histogram = new Histogram();
  for (const us of [0.5, 3, 3, 1e9]) histogram.add(us);
  assertEquals([histogram.count, histogram.sumUs], [4, 1e9 + 6.5]);
});
