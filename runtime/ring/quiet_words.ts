/**
 * The words of the region that are quiet for this node: no thread of any node waits there, and the
 * desk says so before one does. A thread that notifies such a word asks nobody.
 */

import { FUTEX_QUIET_SLOTS } from "../limits.ts";
import { quietSlot } from "../protocol/sync/futexes.ts";

/** The bytes of the smallest word that a thread can wait for. */
const WORD_BYTES = 4;
/** A slot in which no word is. */
const NONE = 0;

/** What stands for a word in its slot. */
function tagOf(byte: number): number {
  return Math.floor(byte / WORD_BYTES / FUTEX_QUIET_SLOTS) + 1;
}

/** How many 32-bit words of shared memory {@linkcode QuietWords} takes. */
export const QUIET_WORDS: number = FUTEX_QUIET_SLOTS;

/** The table, in memory that the engine and all threads of its node share. */
export class QuietWords {
  /** In each slot the number of a word without its lowest bits, plus 1. */
  readonly #slots: Int32Array;

  /** @param slots {@linkcode QUIET_WORDS} words of shared memory. */
  constructor(slots: Int32Array) {
    this.#slots = slots;
  }

  /**
   * Whether a word is quiet. What this thread has written before, other threads see that begin to
   * wait there afterwards: the exchange orders the two, also on machines that do not do so by
   * themselves.
   *
   * @param byte The word's first byte in the region.
   * @returns Whether nobody need be notified.
   */
  has(byte: number): boolean {
    const slot = byte / WORD_BYTES % FUTEX_QUIET_SLOTS;
    const tag = tagOf(byte);
    return Atomics.compareExchange(this.#slots, slot, tag, tag) === tag;
  }

  /** For the engine: a word is quiet from here on. */
  add(key: bigint): void {
    Atomics.exchange(this.#slots, quietSlot(key), tagOf(Number(key)));
  }

  /** For the engine: a word is not quiet from here on, and no thread takes it for that. */
  delete(key: bigint): void {
    Atomics.exchange(this.#slots, quietSlot(key), NONE);
  }
}
