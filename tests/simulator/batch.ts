/**
 * Many schedules, one after the other.
 */

import { addCoverage, type Coverage, emptyCoverage } from "./coverage.ts";
import type { PlantedBug } from "./planted_bugs.ts";
import { NO_BUG, runSchedule } from "./schedule.ts";

/** What became of many schedules. */
export interface BatchResult {
  /** How many were run; fewer than asked for after a failure. */
  readonly schedules: number;
  /** How many things happened in them. */
  readonly steps: number;
  /** Which corners they got into. */
  readonly coverage: Coverage;
  /** The first that failed, with the reason. */
  readonly failure: { readonly seed: number; readonly reason: string } | undefined;
}

/**
 * Runs schedules until one fails.
 *
 * @param seed The first one's seed.
 * @param count How many.
 * @param stride The distance between two seeds.
 * @param bug What is wrong with the nodes, if anything.
 * @returns What became of them.
 */
export function runBatch(
  seed: number,
  count: number,
  stride = 1,
  bug: PlantedBug = NO_BUG,
): BatchResult {
  const coverage = emptyCoverage();
  let steps = 0;
  for (let done = 0; done < count; done++) {
    const current = seed + done * stride;
    try {
      const result = runSchedule(current, bug);
      steps += result.steps;
      addCoverage(coverage, result.coverage);
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      return { schedules: done + 1, steps, coverage, failure: { seed: current, reason } };
    }
  }
  return { schedules: count, steps, coverage, failure: undefined };
}
