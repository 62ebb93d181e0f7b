/**
 * Many schedules, one after the other.
 */

import { SYNC_PARTS, type SyncParts } from "../../../runtime/protocol/sync/synchronizer.ts";
import { SyncCoverage } from "./coverage.ts";
import { SyncSchedule } from "./schedule.ts";

/** What became of many schedules. */
export interface SyncBatch {
  /** What was visited. */
  readonly coverage: SyncCoverage;
  /** The first that failed, with the reason. */
  readonly failure: { readonly seed: number; readonly reason: string } | undefined;
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
  for (let current = seed; current < seed + count; current++) {
    try {
      new SyncSchedule(current, parts, coverage).run();
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      return { coverage, failure: { seed: current, reason } };
    }
  }
  return { coverage, failure: undefined };
}
