/**
 * What a node keeps of each page's bytes, and why: copies, bytes that are to come, and dead ones, which
 * this node may not read any more and has not given back yet. Together they count against the limit of
 * the node's memory.
 */

import type { PageRun } from "./page.ts";
import { PageTable } from "./page_table.ts";

/** What there is of a page's bytes at a node. */
export const Residence = {
  /** Nothing. */
  None: 0,
  /** Nothing yet: the page was requested. */
  Expected: 1,
  /** Dead bytes; the page was requested again. */
  Replaced: 2,
  /**
   * A copy that other nodes have too, as far as this node knows, and that threads may have touched since
   * the hand came by.
   */
  Used: 3,
  /** Such a copy that no window maps since the hand came by: an access to it faults, and is served here. */
  Idle: 4,
  /** As `Used`, but the only copy. */
  UsedAlone: 5,
  /** As `Idle`, but the only copy. */
  IdleAlone: 6,
  /** Dead bytes that no node will ask for. */
  Spent: 7,
  /** Dead bytes that another node may ask for, as long as the write runs for which they were dropped. */
  Dead: 8,
  /** A copy that no window maps; the home was asked to forget it, and others may ask for its bytes. */
  Dropping: 9,
  /** As `Dead`; the home was asked for its word that no node needs the bytes. */
  Forgone: 10,
} as const;
/** One of {@linkcode Residence}. */
export type Residence = typeof Residence[keyof typeof Residence];

const ALL = Object.values(Residence).filter((value) => value !== Residence.None);

/** The bytes of one node. */
export class ResidenceTable {
  readonly #table = new PageTable();

  /** What there is of a page. */
  get(page: number): Residence {
    return this.#table.get(page) as Residence;
  }

  /** From now on this is what there is of a run. */
  fill(first: number, count: number, value: Residence): void {
    this.#table.fill(first, count, value);
  }

  /** Each page of which there is something, with what it is. */
  *entries(): IterableIterator<[page: number, value: Residence]> {
    for (const [page, value] of this.#table.entries()) yield [page, value as Residence];
  }

  /** How many pages have one of these. */
  count(...values: readonly Residence[]): number {
    let count = 0;
    for (const value of values) count += this.#table.count(value);
    return count;
  }

  /** The pages that count against the limit. */
  get total(): number {
    return this.count(...ALL);
  }

  /** The next page with one of these, from `start` on and around. */
  next(values: readonly Residence[], start: number): number | undefined {
    return this.#table.next(values, start);
  }

  /** How many pages from `first` on, and no more than `limit`, have the same as the first. */
  extent(first: number, limit: number): number {
    const value = this.get(first);
    let count = 1;
    while (count < limit && this.get(first + count) === value) count++;
    return count;
  }

  /** Changes each page of a run. */
  change({ first, count }: PageRun, next: (value: Residence, page: number) => Residence): void {
    for (let page = first; page < first + count; page++) {
      const value = this.get(page);
      const changed = next(value, page);
      if (changed !== value) this.fill(page, 1, changed);
    }
  }
}
