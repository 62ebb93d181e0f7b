/**
 * What a cache counts.
 */

/** What a cache has counted since it was made. */
export interface CacheCounters {
  /** Faults that were told, old ones among them. */
  faults: number;
  /** Faults on pages that were here already. */
  staleFaults: number;
  /** Requests to read. */
  readMisses: number;
  /** Requests to write pages that were not here. */
  writeMisses: number;
  /** Requests to write pages that were here to read. */
  upgrades: number;
  /** Pages asked for ahead of a walk, whose requests are not counted above. */
  pagesAhead: number;
  /** Pages whose bytes came from another node. */
  pagesReceived: number;
  /** Pages that came without bytes, since nobody ever wrote them. */
  pagesZero: number;
  /** Pages whose bytes went to another node. */
  pagesSent: number;
  /** Pages dropped for another node's write. */
  pagesInvalidated: number;
}

/** @returns Counters that are all zero. */
export function noCounts(): CacheCounters {
  return {
    faults: 0,
    staleFaults: 0,
    readMisses: 0,
    writeMisses: 0,
    upgrades: 0,
    pagesAhead: 0,
    pagesReceived: 0,
    pagesZero: 0,
    pagesSent: 0,
    pagesInvalidated: 0,
  };
}
