/**
 * What the home knows of each page: the nodes that have a copy, and the one of them that is the
 * owner, which is asked for the bytes; or else the node with which the page was lost. Memory is in
 * proportion to the pages that any node ever touched, and to the nodes that have copies at one
 * time, not to their ids.
 *
 * Nodes are kept by _slot_. A node is given one with its first copy, and `forget` gives the slot
 * back once no page refers to the node. So slots are used again, while ids never are.
 */

import type { NodeId } from "./messages.ts";
import type { PageRun } from "./page.ts";
import { SparseArray } from "./sparse_array.ts";

const CHUNK_BITS = 9;
/** The pages that are kept together, and skipped together by a walk for a node's pages. */
export const CHUNK_PAGES: number = 2 ** CHUNK_BITS;
const CHUNK_MASK = CHUNK_PAGES - 1;
const WORD_BITS = 32;
const WORD_MASK = WORD_BITS - 1;
/** The words of a plane: one for each page, and one for the slots that any page may have. */
const PLANE_WORDS = CHUNK_PAGES + 1;

/**
 * What is known of some pages in a row. All of it is in one array, since a collection of garbage
 * looks at each array: a home that knows ten million pages must not stand still for that.
 */
interface Chunk {
  /**
   * The first plane has for each page its owner; where no node has a copy, the node that the page
   * was lost with, or 0. Each of the others has those that have copies as bits, for 32 slots.
   */
  words: Uint32Array;
  /** How many planes there are. */
  planes: number;
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

  /** The node that is asked for the page's bytes; 0 if no node ever had it, or it is lost. */
  owner(page: number): NodeId {
    const chunk = this.#chunk(page);
    return chunk !== undefined && isHeld(chunk, page & CHUNK_MASK)
      ? chunk.words[page & CHUNK_MASK]!
      : 0;
  }

  /** The node that a lost page was lost with; 0 where it is not lost. */
  lostWith(page: number): NodeId {
    const chunk = this.#chunk(page);
    return chunk === undefined || isHeld(chunk, page & CHUNK_MASK)
      ? 0
      : chunk.words[page & CHUNK_MASK]!;
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
    return slot !== undefined && chunk !== undefined && hasBit(chunk, page & CHUNK_MASK, slot);
  }

  /** How many nodes have a copy. */
  count(page: number): number {
    const chunk = this.#chunk(page);
    let count = 0;
    if (chunk === undefined) return count;
    for (let plane = 1; plane < chunk.planes; plane++) {
      for (let bits = wordOf(chunk, page & CHUNK_MASK, plane); bits !== 0; bits &= bits - 1) {
        count++;
      }
    }
    return count;
  }

