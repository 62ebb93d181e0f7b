/** Colours of what the program prints, on terminals alone. */

/** How a piece of text looks. */
export type Style = "bold" | "dim" | "red" | "green" | "yellow";

/** Gives a piece of text its looks. */
export type Paint = (text: string, style: Style) => string;

/** The numbers by which terminals know them (ECMA-48, Select Graphic Rendition). */
const CODES: Readonly<Record<Style, number>> = { bold: 1, dim: 2, red: 31, green: 32, yellow: 33 };

/** Leaves every text as it is. */
export const plain: Paint = (text: string): string => text;

/**
 * Chooses how texts look that are printed somewhere.
 *
 * @param stream Where they are printed.
 * @returns Colours where that is a terminal and NO_COLOR is not set; else none.
 */
export function paintOf(stream: { isTerminal(): boolean }): Paint {
  if (Deno.noColor || !stream.isTerminal()) return plain;
  return (text, style) => `\x1b[${CODES[style]}m${text}\x1b[0m`;
}
