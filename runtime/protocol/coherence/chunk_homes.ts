/**
 * Which node is the home of which pages, as one node knows it. Homes are given by chunk. At node 1
 * this is the truth; at any other node it is what node 1 has told so far.
 */

import { DIRECTORY_NODE, type NodeId } from "./messages.ts";
import type { PageRun } from "./page.ts";
import { SparseArray } from "./sparse_array.ts";

/** The pages of a chunk, which have one home. */
export const HOME_CHUNK_PAGES = 128;

const BLOCK_BITS = 9;
const BLOCK_CHUNKS = 2 ** BLOCK_BITS;
const BLOCK_MASK = BLOCK_CHUNKS - 1;

/** How chunks get their homes. */
export type Placement =
  /** Node 1, as long as the cluster is small; the first node that needs a page of it later. */
  | "auto"
  /** Node 1 is the home of every page. */
  | "directory"
  /** The first node that needs a page of a chunk is its home. */
  | "first-touch"
  /** The nodes that are there take turns, chunk by chunk. */
  | "spread";

/** A table of homes: two bytes for each chunk that has one, and none for the others. */
export class ChunkHomes {
  readonly #chunkPages: number;
  readonly #chunkBits: number;
  /** The home of a chunk that has no entry, as far as is assumed. */
  protected otherwise: NodeId;
  /** Whether that is no assumption, since all pages have one home. */
  readonly #isOne: boolean;
  protected readonly blocks = new SparseArray<Uint16Array>();
  /** The nodes that entries stand for, from 1 on. */
  protected readonly nodes: NodeId[] = [0];
  protected readonly entries = new Map<NodeId, number>();
  /** For each entry, how many chunks have it. */
  protected readonly counts: number[] = [0];
  /** Entries that stand for no node any more. */
  protected readonly free: number[] = [];

  /**
   * @param placement How chunks get their homes.
   * @param chunkPages The pages of a chunk, a power of two.
   */
  constructor(placement: Placement = "directory", chunkPages: number = HOME_CHUNK_PAGES) {
    this.#chunkPages = chunkPages;
    this.#chunkBits = Math.log2(chunkPages);
    this.#isOne = placement === "directory";
    this.otherwise = this.#isOne || placement === "auto" ? DIRECTORY_NODE : 0;
  }

  /**
   * The home of a page; 0 where it is not known, or there is none yet. By `auto` it may only be
   * assumed, see {@linkcode given}.
   */
  of(page: number): NodeId {
    return this.#given(page) || this.otherwise;
  }

  /** The home that the chunk of a page was given, as this node was told; 0 where it was not. */
  given(page: number): NodeId {
    return this.#isOne ? this.otherwise : this.#given(page);
  }

