/**
 * Many schedules, one after the other.
 */

import { SYNC_PARTS, type SyncParts } from "../../runtime/protocol/synchronizer.ts";
import { emptySyncCoverage, type SyncCorner, type SyncCoverage } from "./coverage.ts";
import { SyncSchedule } from "./schedule.ts";

/** What became of many schedules. */
export interface SyncBatch {
  /** Which corners they got into. */
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
  const coverage = emptySyncCoverage();
  for (let current = seed; current < seed + count; current++) {
    const schedule = new SyncSchedule(current, parts);
    try {
      schedule.run();
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      return { coverage, failure: { seed: current, reason } };
    }
    for (const [corner, times] of Object.entries(schedule.coverage)) {
      coverage[corner as SyncCorner] += times;
    }
  }
  return { coverage, failure: undefined };
}
