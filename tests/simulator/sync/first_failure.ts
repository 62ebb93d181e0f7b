/** Schedules one after the other, until one fails. */

/** A schedule that failed. */
export interface Failure {
  readonly seed: number;
  /** The promise that is broken. */
  readonly reason: string;
}

/**
 * Runs schedules until one fails.
 *
 * @param seed The first one's seed.
 * @param count How many.
 * @param run Runs the schedule of a seed; throws where a promise is broken.
 * @returns The one that failed; `undefined` where none did.
 */
export function firstFailure(
  seed: number,
  count: number,
  run: (seed: number) => void,
): Failure | undefined {
  for (let current = seed; current < seed + count; current++) {
    try {
      run(current);
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      return { seed: current, reason };
    }
  }
  return undefined;
}
