/**
 * One byte for each page of a region of up to 2^28 pages, in memory proportional to the pages touched.
 */

const CHUNK_PAGES = 4096;

/** A sparse array of bytes, indexed by page number; zero where nothing was set. */
export class PageTable {
  readonly #chunks = new Map<number, Uint8Array>();
  /** The numbers of the chunks, in ascending order. */
  readonly #order: number[] = [];
  /** How many pages have each byte but zero. */
  readonly #counts = new Uint32Array(256);

  /** How many pages have this byte, which is not zero. */
  count(value: number): number {
    return this.#counts[value]!;
  }

  /** The page's byte. */
  get(page: number): number {
    const chunk = this.#chunks.get(Math.floor(page / CHUNK_PAGES));
    return chunk === undefined ? 0 : chunk[page % CHUNK_PAGES]!;
  }

  /** Sets the byte of each page of a run. */
  fill(first: number, count: number, value: number): void {
    const end = first + count;
    for (let page = first; page < end;) {
      const index = Math.floor(page / CHUNK_PAGES);
      const start = index * CHUNK_PAGES;
      const stop = Math.min(end, start + CHUNK_PAGES);
      let chunk = this.#chunks.get(index);
      if (chunk === undefined && value !== 0) {
        chunk = new Uint8Array(CHUNK_PAGES);
        this.#chunks.set(index, chunk);
        this.#order.splice(firstAtLeast(this.#order, index), 0, index);
      }
      if (chunk !== undefined) this.#set(chunk, page - start, stop - start, value);
      page = stop;
    }
  }

  /** Gives those pages of a run that have one byte another one. */
  replace(first: number, count: number, from: number, to: number): void {
    for (let page = first; page < first + count; page++) {
      if (this.get(page) === from) this.fill(page, 1, to);
    }
  }

  #set(chunk: Uint8Array, from: number, to: number, value: number): void {
    for (let offset = from; offset < to; offset++) {
      const old = chunk[offset]!;
      if (old !== 0) this.#counts[old]!--;
    }
    chunk.fill(value, from, to);
    if (value !== 0) this.#counts[value]! += to - from;
  }

  /**
   * The next page with one of these bytes, which are not zero.
   *
   * @param values The bytes.
   * @param start Where to begin; behind the last page the search goes on from the first one.
   * @returns The page; `undefined` when no page has one of the bytes.
   */
  next(values: readonly number[], start: number): number | undefined {
    if (values.every((value) => this.#counts[value] === 0)) return undefined;
    const order = this.#order;
    const own = Math.floor(start / CHUNK_PAGES);
    const at = firstAtLeast(order, own);
    // The chunk where the search begins is looked at once more at the end, for what is before `start`.
    for (let step = 0; step <= order.length; step++) {
      const index = order[(at + step) % order.length]!;
      const from = step === 0 && index === own ? start % CHUNK_PAGES : 0;
      const offset = nextIn(this.#chunks.get(index)!, values, from);
      if (offset !== undefined) return index * CHUNK_PAGES + offset;
    }
    return undefined;
  }

  /** Each page whose byte is not zero, with it, in ascending order within a chunk. */
  *entries(): IterableIterator<[page: number, value: number]> {
    for (const [index, chunk] of this.#chunks) {
      for (let offset = 0; offset < CHUNK_PAGES; offset++) {
        const value = chunk[offset]!;
        if (value !== 0) yield [index * CHUNK_PAGES + offset, value];
      }
    }
  }
}

/** Where a number is, or belongs, in numbers that ascend. */
function firstAtLeast(numbers: readonly number[], value: number): number {
  let low = 0;
  for (let high = numbers.length; low < high;) {
    const middle = (low + high) >>> 1;
    if (numbers[middle]! < value) low = middle + 1;
    else high = middle;
  }
  return low;
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
