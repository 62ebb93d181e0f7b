/**
 * Text of other nodes on a terminal: nothing of it may act on the terminal, or look like other
 * text.
 */

/**
 * Runs of control characters, and of those by which a text has other text shown in another order
 * (the embeddings, overrides and isolates of bidirectional text).
 */
export const UNPRINTABLE: RegExp = /[\p{Cc}\u202a-\u202e\u2066-\u2069]+/gu;
const UNPRINTABLE_IN_LINES = /[[\p{Cc}\u202a-\u202e\u2066-\u2069]--[\n\t]]+/gv;

/**
 * Text of another node as it may be printed.
 *
 * @param text The text.
 * @param inLines Whether ends of lines and tabs stay.
 * @returns The text, with a space in place of each run of characters that are left out.
 */
export function printable(text: string, inLines = false): string {
  return text.replace(inLines ? UNPRINTABLE_IN_LINES : UNPRINTABLE, " ");
}
