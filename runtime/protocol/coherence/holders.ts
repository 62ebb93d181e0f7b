/**
 * What the home knows of each page: the nodes that have a copy, and the one of them that is the owner,
 * which is asked for the bytes; or else the node with which the page was lost. Memory is in proportion to
 * the pages that any node ever touched, and to the nodes that have copies at one time, not to their ids.
 *
 * Nodes are kept by _slot_. A node is given one with its first copy, and `forget` gives the slot back once
 * no page refers to the node. So slots are used again, while ids never are.
 */

import type { NodeId } from "./messages.ts";
import type { PageRun } from "./page.ts";
import { SparseArray } from "./sparse_array.ts";

const CHUNK_BITS = 9;
/** The pages that are kept together, and are skipped together when a walk looks for a node's pages. */
export const CHUNK_PAGES: number = 2 ** CHUNK_BITS;
const WORD_BITS = 32;

interface Chunk {
  /** For each page one more than the slot of its owner; 0 for none. */
  readonly owners: Uint16Array;
  /** What is known of each page's migration; see `migration.ts`. */
  readonly migrations: Uint8Array;
  /** For each page `words` words of bits, by slot; then as many for the slots that any page may have. */
  sharers: Uint32Array;
  words: number;
  /** For each page the node that it was lost with; 0 where it is not lost. */
  lost: Uint32Array | undefined;
}

/** The nodes that have slots. */
class Slots {
  readonly #slots = new Map<NodeId, number>();
  readonly #nodes: NodeId[] = [];
  readonly #free: number[] = [];

  /** How many slots there are. */
  get size(): number {
    return this.#nodes.length;
  }

  /** The node that has a slot. */
  node(slot: number): NodeId {
    return this.#nodes[slot]!;
  }

  /** The slot of a node, if it has one. */
  find(node: NodeId): number | undefined {
    return this.#slots.get(node);
  }

  /** The slot of a node, which it has from now on. */
  of(node: NodeId): number {
    let slot = this.#slots.get(node);
    if (slot === undefined) {
      slot = this.#free.pop() ?? this.#nodes.length;
      this.#nodes[slot] = node;
      this.#slots.set(node, slot);
    }
    return slot;
  }

  /** Takes the slot of a node back. */
  free(node: NodeId): void {
    const slot = this.#slots.get(node);
    if (slot === undefined) return;
    this.#slots.delete(node);
    this.#free.push(slot);
  }
}

/** The home's memory. */
export class HolderTable {
  readonly #chunks = new SparseArray<Chunk>();
  readonly #slots = new Slots();

  /** The node that is asked for the page's bytes; 0 when no node ever had the page, or it is lost. */
  owner(page: number): NodeId {
    const owner = this.#chunk(page)?.owners[page % CHUNK_PAGES] ?? 0;
    return owner === 0 ? 0 : this.#slots.node(owner - 1);
  }

  /** The node that a lost page was lost with; 0 where it is not lost. */
  lostWith(page: number): NodeId {
    return this.#chunk(page)?.lost?.[page % CHUNK_PAGES] ?? 0;
  }

  /** How many slots there are, given to nodes or free. */
  get slots(): number {
    return this.#slots.size;
  }

  /** Whether any page may refer to a node. */
  knows(node: NodeId): boolean {
    return this.#slots.find(node) !== undefined;
  }

  /** Whether a node has a copy. */
  has(page: number, node: NodeId): boolean {
    const slot = this.#slots.find(node);
    const chunk = this.#chunk(page);
    return slot !== undefined && chunk !== undefined && hasBit(chunk, page % CHUNK_PAGES, slot);
  }

  /** How many nodes have a copy. */
  count(page: number): number {
    const chunk = this.#chunk(page);
    if (chunk === undefined) return 0;
    let count = 0;
    const start = (page % CHUNK_PAGES) * chunk.words;
    for (let index = start; index < start + chunk.words; index++) {
      for (let bits = chunk.sharers[index]!; bits !== 0; bits &= bits - 1) count++;
    }
    return count;
  }