  /** The directory node need not be the home any more of a chunk that was given none. */
  assumeNothing(): void {
    if (!this.#isOne) this.otherwise = 0;
  }

  /** A node is the home of the chunks of a run that were given none. */
  give(run: PageRun, node: NodeId): void {
    if (this.#isOne || run.count === 0) return;
    const entry = this.#entry(node);
    const end = Math.ceil((run.first + run.count) / this.#chunkPages);
    for (let chunk = run.first >>> this.#chunkBits; chunk < end; chunk++) {
      this.#giveChunk(chunk, entry);
    }
  }

  #given(page: number): NodeId {
    const chunk = page >>> this.#chunkBits;
    return this.nodes[this.blocks.get(chunk >>> BLOCK_BITS)?.[chunk & BLOCK_MASK] ?? 0]!;
  }

  /**
   * How many pages from `first` on, and no more than `limit`, are known to have the same home.
   * Where the home is not known, chunk by chunk.
   */
  extent(first: number, limit: number): number {
    if (limit === 1) return limit;
    const home = this.of(first);
    const end = first + limit;
    let next = this.chunk(first).first + this.#chunkPages;
    while (next < end && home !== 0 && this.of(next) === home) next += this.#chunkPages;
    return Math.min(next, end) - first;
  }

  /** How many pages from `first` on, and no more than `limit`, were given the same home. */
  givenExtent(first: number, limit: number): number {
    const end = first + limit;
    const home = this.given(first);
    let next = this.chunk(first).first + this.#chunkPages;
    while (next < end && this.given(next) === home) next += this.#chunkPages;
    return Math.min(next, end) - first;
  }

  /** How many chunks were given to a node; none where all pages have one home. */
  count(node: NodeId): number {
    return this.counts[this.entries.get(node) ?? 0]!;
  }

  /** The first page from `first` on that has another home than this node; `end` if none has. */
  nextOther(self: NodeId, first: number, end: number): number {
    if (this.entries.size === 0 && this.otherwise === self) return end;
    const last = Math.ceil(end / this.#chunkPages);
    let chunk = first >>> this.#chunkBits;
    while (chunk < last) {
      const index = this.blocks.next(chunk >>> BLOCK_BITS, Math.ceil(last / BLOCK_CHUNKS));
      if (index === undefined) return end;
      const block = this.blocks.get(index)!;
      const start = index * BLOCK_CHUNKS;
      const stop = Math.min(last, start + BLOCK_CHUNKS);
      for (chunk = Math.max(chunk, start); chunk < stop; chunk++) {
        const entry = block[chunk - start]!;
        if (entry === 0 || this.nodes[entry] === self) continue;
        return Math.min(end, Math.max(first, chunk * this.#chunkPages));
      }
    }
    return end;
  }

  /** The chunk of a page. */
  chunk(page: number): PageRun {
    return { first: page - page % this.#chunkPages, count: this.#chunkPages };
  }

  /**
   * The chunks of a run that were given no home get theirs, in turn.
   *
   * @param run The pages.
   * @param nodes The nodes that take turns, by the number of the chunk.
   */
  giveInTurn({ first, count }: PageRun, nodes: readonly NodeId[]): void {
    const entries = nodes.map((node) => this.#entry(node));
    const end = Math.ceil((first + count) / this.#chunkPages);
    for (let chunk = first >>> this.#chunkBits; chunk < end; chunk++) {
      this.#giveChunk(chunk, entries[chunk % entries.length]!);
    }
  }

  /** A chunk that was given no home gets that of an entry. */
  #giveChunk(chunk: number, entry: number): void {
    const block = this.#block(chunk);
    if (block[chunk & BLOCK_MASK] !== 0) return;
    block[chunk & BLOCK_MASK] = entry;
    this.counts[entry]!++;
  }

  /** A node is the home of a page's chunk from now on. */
  set(page: number, node: NodeId): void {
    const chunk = page >>> this.#chunkBits;
    const block = this.#block(chunk);
    const entry = this.#entry(node);
    const before = block[chunk & BLOCK_MASK]!;
    if (before !== 0) this.counts[before]!--;
    this.counts[entry]!++;
    block[chunk & BLOCK_MASK] = entry;
  }

  /**
   * One node takes the place of another.
   *
   * @param node The node that is the home of no chunk any more.
   * @param heir The home of its chunks from now on.
   * @param runPages How many pages of chunks in a row become one run at most; by default each chunk
   *   is one.
   * @returns The chunks, in runs, in ascending order.
   */
  takeOver(node: NodeId, heir: NodeId, runPages: number = this.#chunkPages): PageRun[] {
    const entry = this.entries.get(node);
    if (entry === undefined) return [];
    const runs: PageRun[] = [];
    let first = 0;
    let count = 0;
    const next = this.#entry(heir);
    this.counts[next]! += this.counts[entry]!;
    let index = this.blocks.next(0);
    for (; index !== undefined; index = this.blocks.next(index + 1)) {
      const block = this.blocks.get(index)!;
      let offset = block.indexOf(entry);
      for (; offset >= 0; offset = block.indexOf(entry, offset + 1)) {
        block[offset] = next;
        const page = (index * BLOCK_CHUNKS + offset) * this.#chunkPages;
        if (page !== first + count || count + this.#chunkPages > runPages) {
          if (count > 0) runs.push({ first, count });
          first = page;
          count = 0;
        }
        count += this.#chunkPages;
      }
    }
    if (count > 0) runs.push({ first, count });
    this.entries.delete(node);
    this.free.push(entry);
    return runs;
  }

  /** The block of a chunk's entry, which is made where there is none. */
  #block(chunk: number): Uint16Array {
    let block = this.blocks.get(chunk >>> BLOCK_BITS);
    if (block === undefined) {
      block = new Uint16Array(BLOCK_CHUNKS);
      this.blocks.set(chunk >>> BLOCK_BITS, block);
    }
    return block;
  }

  #entry(node: NodeId): number {
    let entry = this.entries.get(node);
    if (entry === undefined) {
      entry = this.free.pop() ?? this.nodes.length;
      this.nodes[entry] = node;
      this.counts[entry] = 0;
      this.entries.set(node, entry);
    }
    return entry;
  }
}
