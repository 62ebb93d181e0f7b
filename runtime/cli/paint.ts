/** Colours of what the program prints, on terminals alone. */

/** How a piece of text looks. */
export type Style = "bold" | "dim" | "red" | "green" | "yellow" | "blue" | "cyan" | "magenta";

/** Gives a piece of text its looks. */
export type Paint = (text: string, style: Style) => string;

/** Leaves every text as it is. */
export const plain: Paint = (text: string): string => text;

/**
 * Chooses how texts look that are printed somewhere.
 *
 * @param stream Where they are printed.
 * @returns Colours where that is a terminal and NO_COLOR is not set; else none.
 */
export async function paintOf(stream: { isTerminal(): boolean }): Promise<Paint> {
  if (Deno.noColor || !stream.isTerminal()) return plain;
  // Imported on demand, since Deno then loads most of its copy of Node.
  const { styleText } = await import("node:util");
  // Whether there is a terminal was looked at here: to have it looked at needs --allow-env.
  return (text, style) => styleText(style, text, { validateStream: false });
}
