/** Counts durations in buckets whose bounds are powers of two: one store for each. */

import { HISTOGRAM_BUCKETS } from "../limits.ts";

/** The upper bound of each bucket but the last, which has none, in microseconds. */
export const BUCKET_BOUNDS_US: readonly number[] = Array.from(
  { length: HISTOGRAM_BUCKETS },
  (_, index) => 2 ** index,
);

/** A histogram of durations. */
export class Histogram {
  /** How many durations are in each bucket, and not in one below; the last has no bound. */
  readonly counts: Float64Array = new Float64Array(HISTOGRAM_BUCKETS + 1);
  /** All durations together, in microseconds. */
  sumUs = 0;

  /** How many durations there are. */
  get count(): number {
    return this.counts.reduce((sum, count) => sum + count, 0);
  }

  /**
   * Counts a duration.
   *
   * @param us It, in microseconds.
   */
  add(us: number): void {
    this.sumUs += us;
    // Of a number n > 0, the bits of n - 1 tell the least power of two that is not below n.
    const bits = us > 2 ** 31 ? 32 : 32 - Math.clz32(Math.max(Math.ceil(us), 1) - 1);
    this.counts[Math.min(bits, HISTOGRAM_BUCKETS)]!++;
  }
}
