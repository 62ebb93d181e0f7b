/**
 * Runs of pages, found by page: the transactions of a home, the requests of a cache. No two of them
 * have a page in common. Adding, finding and removing one costs the same with ten runs and with ten
 * thousand: a `Map` of so many is copied now and then, since what was deleted leaves holes in it.
 */

import type { PageRun } from "./page.ts";
import { SparseArray } from "./sparse_array.ts";

const CHUNK_BITS = 7;
const CHUNK_PAGES = 2 ** CHUNK_BITS;
const CHUNK_MASK = CHUNK_PAGES - 1;
/** The empty chunks that are kept to be used again. */
const SPARE_CHUNKS = 64;

/** A run in its place among the others. */
interface Entry<Run> {
  readonly run: Run;
  /** By which chunks refer to the run: numbers are put into pages faster than objects. */
  readonly number: number;
  /** The entry before this one; of one that was deleted, the entry before it then. */
  previous: Entry<Run> | undefined;
  /** What was deleted has none: it would keep younger entries alive that were deleted after it. */
  next: Entry<Run> | undefined;
  isDeleted: boolean;
}

/** For some pages in a row the runs that have them. */
interface Chunk {
  /** For each page the number of its run; 0 for none. */
  readonly numbers: Uint32Array;
  /** How many of the pages a run has. */
  size: number;
}

/** The number of the run that has all pages of a chunk: long runs take next to no memory. */
type WholeChunk = number;

/** Disjoint runs, in the order in which they were added. */
export class RunTable<Run extends PageRun> {
  readonly #chunks = new SparseArray<Chunk | WholeChunk>();
  readonly #spares: Chunk[] = [];
  /** The runs by number. */
  readonly #entries: (Entry<Run> | undefined)[] = [undefined];
  /** The numbers that no run has any more. */
  readonly #free: number[] = [];
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
    for (let entry = this.#first; entry !== undefined; entry = this.#behind(entry)) {
      yield entry.run;
    }
  }

  /** The run that has the page. */
  at(page: number): Run | undefined {
    return this.#entry(page)?.run;
  }

  /** The first page from `start` on that a run has, or `end` if there is none before `end`. */
  next(start: number, end: number): number {
    const last = ((end - 1) >>> CHUNK_BITS) + 1;
    let index = this.#chunks.next(start >>> CHUNK_BITS, last);
    for (; index !== undefined; index = this.#chunks.next(index + 1, last)) {
      const chunk = this.#chunks.get(index)!;
      if (typeof chunk === "number") return Math.max(start, index * CHUNK_PAGES);
      const { numbers } = chunk;
      const stop = Math.min(end, (index + 1) * CHUNK_PAGES);
      for (let page = Math.max(start, index * CHUNK_PAGES); page < stop; page++) {
        if (numbers[page & CHUNK_MASK] !== 0) return page;
      }
    }
    return end;
  }

  /** Adds a run of pages that no other run has. */
  add(run: Run): void {
    const number = this.#free.pop() ?? this.#entries.length;
    const previous = this.#last;
    const entry: Entry<Run> = { run, number, previous, next: undefined, isDeleted: false };
    this.#entries[number] = entry;
    if (previous === undefined) this.#first = entry;
    else previous.next = entry;
    this.#last = entry;
    this.#size++;
    this.#fill(run, number);
  }

  /** Whether the run was added. */
  has(run: Run): boolean {
    return this.at(run.first) === run;
  }

  /** Removes a run that was added. */
  delete(run: Run): void {
    const entry = this.#entry(run.first)!;
    const { number, previous, next } = entry;
    this.#entries[number] = undefined;
    this.#free.push(number);
    if (previous === undefined) this.#first = next;
    else previous.next = next;
    if (next === undefined) this.#last = previous;
    else next.previous = previous;
    entry.next = undefined;
    entry.isDeleted = true;
    this.#size--;
    this.#fill(run, 0);
  }

  /** Removes every run. */
  clear(): void {
    for (const run of this.values()) this.delete(run);
  }

  /** The entry behind one that may have been deleted since it was found. */
  #behind(entry: Entry<Run>): Entry<Run> | undefined {
    let before: Entry<Run> | undefined = entry;
    while (before?.isDeleted) before = before.previous;
    return before === undefined ? this.#first : before.next;
  }

  #entry(page: number): Entry<Run> | undefined {
    const chunk = this.#chunks.get(page >>> CHUNK_BITS);
    if (chunk === undefined) return undefined;
    return this.#entries[typeof chunk === "number" ? chunk : chunk.numbers[page & CHUNK_MASK]!];
  }

  /** Puts a number at each page of a run; 0 takes the one that is there away. */
  #fill({ first, count }: PageRun, number: number): void {
    const end = first + count;
    for (let page = first; page < end;) {
      const index = page >>> CHUNK_BITS;
      const from = page & CHUNK_MASK;
      const to = Math.min(CHUNK_PAGES, from + end - page);
      page += to - from;
      if (to - from === CHUNK_PAGES) this.#chunks.set(index, number || undefined);
      else this.#fillPart(index, from, to, number);
    }
  }

  /** The same between two offsets of a chunk. */
  #fillPart(index: number, from: number, to: number, number: number): void {
    const chunk = this.#chunks.get(index) as Chunk | undefined ?? this.#addChunk(index);
    const { numbers } = chunk;
    for (let offset = from; offset < to; offset++) numbers[offset] = number;
    chunk.size += number === 0 ? from - to : to - from;
    if (chunk.size === 0) this.#deleteChunk(index, chunk);
  }

  #addChunk(index: number): Chunk {
    const chunk = this.#spares.pop() ?? { numbers: new Uint32Array(CHUNK_PAGES), size: 0 };
    this.#chunks.set(index, chunk);
    return chunk;
  }

  #deleteChunk(index: number, chunk: Chunk): void {
    this.#chunks.set(index, undefined);
    if (this.#spares.length < SPARE_CHUNKS) this.#spares.push(chunk);
  }
}
