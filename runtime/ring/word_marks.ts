/**
 * What the threads of this node see of words of the region. A word may be quiet: no thread of any
 * node waits there, and the desk says so before one does, so a thread that notifies it asks nobody.
 * Or it is lent to this node, so a thread asks its engine, and not the directory node.
 */

import { FUTEX_QUIET_SLOTS } from "../limits.ts";
import { quietSlot } from "../protocol/sync/futexes.ts";
import { WordMark } from "../protocol/sync/lent_words.ts";

/** The bytes of the smallest word that a thread can wait for. */
const WORD_BYTES = 4;
/** The bits of a word's number without its lowest byte; above them are the marks. */
const NUMBER_BITS = 30;
const NUMBER_MASK = 2 ** NUMBER_BITS - 1;

/** The number of a word without its lowest byte, which the slot tells. */
function numberOf(byte: number): number {
  return Math.floor(byte / WORD_BYTES / FUTEX_QUIET_SLOTS);
}

/** How many 32-bit words of shared memory {@linkcode WordMarks} takes. */
export const WORD_MARKS: number = FUTEX_QUIET_SLOTS;

/** The table, in memory that the engine and all threads of its node share. */
export class WordMarks {
  /** In each slot the number of a word without its lowest byte, and its marks; or 0. */
  readonly #slots: Int32Array;

  /** @param slots {@linkcode WORD_MARKS} words of shared memory. */
  constructor(slots: Int32Array) {
    this.#slots = slots;
  }

  /**
   * What a word is. What this thread has written before, other threads see that begin to wait there
   * after the word has ceased to be quiet: the addition orders the two, also on machines that do
   * not do so by themselves.
   *
   * @param byte The word's first byte in the region.
   * @returns Bits of {@linkcode WordMark}.
   */
  of(byte: number): number {
    const seen = Atomics.add(this.#slots, quietSlot(byte), 0);
    return (seen & NUMBER_MASK) === numberOf(byte) ? seen >>> NUMBER_BITS : WordMark.None;
  }

  /**
   * For the engine: from here on a word is so, and no other word in its slot is anything.
   *
   * @param key The word's first byte in the region.
   * @param marks Bits of {@linkcode WordMark}.
   */
  show(key: bigint, marks: number): void {
    const value = marks === WordMark.None ? 0 : numberOf(Number(key)) | marks << NUMBER_BITS;
    Atomics.exchange(this.#slots, quietSlot(key), value);
  }
}
