/**
 * Runs of pages, found by page: the transactions of a home, the requests of a cache. No two of them
 * have a page in common. Adding, finding and removing one costs the same with ten runs and with ten
 * thousand: a `Map` of so many is copied now and then, since what was deleted leaves holes in it.
 */

import type { PageRun } from "./page.ts";
import { SparseArray } from "./sparse_array.ts";

const CHUNK_BITS = 7;
const CHUNK_PAGES = 2 ** CHUNK_BITS;
/** The empty chunks that are kept to be used again. */
const SPARE_CHUNKS = 64;

/** A run in its place among the others. */
interface Entry<Run> {
  readonly run: Run;
  previous: Entry<Run> | undefined;
  next: Entry<Run> | undefined;
}

/** For some pages in a row the runs that have them. */
interface Chunk<Run> {
  readonly entries: (Entry<Run> | undefined)[];
  /** How many of the pages a run has. */
  size: number;
}

/** Disjoint runs, in the order in which they were added. */
export class RunTable<Run extends PageRun> {
  readonly #chunks = new SparseArray<Chunk<Run>>();
  readonly #spares: Chunk<Run>[] = [];
  #first: Entry<Run> | undefined;
  #last: Entry<Run> | undefined;
  #size = 0;

  /** How many runs there are. */
  get size(): number {
    return this.#size;
  }

  /** The run that was added first. */
  get first(): Run | undefined {
    return this.#first?.run;
  }

  /** Every run, in the order in which they were added; those that are added meanwhile too. */
  *values(): Generator<Run, void> {
    for (let entry = this.#first; entry !== undefined; entry = entry.next) yield entry.run;
  }

  /** The run that has the page. */
  at(page: number): Run | undefined {
    return this.#entry(page)?.run;
  }

  /** The first page from `start` on that a run has, or `end` where that page is not before `end`. */
  next(start: number, end: number): number {
    const last = ((end - 1) >>> CHUNK_BITS) + 1;
    let index = this.#chunks.next(start >>> CHUNK_BITS, last);
    for (; index !== undefined; index = this.#chunks.next(index + 1, last)) {
      const { entries } = this.#chunks.get(index)!;
      const stop = Math.min(end, (index + 1) * CHUNK_PAGES);
      for (let page = Math.max(start, index * CHUNK_PAGES); page < stop; page++) {
        if (entries[page % CHUNK_PAGES] !== undefined) return page;
      }
    }
    return end;
  }

  /** Adds a run of pages that no other run has. */
  add(run: Run): void {
    const entry: Entry<Run> = { run, previous: this.#last, next: undefined };
    if (this.#last === undefined) this.#first = entry;
    else this.#last.next = entry;
    this.#last = entry;
    this.#size++;
    this.#fill(run, entry);
  }

  /** Whether the run was added. */
  has(run: Run): boolean {
    return this.at(run.first) === run;
  }

  /** Removes a run that was added. */
  delete(run: Run): void {
    const { previous, next } = this.#entry(run.first)!;
    if (previous === undefined) this.#first = next;
    else previous.next = next;
    if (next === undefined) this.#last = previous;
    else next.previous = previous;
    this.#size--;
    this.#fill(run, undefined);
  }

  /** Removes every run. */
  clear(): void {
    for (const run of this.values()) this.delete(run);
  }

  #entry(page: number): Entry<Run> | undefined {
    return this.#chunks.get(page >>> CHUNK_BITS)?.entries[page % CHUNK_PAGES];
  }

  /** Puts an entry at each page of its run, or takes it from there. */
  #fill({ first, count }: PageRun, entry: Entry<Run> | undefined): void {
    for (let page = first; page < first + count;) {
      const index = page >>> CHUNK_BITS;
      const start = index * CHUNK_PAGES;
      const stop = Math.min(first + count, start + CHUNK_PAGES);
      const chunk = this.#chunks.get(index) ?? this.#addChunk(index);
      chunk.size += entry === undefined ? page - stop : stop - page;
      for (; page < stop; page++) chunk.entries[page - start] = entry;
      if (chunk.size === 0) this.#deleteChunk(index, chunk);
    }
  }

  #addChunk(index: number): Chunk<Run> {
    const chunk = this.#spares.pop() ?? { entries: Array(CHUNK_PAGES).fill(undefined), size: 0 };
    this.#chunks.set(index, chunk);
    return chunk;
  }

  #deleteChunk(index: number, chunk: Chunk<Run>): void {
    this.#chunks.set(index, undefined);
    if (this.#spares.length < SPARE_CHUNKS) this.#spares.push(chunk);
  }
}
