/**
 * Sets of pages that no program needs any more and that are yet to be cleared. Marks take memory by
 * chunk, and only while a page of the chunk is marked.
 */

import type { PageRun } from "./page.ts";
import { SparseArray } from "./sparse_array.ts";

const CHUNK_BITS = 9;
const CHUNK_PAGES = 2 ** CHUNK_BITS;
const MARK = 1;
/** Stands for any chunk of which all pages are marked, and is never changed: most are so. */
const WHOLE = new Uint8Array(CHUNK_PAGES).fill(MARK);

/** A set of pages, kept for walks over it in ascending order. */
export class FreedPages {
  readonly #chunks = new SparseArray<Uint8Array>();
  #chunkCount = 0;

  /** Whether there is none. */
  get isEmpty(): boolean {
    return this.#chunkCount === 0;
  }

  /** Whether a page is one of them. */
  has(page: number): boolean {
    return this.#chunks.get(page >>> CHUNK_BITS)?.[page % CHUNK_PAGES] === MARK;
  }

  /** The pages of a run are of them from now on. */
  add({ first, count }: PageRun): void {
    for (let page = first; page < first + count;) {
      const index = page >>> CHUNK_BITS;
      const start = index * CHUNK_PAGES;
      const stop = Math.min(first + count, start + CHUNK_PAGES);
      if (stop - page === CHUNK_PAGES) this.#set(index, WHOLE);
      else this.#own(index).fill(MARK, page - start, stop - start);
      page = stop;
    }
  }

  /**
   * The pages of a run are of them no longer. Costs the marked parts of the run, however long that
   * is.
   */
  delete({ first, count }: PageRun): void {
    if (this.isEmpty) return;
    const end = first + count;
    for (let page = first; page < end;) {
      const index = this.#chunks.next(page >>> CHUNK_BITS, ((end - 1) >>> CHUNK_BITS) + 1);
      if (index === undefined) return;
      const start = index * CHUNK_PAGES;
      const from = Math.max(page, start);
      const stop = Math.min(end, start + CHUNK_PAGES);
      if (stop - from === CHUNK_PAGES) this.#set(index, undefined);
      else {
        const chunk = this.#own(index).fill(0, from - start, stop - start);
        if (!chunk.includes(MARK)) this.#set(index, undefined);
      }
      page = stop;
    }
  }

  /** A chunk that this set alone has, and may change. */
  #own(index: number): Uint8Array {
    let chunk = this.#chunks.get(index);
    if (chunk === undefined || chunk === WHOLE) {
      chunk = chunk === undefined ? new Uint8Array(CHUNK_PAGES) : WHOLE.slice();
      this.#set(index, chunk);
    }
    return chunk;
  }

  #set(index: number, chunk: Uint8Array | undefined): void {
    if (this.#chunks.get(index) === undefined) this.#chunkCount++;
    if (chunk === undefined) this.#chunkCount--;
    this.#chunks.set(index, chunk);
  }

  /** Puts those of a run into another set, and takes them from this one. */
  move({ first, count }: PageRun, target: FreedPages): void {
    const end = first + count;
    for (let page = this.next(first, end); page !== undefined; page = this.next(page, end)) {
      const index = page >>> CHUNK_BITS;
      const start = index * CHUNK_PAGES;
      const stop = Math.min(end, start + CHUNK_PAGES);
      const isWhole = first <= start && stop === start + CHUNK_PAGES;
      if (isWhole && target.#chunks.get(index) === undefined) {
        target.#set(index, this.#chunks.get(index));
        this.#set(index, undefined);
      } else this.#moveWithin(page, stop, target);
      page = stop;
    }
  }

  /** Moves marks of one chunk, from a marked page on. */
  #moveWithin(start: number, end: number, target: FreedPages): void {
    for (let page = start; page < end;) {
      const run = { first: page, count: 1 };
      while (page + run.count < end && this.has(page + run.count)) run.count++;
      target.add(run);
      this.delete(run);
      page = this.next(page + run.count, end) ?? end;
    }
  }

  /** The first of them from `start` on and before `end`; `undefined` where there is none. */
  next(start: number, end = Infinity): number | undefined {
    const last = Math.ceil(end / CHUNK_PAGES);
    let index = this.#chunks.next(start >>> CHUNK_BITS, last);
    for (; index !== undefined; index = this.#chunks.next(index + 1, last)) {
      const first = index * CHUNK_PAGES;
      const offset = this.#chunks.get(index)!.indexOf(MARK, Math.max(0, start - first));
      if (offset >= 0) return first + offset < end ? first + offset : undefined;
    }
    return undefined;
  }
}
