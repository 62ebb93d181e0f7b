/**
 * The nodes that have a copy of each page, and the one of them that is the owner: it is asked for
 * the bytes. Memory is proportional to the pages that any node ever touched.
 */

import type { NodeId } from "./messages.ts";

const CHUNK_PAGES = 512;
const WORD_BITS = 32;

interface Chunk {
  readonly owners: Uint16Array;
  /** What is known of each page's migration; see `migration.ts`. */
  readonly migrations: Uint8Array;
  /** `words` words of bits for each page; bit `n` stands for node `n`. */
  sharers: Uint32Array;
}

/** The directory's memory. */
export class HolderTable {
  readonly #chunks = new Map<number, Chunk>();
  #words = 1;

  /** The node that is asked for the page's bytes; 0 when no node ever had the page, or it is lost. */
  owner(page: number): NodeId {
    return this.#chunk(page)?.owners[page % CHUNK_PAGES] ?? 0;
  }

  /** Whether a node has a copy. */
  has(page: number, node: NodeId): boolean {
    const word = Math.floor(node / WORD_BITS);
    if (word >= this.#words) return false;
    const bits = this.#chunk(page)?.sharers[this.#index(page) + word] ?? 0;
    return (bits & (1 << (node % WORD_BITS))) !== 0;
  }

  /** Every node that has a copy, in ascending order. */
  list(page: number): NodeId[] {
    const nodes: NodeId[] = [];
    const chunk = this.#chunk(page);
    if (chunk === undefined) return nodes;
    const start = this.#index(page);
    for (let word = 0; word < this.#words; word++) {
      for (let bits = chunk.sharers[start + word]!; bits !== 0; bits &= bits - 1) {
        nodes.push(word * WORD_BITS + 31 - Math.clz32(bits & -bits));
      }
    }
    return nodes;
  }

  /** Whether two pages have the same owner and the same copies. */
  same(a: number, b: number): boolean {
    if (this.owner(a) !== this.owner(b)) return false;
    const left = this.#chunk(a)?.sharers;
    const right = this.#chunk(b)?.sharers;
    for (let word = 0; word < this.#words; word++) {
      if ((left?.[this.#index(a) + word] ?? 0) !== (right?.[this.#index(b) + word] ?? 0)) {
        return false;
      }
    }
    return true;
  }

  /** The node has a copy from now on. */
  add(page: number, node: NodeId): void {
    const word = Math.floor(node / WORD_BITS);
    if (word >= this.#words) this.#widen(word + 1);
    const chunk = this.#create(page);
    chunk.sharers[this.#index(page) + word]! |= 1 << (node % WORD_BITS);
  }

  /** The node has no copy any more; if it was the owner, another of those that have one becomes it. */
  remove(page: number, node: NodeId): void {
    const chunk = this.#chunk(page);
    const word = Math.floor(node / WORD_BITS);
    if (chunk === undefined || word >= this.#words) return;
    chunk.sharers[this.#index(page) + word]! &= ~(1 << (node % WORD_BITS));
    if (this.owner(page) === node) chunk.owners[page % CHUNK_PAGES] = this.list(page)[0] ?? 0;
  }

  /** These nodes, and no others, have a copy; the first is the owner. None: no node has. */
  set(page: number, nodes: readonly NodeId[]): void {
    const chunk = this.#create(page);
    const start = this.#index(page);
    chunk.sharers.fill(0, start, start + this.#words);
    chunk.owners[page % CHUNK_PAGES] = nodes[0] ?? 0;
    for (const node of nodes) this.add(page, node);
  }

  /** What is known of the page's migration: one byte, 0 at first. */
  migration(page: number): number {
    return this.#chunk(page)?.migrations[page % CHUNK_PAGES] ?? 0;
  }

  /** From now on this is known of the page's migration. */
  setMigration(page: number, record: number): void {
    this.#create(page).migrations[page % CHUNK_PAGES] = record;
  }

  /** The first page from `start` on of which the node has a copy; `undefined` when there is none. */
  next(start: number, node: NodeId): number | undefined {
    // A walk over the pages finds most of them in the chunk where the last one was.
    const own = Math.floor(start / CHUNK_PAGES);
    let found = this.#nextInChunk(own, start, node);
    if (found !== undefined) return found;
    for (const index of this.#chunks.keys()) {
      const first = index * CHUNK_PAGES;
      if (index <= own || (found !== undefined && first > found)) continue;
      found = this.#nextInChunk(index, first, node) ?? found;
    }
    return found;
  }

  /** Every page that any node has a copy of. */
  *pages(): IterableIterator<number> {
    for (const [index, { owners }] of this.#chunks) {
      for (let offset = 0; offset < CHUNK_PAGES; offset++) {
        if (owners[offset] !== 0) yield index * CHUNK_PAGES + offset;
      }
    }
  }

  #nextInChunk(index: number, start: number, node: NodeId): number | undefined {
    if (!this.#chunks.has(index)) return undefined;
    for (let page = start; page < (index + 1) * CHUNK_PAGES; page++) {
      if (this.has(page, node)) return page;
    }
    return undefined;
  }

  #index(page: number): number {
    return (page % CHUNK_PAGES) * this.#words;
  }

  #chunk(page: number): Chunk | undefined {
    return this.#chunks.get(Math.floor(page / CHUNK_PAGES));
  }

  #create(page: number): Chunk {
    const index = Math.floor(page / CHUNK_PAGES);
    let chunk = this.#chunks.get(index);
    if (chunk === undefined) {
      chunk = {
        owners: new Uint16Array(CHUNK_PAGES),
        migrations: new Uint8Array(CHUNK_PAGES),
        sharers: new Uint32Array(CHUNK_PAGES * this.#words),
      };
      this.#chunks.set(index, chunk);
    }
    return chunk;
  }

  /** Makes room for more nodes. Happens once for each 32 that ever join. */
  #widen(words: number): void {
    for (const chunk of this.#chunks.values()) {
      const wider = new Uint32Array(CHUNK_PAGES * words);
      for (let page = 0; page < CHUNK_PAGES; page++) {
        const bits = chunk.sharers.subarray(page * this.#words, (page + 1) * this.#words);
        wider.set(bits, page * words);
      }
      chunk.sharers = wider;
    }
    this.#words = words;
  }
}
