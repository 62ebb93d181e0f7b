/** Measuring one thing many times. */

/** A distribution, in the unit of what was measured. */
export interface Distribution {
  /** How many times it was measured. */
  readonly count: number;
  /** The median. */
  readonly p50: number;
  /** What one in a hundred exceeds. */
  readonly p99: number;
  /** The least. */
  readonly min: number;
  /** The greatest. */
  readonly max: number;
}

/**
 * Sums up measurements.
 *
 * @param values The measurements, in any order; at least one.
 * @returns Their distribution.
 * @throws {RangeError} When there is none.
 */
export function distribution(values: readonly number[]): Distribution {
  if (values.length === 0) throw new RangeError("Cannot sum up no measurements");
  const sorted = Float64Array.from(values).sort();
  const count = sorted.length;
  const p50 = (sorted[(count - 1) >> 1]! + sorted[count >> 1]!) / 2;
  const p99 = sorted[Math.ceil(count * 0.99) - 1]!;
  return { count, p50, p99, min: sorted[0]!, max: sorted[count - 1]! };
}
