/** The memory that processes of a long run have for themselves, which must not grow. */

import type { TestProcess } from "./test_process.ts";

/** How many samples of memory are taken in a run. */
export const SAMPLES = 40;
/** How many samples a median is taken of. */
const MEDIAN_SAMPLES = 8;
/**
 * A flag of V8. Left to itself V8 lets the part of the heap for new objects grow, by steps of some
 * 15 MiB and over many minutes, as long as objects are made: beside that a leak of a few MiB would
 * not be seen.
 */
export const SMALL_HEAP = "--max-semi-space-size=2";

/** How much memory a process used, in bytes. */
export interface MemoryUse {
  /** The use after the warm-up: a median. */
  readonly first: number;
  /** The use at the end: a median. */
  readonly last: number;
  /** Every sample, in the order in which they were taken. */
  readonly samples: readonly number[];
}

/**
 * The anonymous memory of a process; the region is shared memory, and does not count.
 *
 * @param process The process.
 * @returns It, in bytes.
 */
export async function ownBytes(process: TestProcess): Promise<number> {
  const status = await process.proc("status");
  return 1024 * Number(/^RssAnon:\s+(\d+) kB$/m.exec(status)?.[1] ?? NaN);
}

/**
 * Compares the beginning of a run with its end.
 *
 * @param samples The memory of a process, in bytes, the first sample first.
 * @returns Both.
 */
export function memoryUse(samples: readonly number[]): MemoryUse {
  return {
    samples,
    first: median(samples.slice(0, 2 * MEDIAN_SAMPLES).slice(-MEDIAN_SAMPLES)),
    last: median(samples.slice(-MEDIAN_SAMPLES)),
  };
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? NaN;
}