  /** Every node that has a copy. */
  list(page: number): NodeId[] {
    const nodes: NodeId[] = [];
    const chunk = this.#chunk(page);
    if (chunk === undefined) return nodes;
    const start = (page % CHUNK_PAGES) * chunk.words;
    for (let word = 0; word < chunk.words; word++) {
      for (let bits = chunk.sharers[start + word]!; bits !== 0; bits &= bits - 1) {
        nodes.push(this.#slots.node(word * WORD_BITS + lowestBit(bits)));
      }
    }
    return nodes;
  }

  /** Whether two pages have the same owner and the same copies, or were lost with the same node. */
  same(a: number, b: number): boolean {
    const [left, right] = [this.#chunk(a), this.#chunk(b)];
    const [at, to] = [a % CHUNK_PAGES, b % CHUNK_PAGES];
    if ((left?.owners[at] ?? 0) !== (right?.owners[to] ?? 0)) return false;
    if ((left?.lost?.[at] ?? 0) !== (right?.lost?.[to] ?? 0)) return false;
    const words = Math.max(left?.words ?? 0, right?.words ?? 0);
    for (let word = 0; word < words; word++) {
      if (wordOf(left, at, word) !== wordOf(right, to, word)) return false;
    }
    return true;
  }

  /** The node has a copy from now on; if no other node has one, it is the owner. */
  add(page: number, node: NodeId): void {
    const slot = this.#slots.of(node);
    const chunk = this.#create(page, slot);
    const offset = page % CHUNK_PAGES;
    setBit(chunk, offset, slot);
    if (chunk.owners[offset] !== 0) return;
    chunk.owners[offset] = slot + 1;
    if (chunk.lost !== undefined) chunk.lost[offset] = 0;
  }

  /** The node has no copy any more; if it was the owner, another of those that have one becomes it. */
  remove(page: number, node: NodeId): void {
    const slot = this.#slots.find(node);
    const chunk = this.#chunk(page);
    if (slot === undefined || chunk === undefined) return;
    const offset = page % CHUNK_PAGES;
    clearBit(chunk, offset, slot);
    if (chunk.owners[offset] === slot + 1) chunk.owners[offset] = firstSlot(chunk, offset) + 1;
  }

  /** These nodes, and no others, have a copy; the first is the owner. None: no node has. */
  set(page: number, nodes: readonly NodeId[]): void {
    const chunk = this.#create(page, 0);
    const offset = page % CHUNK_PAGES;
    chunk.sharers.fill(0, offset * chunk.words, (offset + 1) * chunk.words);
    chunk.owners[offset] = 0;
    if (chunk.lost !== undefined) chunk.lost[offset] = 0;
    for (const node of nodes) this.add(page, node);
  }

  /** The page was lost with a node: no node has a copy. */
  lose(page: number, node: NodeId): void {
    this.set(page, []);
    const chunk = this.#chunk(page)!;
    chunk.lost ??= new Uint32Array(CHUNK_PAGES);
    chunk.lost[page % CHUNK_PAGES] = node;
  }

  /** What is lost of a run counts as never touched. */
  forgetLoss({ first, count }: PageRun): void {
    for (let page = first; page < first + count;) {
      const index = this.#chunks.next(page >>> CHUNK_BITS);
      if (index === undefined) return;
      const start = index * CHUNK_PAGES;
      const stop = Math.min(first + count, start + CHUNK_PAGES);
      this.#chunks.get(index)!.lost?.fill(0, Math.max(0, page - start), Math.max(0, stop - start));
      page = start + CHUNK_PAGES;
    }
  }

  /** The first page from `start` on that a node has, or that is lost; `end` where there is none before it. */
  nextTouched(start: number, end: number): number {
    const last = ((end - 1) >>> CHUNK_BITS) + 1;
    let index = this.#chunks.next(start >>> CHUNK_BITS, last);
    for (; index !== undefined; index = this.#chunks.next(index + 1, last)) {
      const { owners, lost } = this.#chunks.get(index)!;
      const stop = Math.min(end, (index + 1) * CHUNK_PAGES);
      for (let page = Math.max(start, index * CHUNK_PAGES); page < stop; page++) {
        const offset = page % CHUNK_PAGES;
        if (owners[offset] !== 0 || (lost !== undefined && lost[offset] !== 0)) return page;
      }
    }
    return end;
  }

  /** What is known of the page's migration: one byte, 0 at first. */
  migration(page: number): number {
    return this.#chunk(page)?.migrations[page % CHUNK_PAGES] ?? 0;
  }

  /** From now on this is known of the page's migration. */
  setMigration(page: number, record: number): void {
    this.#create(page, 0).migrations[page % CHUNK_PAGES] = record;
  }

  /**
   * The first page from `start` on in a chunk of which one of the nodes may have a page; `undefined`
   * when there is none before `end`. That is `start` itself where a node may have a page of its chunk.
   */
  nextChunk(start: number, end: number, nodes: Iterable<NodeId>): number | undefined {
    const slots: number[] = [];
    for (const node of nodes) {
      const slot = this.#slots.find(node);
      if (slot !== undefined) slots.push(slot);
    }
    if (slots.length === 0) return undefined;
    let index = this.#chunks.next(start >>> CHUNK_BITS);
    for (; index !== undefined; index = this.#chunks.next(index + 1)) {
      const first = Math.max(start, index * CHUNK_PAGES);
      if (first >= end) return undefined;
      const chunk = this.#chunks.get(index)!;
      if (slots.some((slot) => hasBit(chunk, CHUNK_PAGES, slot))) return first;
    }
    return undefined;
  }

  /** The node has no page of this chunk any more. */
  leaveChunk(page: number, node: NodeId): void {
    const slot = this.#slots.find(node);
    const chunk = this.#chunk(page);
    if (slot !== undefined && chunk !== undefined) clearBit(chunk, CHUNK_PAGES, slot);
  }

  /** The node has no page any more, and never will: its slot is for others. */
  forget(node: NodeId): void {
    this.#slots.free(node);
  }

  #chunk(page: number): Chunk | undefined {
    return this.#chunks.get(page >>> CHUNK_BITS);
  }

  /** The chunk of a page, with room for a slot. */
  #create(page: number, slot: number): Chunk {
    const index = page >>> CHUNK_BITS;
    const words = Math.floor(slot / WORD_BITS) + 1;
    let chunk = this.#chunks.get(index);
    if (chunk === undefined) {
      chunk = {
        owners: new Uint16Array(CHUNK_PAGES),
        migrations: new Uint8Array(CHUNK_PAGES),
        sharers: new Uint32Array((CHUNK_PAGES + 1) * words),
        words,
        lost: undefined,
      };
      this.#chunks.set(index, chunk);
    } else if (chunk.words < words) widen(chunk, words);
    return chunk;
  }
}

