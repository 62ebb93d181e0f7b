/**
 * One byte for each page of a region of up to 2^28 pages, in memory proportional to the pages
 * touched. What is asked or changed is about runs of pages: a run's chunk is looked up once, and
 * the loop over its bytes does nothing else.
 */

import type { PageRun } from "./page.ts";
import { SparseArray } from "./sparse_array.ts";

const CHUNK_BITS = 12;
const CHUNK_PAGES = 2 ** CHUNK_BITS;
const CHUNK_MASK = CHUNK_PAGES - 1;

/** A sparse array of bytes, indexed by page number; zero where nothing was set. */
export class PageTable<Value extends number = number> {
  readonly #chunks = new SparseArray<Uint8Array>();
  /** How many pages have each byte; for zero, how many others there are, as a negative number. */
  readonly #counts = new Int32Array(256);

  /** How many pages have a byte that is not zero. */
  get size(): number {
    return -this.#counts[0]!;
  }

  /** How many pages have one of these bytes, which are not zero. */
  count(...values: readonly Value[]): number {
    let count = 0;
    for (const value of values) count += this.#counts[value]!;
    return count;
  }

  /** The page's byte. */
  get(page: number): Value {
    return (this.#chunks.get(page >>> CHUNK_BITS)?.[page & CHUNK_MASK] ?? 0) as Value;
  }

  /** How many pages from `first` on, and no more than `limit`, have the same byte as the first. */
  extent(first: number, limit: number): number {
    if (limit === 1) return limit;
    const value = this.get(first);
    const end = first + limit;
    for (let page = first; page < end;) {
      const chunk = this.#chunks.get(page >>> CHUNK_BITS);
      const from = page & CHUNK_MASK;
      const to = Math.min(CHUNK_PAGES, from + end - page);
      const stop = chunk === undefined
        ? value === 0 ? to : from
        : firstOther(chunk, value, from, to);
      page += stop - from;
      if (stop < to) return page - first;
    }
    return limit;
  }

  /** How many pages of a run have each of these bytes, which are not zero. */
  countsIn({ first, count }: PageRun, ...values: readonly Value[]): number[] {
    const counts = new Int32Array(256);
    const end = first + count;
    const endIndex = Math.ceil(end / CHUNK_PAGES);
    let index = this.#chunks.next(first >>> CHUNK_BITS, endIndex);
    for (; index !== undefined; index = this.#chunks.next(index + 1, endIndex)) {
      const start = index * CHUNK_PAGES;
      const chunk = this.#chunks.get(index)!;
      const to = Math.min(CHUNK_PAGES, end - start);
      // By page, not by extent: pages of two states in turn would be a look-up each.
      for (let offset = Math.max(0, first - start); offset < to; offset++) {
        counts[chunk[offset]!]!++;
      }
    }
    return values.map((value) => counts[value]!);
  }

  /** Sets the byte of each page of a run. */
  fill(first: number, count: number, value: Value): void {
    const end = first + count;
    for (let page = first; page < end;) {
      const index = page >>> CHUNK_BITS;
      const from = page & CHUNK_MASK;
      const to = Math.min(CHUNK_PAGES, from + end - page);
      let chunk = this.#chunks.get(index);
      if (chunk === undefined && value !== 0) {
        chunk = new Uint8Array(CHUNK_PAGES);
        this.#chunks.set(index, chunk);
      }
      if (chunk !== undefined) this.#set(chunk, from, to, value);
      page += to - from;
    }
  }

  /**
   * Changes the bytes of a run.
   *
   * @param run The run.
   * @param next Returns what a byte becomes; called once for pages of a chunk in a row that have
   * the same.
   * @returns Whether any byte has changed.
   */
  change({ first, count }: PageRun, next: (value: Value) => Value): boolean {
    const end = first + count;
    let hasChanged = false;
    for (let page = first; page < end;) {
      const chunk = this.#chunks.get(page >>> CHUNK_BITS);
      const from = page & CHUNK_MASK;
      const to = Math.min(CHUNK_PAGES, from + end - page);
      const value = (chunk === undefined ? 0 : chunk[from]!) as Value;
      const stop = chunk === undefined ? to : firstOther(chunk, value, from + 1, to);
      const changed = next(value);
      if (changed !== value) {
        if (chunk === undefined) this.fill(page, stop - from, changed);
        else this.#set(chunk, from, stop, changed);
        hasChanged = true;
      }
      page += stop - from;
    }
    return hasChanged;
  }

  /**
   * The next page with one of these bytes, which are not zero.
   *
   * @param values The bytes.
   * @param start Where to begin; behind the last page the search goes on from the first one.
   * @returns The page; `undefined` when no page has one of the bytes.
   */
  next(values: readonly Value[], start: number): number | undefined {
    if (this.count(...values) === 0) return undefined;
    const own = start >>> CHUNK_BITS;
    let index = this.#chunks.next(own);
    let from = index === own ? start & CHUNK_MASK : 0;
    for (;;) {
      if (index === undefined) index = this.#chunks.next(0)!;
      const offset = nextIn(this.#chunks.get(index)!, values, from);
      if (offset !== undefined) return index * CHUNK_PAGES + offset;
      index = this.#chunks.next(index + 1);
      from = 0;
    }
  }

  /** Each page whose byte is not zero, with it, in ascending order. */
  *entries(): IterableIterator<[page: number, value: Value]> {
    let index = this.#chunks.next(0);
    for (; index !== undefined; index = this.#chunks.next(index + 1)) {
      for (const [offset, value] of this.#chunks.get(index)!.entries()) {
        if (value !== 0) yield [index * CHUNK_PAGES + offset, value as Value];
      }
    }
  }

  #set(chunk: Uint8Array, from: number, to: number, value: Value): void {
    const counts = this.#counts;
    for (let offset = from; offset < to;) {
      const old = chunk[offset]!;
      const start = offset;
      for (; offset < to && chunk[offset] === old; offset++) chunk[offset] = value;
      counts[old]! -= offset - start;
    }
    counts[value]! += to - from;
  }
}

/** The first offset from `from` up to `to` with another byte than this one; `to` if none has. */
function firstOther(chunk: Uint8Array, value: number, from: number, to: number): number {
  let offset = from;
  while (offset < to && chunk[offset] === value) offset++;
  return offset;
}

/** The first offset from `from` on with one of the bytes. */
function nextIn(chunk: Uint8Array, values: readonly number[], from: number): number | undefined {
  let found: number | undefined;
  for (const value of values) {
    const offset = chunk.indexOf(value, from);
    if (offset >= 0 && (found === undefined || offset < found)) found = offset;
  }
  return found;
}
