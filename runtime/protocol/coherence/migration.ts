/**
 * Finds pages that migrate: nodes in turn read such a page and then write it, as with a counter, or
 * data that a lock protects. A node that reads such a page is best granted the right to write at
 * once.
 *
 * The home sees that a reader goes on to write only if the reader has to ask again. So a page that
 * was seen to migrate is handed over a number of times unseen, and then has to prove again that it
 * migrates; each proof in a row allows about twice as many hand-overs.
 *
 * The record of a page is one byte: 0 where it is not known to migrate, otherwise 2^n plus the
 * hand-overs that are left of the 2^n - 1 which the last proof gave.
 */

/** The record of a page that is not known to migrate. */
export const UNPROVEN = 0;

/** The first proof gives 2^2 - 1 = 3 hand-overs. */
const FIRST_EXPONENT = 2;
/** No proof gives more than 2^6 - 1 = 63, which bounds the hand-overs in vain. */
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
  return record === UNPROVEN ? 0 : record - (1 << exponentOf(record));
}

/**
 * Updates the record when a node without a copy reads the page. This read is a hand-over where
 * hand-overs are left and only one node has a copy.
 *
 * @param record The page's record.
 * @param copies How many nodes had a copy before the read.
 * @returns The new record.
 */
export function afterRead(record: number, copies: number): number {
  // A third node reads the page while two share it, so it does not migrate.
  if (copies > 1) return UNPROVEN;
  return handOversLeft(record) > 0 ? record - 1 : record;
}

/**
 * Updates the record when a node that has a copy asks to write the page.
 *
 * @param record The page's record.
 * @param copies How many nodes have a copy, including the one that asks.
 * @param owns Whether that node wrote the page last: then the other node has only read it.
 * @returns The new record.
 */
export function afterUpgrade(record: number, copies: number, owns: boolean): number {
  return copies === 2 && !owns ? proven(record) : UNPROVEN;
}
