/** Measuring one thing many times. */

/** A distribution, in microseconds. */
export interface Samples {
  /** The median. */
  readonly p50: number;
  /** What one in a hundred exceeds. */
  readonly p99: number;
}

/**
 * Sums up measurements.
 *
 * @param milliseconds The measurements.
 * @returns Their distribution.
 */
export function samples(milliseconds: readonly number[]): Samples {
  const sorted = milliseconds.map((ms) => ms * 1000).sort((a, b) => a - b);
  return { p50: sorted[sorted.length >> 1]!, p99: sorted[Math.floor(sorted.length * 0.99)]! };
}
