/**
 * Which node gets a thread: each in turn, as far as there is room. It is kept in memory that the
 * threads of the home node share, so that they start others without asking its main thread.
 */

import { WASM_THREAD_ID_MAX } from "../limits.ts";

/** The id of the thread that executes `_start`. */
export const MAIN_THREAD = 0;

/** The words before the seats of the first node. */
const Word = {
  /** The node that was given the last thread, as an index. */
  Last: 0,
  /** The id of the last thread. */
  Thread: 1,
  /** Whether, and how many times, threads are to be placed by the main thread only. */
  Held: 2,
} as const;
const FIRST_SEAT = 3;

/** A seat without a thread; any other has the thread's id, and 1. */
const FREE = 0;
/** A seat whose thread has no id yet. */
const TAKEN = -1;

/** Where a thread is placed. */
export interface PlacedThread {
  /** The node's id. */
  readonly node: number;
  /** The thread's id. */
  readonly thread: number;
}

/** What a {@linkcode Placement} is made of; it can be sent to Workers. */
export interface PlacementParts {
  /** The ids of the nodes. The first one has the main thread. */
  readonly nodes: readonly number[];
  /** How many threads a node may have at one time. */
  readonly threadsPerNode: number;
  /** What its threads share; left out where it begins. */
  readonly shared?: SharedArrayBuffer;
}

/** Places the threads of a program. */
export class Placement {
  /** What it is made of, for other threads. */
  readonly parts: Required<PlacementParts>;
  readonly #words: Int32Array<SharedArrayBuffer>;

  /** @param parts What it is made of. */
  constructor({ nodes, threadsPerNode, shared }: PlacementParts) {
    const words = FIRST_SEAT + nodes.length * threadsPerNode;
    const buffer = shared ?? new SharedArrayBuffer(words * Int32Array.BYTES_PER_ELEMENT);
    this.parts = { nodes, threadsPerNode, shared: buffer };
    this.#words = new Int32Array(buffer);
    if (shared !== undefined) return;
    this.#words[Word.Thread] = MAIN_THREAD;
    this.#words[FIRST_SEAT] = MAIN_THREAD + 1;
  }

  /**
   * Places a thread.
   *
   * @param wanted The node that it is to be on; by default the next one that has room.
   * @returns Where it is; `undefined` where there is no room, or no id.
   */
  place(wanted?: number): PlacedThread | undefined {
    const { nodes } = this.parts;
    if (wanted !== undefined) return this.#take(nodes.indexOf(wanted));
    const last = Atomics.load(this.#words, Word.Last);
    for (let step = 1; step <= nodes.length; step++) {
      const index = (last + step) % nodes.length;
      const placed = this.#take(index);
      if (placed === undefined) continue;
      Atomics.store(this.#words, Word.Last, index);
      return placed;
    }
    return undefined;
  }

  /** A thread has ended. */
  free(thread: number): void {
    const seat = this.#words.indexOf(thread + 1, FIRST_SEAT);
    if (seat >= 0) Atomics.store(this.#words, seat, FREE);
  }

  /** The threads on a node, in order of their ids. */
  threadsOf(node: number): number[] {
    const first = this.#seatsOf(this.parts.nodes.indexOf(node));
    const seats = this.#words.subarray(first, first + this.parts.threadsPerNode);
    return [...seats].filter((seat) => seat > FREE).map((seat) => seat - 1).sort((a, b) => a - b);
  }

  /** Whether threads are to be placed by the main thread only, which is to hear of each end. */
  get isHeld(): boolean {
    return Atomics.load(this.#words, Word.Held) > 0;
  }

  /** From here on that is so, until {@linkcode Placement.release} is called as often as this. */
  hold(): void {
    Atomics.add(this.#words, Word.Held, 1);
  }

  /** The opposite. */
  release(): void {
    Atomics.sub(this.#words, Word.Held, 1);
  }

  #seatsOf(index: number): number {
    return FIRST_SEAT + index * this.parts.threadsPerNode;
  }

  #take(index: number): PlacedThread | undefined {
    const words = this.#words;
    const first = this.#seatsOf(index);
    if (index < 0 || Atomics.load(words, Word.Thread) >= WASM_THREAD_ID_MAX) return undefined;
    for (let seat = first; seat < first + this.parts.threadsPerNode; seat++) {
      if (Atomics.compareExchange(words, seat, FREE, TAKEN) !== FREE) continue;
      const thread = Atomics.add(words, Word.Thread, 1) + 1;
      Atomics.store(words, seat, thread + 1);
      return { node: this.parts.nodes[index]!, thread };
    }
    return undefined;
  }
}
