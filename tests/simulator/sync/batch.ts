/**
 * Many schedules, one after the other.
 */

import { SYNC_PARTS, type SyncParts } from "../../../runtime/protocol/sync/synchronizer.ts";
import { SyncCoverage } from "./coverage.ts";
import { type Failure, firstFailure } from "./first_failure.ts";
import { SyncSchedule } from "./schedule.ts";

/** What became of many schedules. */
export interface SyncBatch {
  /** What was visited. */
  readonly coverage: SyncCoverage;
  /** The first that failed, with the reason. */
  readonly failure: Failure | undefined;
}

/**
 * Runs schedules until one fails.
 *
 * @param seed The first one's seed.
 * @param count How many.
 * @param parts What the synchronizer is made of.
 * @returns What became of them.
 */
export function runSyncBatch(
  seed: number,
  count: number,
  parts: SyncParts = SYNC_PARTS,
): SyncBatch {
  const coverage = new SyncCoverage();
  const run = (seed: number) => new SyncSchedule(seed, parts, coverage).run();
  return { coverage, failure: firstFailure(seed, count, run) };
}
