/**
 * Properties that must sometimes hold: a run that never gets into a corner proves nothing about it.
 */

const CORNERS = [
  /** A permit or a mutex went to somebody who waited for it. */
  "handOff",
  /** An arrival completed a barrier at which others waited. */
  "barrierPassed",
  /** An arrival came with another number of parties than others. */
  "partiesMismatch",
  /** A cancel came in time. */
  "cancelled",
  /** A cancel came when the grant was on its way already. */
  "cancelledTooLate",
  /** A node died while it waited. */
  "diedWaiting",
  /** A node died while it held a mutex, and the next holder was told. */
  "abandoned",
  /** A grant was on its way to a node that had died. */
  "grantLost",
  /** A node left while it waited or held something. */
  "leftInUse",
  /** A request arrived from a node that was given up already. */
  "lateRequest",
  /** A semaphore could not count what was released. */
  "overflow",
  /** A mutex was unlocked by somebody who did not hold it. */
  "notHolder",
  /** A semaphore was made. */
  "made",
  /** A try found nothing. */
  "unavailable",
  /** There was no room. */
  "limitExceeded",
] as const;

/** The name of a corner. */
export type SyncCorner = typeof CORNERS[number];

/** How often each corner was reached. */
export type SyncCoverage = Record<SyncCorner, number>;

/** @returns Counters that are all zero. */
export function emptySyncCoverage(): SyncCoverage {
  return Object.fromEntries(CORNERS.map((corner) => [corner, 0])) as SyncCoverage;
}
