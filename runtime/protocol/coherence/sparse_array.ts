/**
 * An array with wide gaps, which take next to no memory. Tables of pages keep their chunks in one: a
 * look-up is two loads, and a walk over the chunks goes in ascending order and can be interrupted.
 */

const BLOCK_BITS = 9;
const BLOCK_LENGTH = 2 ** BLOCK_BITS;

/** Items by index, a whole number of at most 32 bits. */
export class SparseArray<Item> {
  /** Once made, a block stays: it is small beside the items that were in it. */
  readonly #blocks: ((Item | undefined)[] | undefined)[] = [];

  /** The item at an index. */
  get(index: number): Item | undefined {
    return this.#blocks[index >>> BLOCK_BITS]?.[index % BLOCK_LENGTH];
  }

  /** Puts an item at an index; `undefined` removes the one that is there. */
  set(index: number, item: Item | undefined): void {
    const place = index >>> BLOCK_BITS;
    while (this.#blocks.length <= place) this.#blocks.push(undefined);
    const block = this.#blocks[place] ??= Array(BLOCK_LENGTH).fill(undefined);
    block[index % BLOCK_LENGTH] = item;
  }

  /** The first index from `start` on that has an item; `undefined` where there is none. */
  next(start: number): number | undefined {
    for (let place = start >>> BLOCK_BITS; place < this.#blocks.length; place++) {
      const block = this.#blocks[place];
      if (block === undefined) continue;
      const first = Math.max(0, start - place * BLOCK_LENGTH);
      for (let offset = first; offset < BLOCK_LENGTH; offset++) {
        if (block[offset] !== undefined) return place * BLOCK_LENGTH + offset;
      }
    }
    return undefined;
  }
}
