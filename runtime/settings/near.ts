/** Which name was meant by one that is nearly right. */

import { levenshteinDistance } from "../std/levenshtein_distance.js";

/** One letter in so many may be wrong, missing or too much; in a shorter name, one. */
const LETTERS_PER_SLIP = 4;
/** What an abbreviation counts for: more than another way to write the name, less than a slip. */
const ABBREVIATED = 0.5;

/**
 * Finds the name that a wrong one was meant to be: the same but for case and dashes, an
 * abbreviation with at least half of the letters, letters that changed places, or few letters that
 * are wrong.
 *
 * @param name The wrong name, without dashes at its front.
 * @param known The names that there are; of two that are as near the first is taken.
 * @returns The nearest of them, or `undefined` where none is near.
 */
export function nearestName(name: string, known: Iterable<string>): string | undefined {
  const most = Math.max(1, Math.floor(name.length / LETTERS_PER_SLIP));
  let nearest: string | undefined;
  let least = Infinity;
  for (const candidate of known) {
    const slips = slipsBetween(letters(name), letters(candidate));
    if (slips > most || slips >= least) continue;
    nearest = candidate;
    least = slips;
  }
  return nearest;
}

/** The letters of a name, which may be written `page-size`, `pageSize` or `PAGE_SIZE`. */
function letters(name: string): string {
  return name.toLowerCase().replace(/[-_]/g, "");
}

function slipsBetween(wrong: string, right: string): number {
  if (wrong === right) return 0;
  if (right.startsWith(wrong) && 2 * wrong.length >= right.length) return ABBREVIATED;
  return sorted(wrong) === sorted(right) ? 1 : levenshteinDistance(wrong, right);
}

function sorted(text: string): string {
  return [...text].sort().join("");
}
