/**
 * Properties that must sometimes hold: a simulator that never gets into a corner proves nothing
 * about it. Each counter stands for one corner, and a standard run must reach all of them.
 */

const CORNERS = [
  /** A page that nobody ever had was granted without bytes. */
  "zeroGrant",
  /** The right to write was granted to a node that kept its bytes. */
  "keptGrant",
  /** One grant carried the bytes of several pages. */
  "dataRun",
  /** Fewer pages were granted than were asked for. */
  "trimmedRun",
  /** A node that asked to write its copy lost that copy first, and got bytes instead. */
  "upgradeRace",
  /** A demand waited for the end of a hold. */
  "deferredDemand",
  /** A request waited for another transaction on its page. */
  "queuedRequest",
  /** A copy was dropped for another node's write. */
  "invalidated",
  /** A fault was read when its page was mapped already, or in another window only. */
  "staleFault",
  /** The bytes of a grant had no place to go, since nobody waited for them any more. */
  "dataRejected",
  /** A node joined while others worked. */
  "lateJoin",
  /** A node left, and everybody else went on. */
  "left",
  /** The home took over pages that only a leaving node had. */
  "leaveTakeover",
  /** A node died. */
  "died",
  /** A grant was cut off with the death of its sender. */
  "grantCut",
  /** A node kept its copy, since whoever wanted it was dead. */
  "refused",
  /** Another copy was sent in place of one whose node had died. */
  "resourcedRead",
  /** The bytes of a copy that was dropped already were sent in place of those of a dead node. */
  "resourcedWrite",
  /** A page was lost with the node that had its only copy. */
  "lostPage",
] as const;

/** The name of a corner. */
export type Corner = typeof CORNERS[number];

/** How often each corner was reached. */
export type Coverage = Record<Corner, number>;

/** @returns Counters that are all zero. */
export function emptyCoverage(): Coverage {
  return Object.fromEntries(CORNERS.map((corner) => [corner, 0])) as Coverage;
}

/**
 * Adds counters to others.
 *
 * @param into What they are added to.
 * @param from What is added.
 */
export function addCoverage(into: Coverage, from: Coverage): void {
  for (const corner of CORNERS) into[corner] += from[corner];
}
