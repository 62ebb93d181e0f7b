/**
 * One byte for each page of a region of up to 2^28 pages, in memory proportional to the pages touched.
 */

const CHUNK_PAGES = 4096;

/** A sparse array of bytes, indexed by page number; zero where nothing was set. */
export class PageTable {
  readonly #chunks = new Map<number, Uint8Array>();
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
      }
      if (chunk !== undefined) this.#set(chunk, page - start, stop - start, value);
      page = stop;
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
