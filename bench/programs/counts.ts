/** What is counted of a run, real or simulated. */

/** Sums over all nodes. */
export interface Counts {
  /** Messages between nodes about pages and synchronisation. */
  readonly messages: number;
  /** Their bytes, with those of pages. */
  readonly bytes: number;
  /** Requests for pages: to read, to write, and to write what is here to read. */
  readonly misses: number;
  /** Pages whose bytes moved. */
  readonly pages: number;
}

/** What a node counts, as far as it matters here. */
interface NodeCounters {
  readonly readMisses: number;
  readonly writeMisses: number;
  readonly upgrades: number;
  readonly pagesReceived: number;
}

/**
 * What one node has counted so far.
 *
 * @param counters What it counts of pages.
 * @param messages What it has sent.
 * @param bytes Their bytes.
 * @returns The counts.
 */
export function countsOf(counters: NodeCounters, messages: number, bytes: number): Counts {
  const { readMisses, writeMisses, upgrades, pagesReceived } = counters;
  return { messages, bytes, misses: readMisses + writeMisses + upgrades, pages: pagesReceived };
}

/** @returns What was counted from `before` to `after`. */
export function difference(before: Counts, after: Counts): Counts {
  return {
    messages: after.messages - before.messages,
    bytes: after.bytes - before.bytes,
    misses: after.misses - before.misses,
    pages: after.pages - before.pages,
  };
}

/** @returns The counts of all nodes together. */
export function total(all: readonly Counts[]): Counts {
  const sum = (field: keyof Counts) => all.reduce((sum, counts) => sum + counts[field], 0);
  return {
    messages: sum("messages"),
    bytes: sum("bytes"),
    misses: sum("misses"),
    pages: sum("pages"),
  };
}