  /** Every node that has a copy. */
  list(page: number): NodeId[] {
    const nodes: NodeId[] = [];
    const chunk = this.#chunk(page);
    if (chunk === undefined) return nodes;
    for (let plane = 1; plane < chunk.planes; plane++) {
      for (let bits = wordOf(chunk, page & CHUNK_MASK, plane); bits !== 0; bits &= bits - 1) {
        nodes.push(this.#slots.node((plane - 1) * WORD_BITS + lowestBit(bits)));
      }
    }
    return nodes;
  }

  /**
   * How many pages from `first` on, and no more than `limit`, have the same owner and the same
   * copies, or were lost with the same node.
   */
  extent(first: number, limit: number): number {
    if (limit === 1) return limit;
    const like = this.#chunk(first) ?? UNTOUCHED;
    const end = first + limit;
    for (let page = first; page < end;) {
      const from = page & CHUNK_MASK;
      const to = Math.min(CHUNK_PAGES, from + end - page);
      const chunk = this.#chunk(page) ?? UNTOUCHED;
      const stop = alikeUpTo(chunk, from, to, like, first & CHUNK_MASK);
      page += stop - from;
      if (stop < to) return page - first;
    }
    return limit;
  }

  /** The node has copies of a run from now on; where no other node has one, it is the owner. */
  add(run: PageRun, node: NodeId): void {
    const slot = this.#slots.of(node);
    this.#create(run, node, slot, addHolder);
  }

  /**
   * The node has no copies of a run any more; where it was the owner, another of the holders
   * becomes it.
   */
  remove(run: PageRun, node: NodeId): void {
    const slot = this.#slots.find(node);
    if (slot === undefined) return;
    this.#visit(run, (chunk, from, to) => {
      const { words } = chunk;
      for (let offset = from; offset < to; offset++) {
        if (!hasBit(chunk, offset, slot)) continue;
        clearBits(chunk, offset, offset + 1, slot);
        if (words[offset] !== node) continue;
        const next = firstSlot(chunk, offset);
        words[offset] = next < 0 ? 0 : this.#slots.node(next);
      }
    });
  }

  /** These nodes alone have copies of a run; the first is the owner. */
  set(run: PageRun, nodes: readonly NodeId[]): void {
    this.#visit(run, (chunk, from, to) => fill(chunk, from, to, 0));
    for (const node of nodes) this.add(run, node);
  }

  /** A node, and no other, has copies of a run. */
  setOnly(run: PageRun, node: NodeId): void {
    const slot = this.#slots.of(node);
    this.#create(run, node, slot, setHolder);
  }

  /** A run is as if no node had ever touched it. Chunks of which all is so take no memory. */
  clear({ first, count }: PageRun): void {
    const end = first + count;
    for (let page = first; page < end;) {
      const stop = Math.min(end, page - (page & CHUNK_MASK) + CHUNK_PAGES);
      const chunk = this.#chunk(page);
      if (chunk !== undefined) {
        fill(chunk, page & CHUNK_MASK, (page & CHUNK_MASK) + stop - page, 0);
        if (isUntouched(chunk)) this.#chunks.set(page >>> CHUNK_BITS, undefined);
      }
      page = stop;
    }
  }

  /** How many chunks take memory. */
  get chunks(): number {
    let count = 0;
    let index = this.#chunks.next(0);
    for (; index !== undefined; index = this.#chunks.next(index + 1)) count++;
    return count;
  }

  /** A run was lost with a node: no node has copies. */
  lose(run: PageRun, node: NodeId): void {
    this.#create(run, node, 0, fill);
  }

  /** The first page from `start` on that a node has, or that is lost; `end` if none is. */
  nextTouched(start: number, end: number): number {
    const last = ((end - 1) >>> CHUNK_BITS) + 1;
    let index = this.#chunks.next(start >>> CHUNK_BITS, last);
    for (; index !== undefined; index = this.#chunks.next(index + 1, last)) {
      const { words } = this.#chunks.get(index)!;
      const stop = Math.min(end, (index + 1) * CHUNK_PAGES);
      for (let page = Math.max(start, index * CHUNK_PAGES); page < stop; page++) {
        if (words[page & CHUNK_MASK] !== 0) return page;
      }
    }
    return end;
  }

  /**
   * The first page from `start` on in a chunk of which one of the nodes may have a page;
   * `undefined` when there is none before `end`. That is `start` itself where a node may have a
   * page of its chunk.
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
    if (slot === undefined || chunk === undefined) return;
    clearBits(chunk, CHUNK_PAGES, CHUNK_PAGES + 1, slot);
  }

  /** The node has no page any more, and never will: its slot is for others. */
  forget(node: NodeId): void {
    this.#slots.free(node);
  }

  #chunk(page: number): Chunk | undefined {
    return this.#chunks.get(page >>> CHUNK_BITS);
  }

  /** Does something to the pages of a run, from offset to offset in each chunk that there is. */
  #visit({ first, count }: PageRun, act: (chunk: Chunk, from: number, to: number) => void): void {
    const end = first + count;
    const last = ((end - 1) >>> CHUNK_BITS) + 1;
    let index = this.#chunks.next(first >>> CHUNK_BITS, last);
    for (; index !== undefined; index = this.#chunks.next(index + 1, last)) {
      const start = index * CHUNK_PAGES;
      act(
        this.#chunks.get(index)!,
        Math.max(0, first - start),
        Math.min(CHUNK_PAGES, end - start),
      );
    }
  }

  /** Does the same to every page of a run: its chunks are made, and have room for a slot. */
  #create(
    { first, count }: PageRun,
    node: NodeId,
    slot: number,
    act: (chunk: Chunk, from: number, to: number, node: NodeId, slot: number) => void,
  ): void {
    const planes = planeOf(slot) + 1;
    const end = first + count;
    for (let page = first; page < end;) {
      const index = page >>> CHUNK_BITS;
      const from = page & CHUNK_MASK;
      const to = Math.min(CHUNK_PAGES, from + end - page);
      let chunk = this.#chunks.get(index);
      if (chunk === undefined) {
        chunk = emptyChunk(planes);
        this.#chunks.set(index, chunk);
      } else if (chunk.planes < planes) widen(chunk, planes);
      act(chunk, from, to, node, slot);
      page += to - from;
    }
  }
}

