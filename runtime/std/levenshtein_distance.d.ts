/** Types for `@std/text/levenshtein-distance`; its npm package carries none. */

/**
 * Counts the letters that are to be put in, left out or changed to make one text of another.
 *
 * @param str1 The one text.
 * @param str2 The other.
 * @returns How many.
 */
export function levenshteinDistance(str1: string, str2: string): number;
