/**
 * Many schedules, one after the other.
 */

import { type Counts, countsOf } from "./coverage.ts";
import { NO_BUG, type PlantedBug } from "./planted_bugs.ts";
import { ProtocolCoverage } from "./protocol_coverage.ts";
import { hasHomes, runSchedule } from "./run_schedule.ts";

/** The result of many schedules. */
export interface BatchResult {
  /** How many were run; fewer than asked for after a failure. */
  readonly schedules: number;
  /** How many things happened in them. */
  readonly steps: number;
  /** What was visited, for each table of {@linkcode ProtocolCoverage}. */
  readonly counts: Counts;
  /** The first that failed, with the reason. */
  readonly failure: { readonly seed: number; readonly reason: string } | undefined;
}

/**
 * Runs schedules until one fails.
 *
 * @param seed The first one's seed.
 * @param count How many.
 * @param bug What is wrong with the nodes, if anything.
 * @param homes Whether only those are run that stand for homes on every node.
 * @returns What became of them.
 */
export function runBatch(
  seed: number,
  count: number,
  bug: PlantedBug = NO_BUG,
  homes = false,
): BatchResult {
  const coverage = new ProtocolCoverage();
  const counts = countsOf({ ...coverage });
  // A planted bug must be found by the promise that it breaks, not by an impossible cell of
  // coverage.
  const watching = bug === NO_BUG ? coverage : undefined;
  let steps = 0;
  let schedules = 0;
  for (let current = seed; current < seed + count; current++) {
    if (homes && !hasHomes(current)) continue;
    schedules++;
    try {
      steps += runSchedule(current, bug, watching).steps;
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      return { schedules, steps, counts, failure: { seed: current, reason } };
    }
  }
  return { schedules, steps, counts, failure: undefined };
}