function lowestBit(bits: number): number {
  return 31 - Math.clz32(bits & -bits);
}

function wordOf(chunk: Chunk | undefined, offset: number, word: number): number {
  if (chunk === undefined || word >= chunk.words) return 0;
  return chunk.sharers[offset * chunk.words + word]!;
}

function hasBit(chunk: Chunk, offset: number, slot: number): boolean {
  return (wordOf(chunk, offset, slot >>> 5) & (1 << (slot % WORD_BITS))) !== 0;
}

function setBit({ sharers, words }: Chunk, offset: number, slot: number): void {
  const bit = 1 << (slot % WORD_BITS);
  sharers[offset * words + (slot >>> 5)]! |= bit;
  sharers[CHUNK_PAGES * words + (slot >>> 5)]! |= bit;
}

function clearBit({ sharers, words }: Chunk, offset: number, slot: number): void {
  const word = slot >>> 5;
  if (word < words) sharers[offset * words + word]! &= ~(1 << (slot % WORD_BITS));
}

/** The lowest slot that has a page; -1 for none. */
function firstSlot({ sharers, words }: Chunk, offset: number): number {
  for (let word = 0; word < words; word++) {
    const bits = sharers[offset * words + word]!;
    if (bits !== 0) return word * WORD_BITS + lowestBit(bits);
  }
  return -1;
}

/** Makes room in a chunk for more slots: once for each 32 nodes that have copies at one time. */
function widen(chunk: Chunk, words: number): void {
  const wider = new Uint32Array((CHUNK_PAGES + 1) * words);
  for (let offset = 0; offset <= CHUNK_PAGES; offset++) {
    const bits = chunk.sharers.subarray(offset * chunk.words, (offset + 1) * chunk.words);
    wider.set(bits, offset * words);
  }
  chunk.sharers = wider;
  chunk.words = words;
}
