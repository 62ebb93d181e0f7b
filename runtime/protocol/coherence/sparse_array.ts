/**
 * An array with wide gaps, which take next to no memory. Tables of pages keep their chunks in one:
 * a look-up is two loads, and a walk over the chunks goes in ascending order and can be
 * interrupted.
 */

const BLOCK_BITS = 9;
const BLOCK_LENGTH = 2 ** BLOCK_BITS;
/** An `&` is quick even where the compiler takes the length for a variable; a remainder is not. */
const BLOCK_MASK = BLOCK_LENGTH - 1;

/** Items by index, a whole number of at most 32 bits. */
export class SparseArray<Item> {
  /** Once made, a block stays: it is small beside the items that were in it. */
  readonly #blocks: ((Item | undefined)[] | undefined)[] = [];

  /** The item at an index. */
  get(index: number): Item | undefined {
    return this.#blocks[index >>> BLOCK_BITS]?.[index & BLOCK_MASK];
  }

  /** Puts an item at an index; `undefined` removes the one that is there. */
  set(index: number, item: Item | undefined): void {
    const place = index >>> BLOCK_BITS;
    while (this.#blocks.length <= place) this.#blocks.push(undefined);
    const block = this.#blocks[place] ??= Array(BLOCK_LENGTH).fill(undefined);
    block[index & BLOCK_MASK] = item;
  }

  /**
   * The first index from `start` on that has an item; `undefined` where there is none before `end`.
   */
  next(start: number, end = Infinity): number | undefined {
    for (let index = start; index < end;) {
      const place = index >>> BLOCK_BITS;
      if (place >= this.#blocks.length) return undefined;
      const block = this.#blocks[place];
      const stop = Math.min(end, (place + 1) * BLOCK_LENGTH);
      if (block === undefined) index = stop;
      for (; index < stop; index++) if (block![index & BLOCK_MASK] !== undefined) return index;
    }
    return undefined;
  }
}