/** A chunk of pages that no node ever had. */
const UNTOUCHED = emptyChunk(1);

function emptyChunk(planes: number): Chunk {
  return { words: new Uint32Array(PLANE_WORDS * planes), planes };
}

function lowestBit(bits: number): number {
  return 31 - Math.clz32(bits & -bits);
}

// What is done to the pages of a chunk. Functions that were made anew for each run would be garbage
// of every transaction.

/** A node has copies, too; where no other has one, it is the owner. */
function addHolder(chunk: Chunk, from: number, to: number, node: NodeId, slot: number): void {
  const { words } = chunk;
  for (let offset = from; offset < to; offset++) if (!isHeld(chunk, offset)) words[offset] = node;
  setBits(chunk, from, to, slot);
}

/** A node, and no other, has copies. */
function setHolder(chunk: Chunk, from: number, to: number, node: NodeId, slot: number): void {
  fill(chunk, from, to, node);
  setBits(chunk, from, to, slot);
}

/** The plane that has the bits of a slot. */
function planeOf(slot: number): number {
  return 1 + (slot >>> 5);
}

function wordOf({ words, planes }: Chunk, offset: number, plane: number): number {
  return plane < planes ? words[plane * PLANE_WORDS + offset]! : 0;
}

/** Whether no node has a page of a chunk, and none is lost. */
function isUntouched({ words }: Chunk): boolean {
  for (let offset = 0; offset < CHUNK_PAGES; offset++) if (words[offset] !== 0) return false;
  return true;
}

/** Whether any node has a copy of a page. */
function isHeld(chunk: Chunk, offset: number): boolean {
  for (let plane = 1; plane < chunk.planes; plane++) {
    if (wordOf(chunk, offset, plane) !== 0) return true;
  }
  return false;
}

function hasBit(chunk: Chunk, offset: number, slot: number): boolean {
  return (wordOf(chunk, offset, planeOf(slot)) & (1 << (slot & WORD_MASK))) !== 0;
}

/** The pages have a slot, and so may a page of the chunk. */
function setBits({ words }: Chunk, from: number, to: number, slot: number): void {
  const start = planeOf(slot) * PLANE_WORDS;
  const bit = 1 << (slot & WORD_MASK);
  for (let index = start + from; index < start + to; index++) words[index]! |= bit;
  words[start + CHUNK_PAGES]! |= bit;
}

function clearBits({ words, planes }: Chunk, from: number, to: number, slot: number): void {
  const plane = planeOf(slot);
  if (plane >= planes) return;
  const start = plane * PLANE_WORDS;
  const others = ~(1 << (slot & WORD_MASK));
  for (let index = start + from; index < start + to; index++) words[index]! &= others;
}

/** The lowest slot that has a page; -1 for none. */
function firstSlot(chunk: Chunk, offset: number): number {
  for (let plane = 1; plane < chunk.planes; plane++) {
    const bits = wordOf(chunk, offset, plane);
    if (bits !== 0) return (plane - 1) * WORD_BITS + lowestBit(bits);
  }
  return -1;
}

/** No node has copies of the pages; the first plane has what it says of them. */
function fill({ words, planes }: Chunk, from: number, to: number, first: NodeId): void {
  for (let plane = 0; plane < planes; plane++) {
    const start = plane * PLANE_WORDS;
    const word = plane === 0 ? first : 0;
    for (let index = start + from; index < start + to; index++) words[index] = word;
  }
}

/** How far the pages between two offsets are like the one at an offset of a second chunk. */
function alikeUpTo(chunk: Chunk, from: number, to: number, other: Chunk, at: number): number {
  const { words } = chunk;
  const planes = Math.max(chunk.planes, other.planes);
  let stop = to;
  for (let plane = 0; plane < planes; plane++) {
    const word = wordOf(other, at, plane);
    if (plane >= chunk.planes) {
      if (word !== 0) return from;
      continue;
    }
    const start = plane * PLANE_WORDS;
    let index = start + from;
    while (index < start + stop && words[index] === word) index++;
    stop = index - start;
  }
  return stop;
}

/** Makes room in a chunk for more slots: once for each 32 nodes that have copies at one time. */
function widen(chunk: Chunk, planes: number): void {
  const wider = new Uint32Array(PLANE_WORDS * planes);
  wider.set(chunk.words);
  chunk.words = wider;
  chunk.planes = planes;
}
