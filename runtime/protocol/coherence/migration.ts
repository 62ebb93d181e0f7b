/**
 * Which pages migrate: each node in turn reads such a page, then writes it, as with a counter or with
 * what a lock protects. A node that reads such a page is best handed it over to write at once.
 *
 * That a reader goes on to write is seen only where it has to ask again. So a page that was seen to
 * migrate is handed over a number of times unseen, and then has to prove itself anew; each proof in
 * a row is good for about twice as many.
 *
 * The record of a page is one byte: 0 where it is not known to migrate, otherwise 2^n plus the
 * hand-overs that are left of the 2^n - 1 which the last proof gave.
 */

/** The record of a page that is not known to migrate. */
export const UNPROVEN = 0;

/** The first proof gives 2^2 - 1 = 3 hand-overs. */
const FIRST_EXPONENT = 2;
/** No proof gives more than 2^6 - 1 = 63: as often is a page handed over in vain at most. */
const LAST_EXPONENT = 6;

function exponentOf(record: number): number {
  return 31 - Math.clz32(record);
}

function proven(record: number): number {
  const next = record === UNPROVEN ? FIRST_EXPONENT : exponentOf(record) + 1;
  return 2 ** (Math.min(next, LAST_EXPONENT) + 1) - 1;
}

/**
 * How often a page may be handed over before it has to prove itself again.
 *
 * @param record What is known of it.
 * @returns The hand-overs, 0 to 63.
 */
export function handOversLeft(record: number): number {
  return record === UNPROVEN ? 0 : record - 2 ** exponentOf(record);
}

/**
 * A page is read by a node that has no copy. Where hand-overs are left and there is one copy, that is
 * a hand-over.
 *
 * @param record What was known of the page.
 * @param copies The nodes that have a copy, before the read.
 * @returns What is known of it now.
 */
export function afterRead(record: number, copies: number): number {
  // Two share it and a third reads it too.
  if (copies > 1) return UNPROVEN;
  return handOversLeft(record) > 0 ? record - 1 : record;
}

/**
 * A node that has a copy asks to write it.
 *
 * @param record What was known of the page.
 * @param copies The nodes that have a copy, that one among them.
 * @param owns Whether it wrote the page last: then what the other has done is read, not read and write.
 * @returns What is known of the page now.
 */
export function afterUpgrade(record: number, copies: number, owns: boolean): number {
  return copies === 2 && !owns ? proven(record) : UNPROVEN;
}
