/**
 * Counts how often each page has come to this node, so that users can see which of their arrays
 * nodes fight over. False sharing is nothing that a program shows by itself.
 *
 * A page _moves_ to a node when its bytes come from another node, or when other nodes lose their
 * copies since this node writes.
 */

import { MOVE_CHUNKS_MAX } from "../limits.ts";
import type { NodeId } from "../protocol/coherence/messages.ts";
import type { PageRun } from "../protocol/coherence/page.ts";
import { SparseArray } from "../protocol/coherence/sparse_array.ts";

const CHUNK_BITS = 7;
const CHUNK_PAGES = 2 ** CHUNK_BITS;
const CHUNK_MASK = CHUNK_PAGES - 1;
/** Behind the counts of its pages a chunk has their sum. */
const SUM = CHUNK_PAGES;

/** The moves of pages to one node, since the node joined. */
export class PageMoves {
  /** By chunk: a count for each page, and their sum. Doubles, since a page may move for weeks. */
  readonly #chunks = new SparseArray<Float64Array>();
  #chunkCount = 0;
  readonly #chunksMax: number;
  #total = 0;
  readonly #sources = new Map<NodeId, number>();

  /** @param chunksMax The most chunks of 128 pages whose pages are counted one by one. */
  constructor(chunksMax: number = MOVE_CHUNKS_MAX) {
    this.#chunksMax = chunksMax;
  }

  /** All moves, in pages; also those of pages that are not counted one by one. */
  get total(): number {
    return this.#total;
  }

  /** The nodes whose bytes came, each with the pages that did. */
  get sources(): { readonly node: NodeId; readonly pages: number }[] {
    return Array.from(this.#sources, ([node, pages]) => ({ node, pages }));
  }

  /**
   * Pages have come to this node.
   *
   * @param run The pages.
   * @param source The node that has sent their bytes; 0 where only the right to write has come.
   */
  moved({ first, count }: PageRun, source: NodeId | 0): void {
    this.#total += count;
    if (source !== 0) this.#sources.set(source, (this.#sources.get(source) ?? 0) + count);
    const end = first + count;
    for (let page = first; page < end;) {
      const chunk = this.#chunk(page >>> CHUNK_BITS);
      const from = page & CHUNK_MASK;
      const to = Math.min(CHUNK_PAGES, from + end - page);
      page += to - from;
      if (chunk === undefined) continue;
      chunk[SUM]! += to - from;
      for (let at = from; at < to; at++) chunk[at]!++;
    }
  }

  /** A node is gone: it sends nothing any more, and its id is not given again. */
  forget(node: NodeId): void {
    this.#sources.delete(node);
  }

  /** How many moves the pages of a run have made. */
  sum({ first, count }: PageRun): number {
    const end = first + count;
    let sum = 0;
    let page = first;
    while (page < end) {
      const index = this.#chunks.next(page >>> CHUNK_BITS, ((end - 1) >>> CHUNK_BITS) + 1);
      if (index === undefined) break;
      const chunk = this.#chunks.get(index)!;
      const start = index * CHUNK_PAGES;
      const from = Math.max(0, page - start);
      const to = Math.min(CHUNK_PAGES, end - start);
      page = start + to;
      if (to - from === CHUNK_PAGES) sum += chunk[SUM]!;
      else for (let at = from; at < to; at++) sum += chunk[at]!;
    }
    return sum;
  }

  /** The counts of a chunk; `undefined` where there are as many chunks as may be. */
  #chunk(index: number): Float64Array | undefined {
    const known = this.#chunks.get(index);
    if (known !== undefined || this.#chunkCount >= this.#chunksMax) return known;
    const chunk = new Float64Array(CHUNK_PAGES + 1);
    this.#chunks.set(index, chunk);
    this.#chunkCount++;
    return chunk;
  }
}

/** The pages of a named allocation. */
export interface NamedRun extends PageRun {
  readonly name: string;
}

/** How many pages have moved of what has a name. */
export interface AllocationMoves {
  /** The name of the allocation; `null` for all pages that belong to none of those listed. */
  readonly name: string | null;
  /** The moves of its pages since the node joined, whatever was on these pages before. */
  readonly pagesMoved: number;
}

/**
 * Assigns the moves of pages to the allocations that have the pages now.
 *
 * @param moves The moves.
 * @param named The allocations. Packed ones may share pages, which then count for each.
 * @returns The allocations, the one with the most moves first, and all other pages at the end.
 */
export function movesByName(moves: PageMoves, named: readonly NamedRun[]): AllocationMoves[] {
  const list = named.map((run) => ({ name: run.name, pagesMoved: moves.sum(run) }));
  let assigned = 0;
  let counted = 0;
  for (const { first, count } of named.toSorted((one, other) => one.first - other.first)) {
    const from = Math.max(first, counted);
    const end = first + count;
    if (from < end) assigned += moves.sum({ first: from, count: end - from });
    counted = Math.max(counted, end);
  }
  list.sort((one, other) => other.pagesMoved - one.pagesMoved);
  return [...list, { name: null, pagesMoved: moves.total - assigned }];
}
