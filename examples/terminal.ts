/** Colours, where what an example prints ends on a terminal and NO_COLOR is not set. */

import { styleText } from "node:util";
import { COLOUR_VARIABLE, TERMINAL_VARIABLE } from "../runtime/cli/local_nodes.ts";
import { readEnvironment } from "../runtime/settings/settings.ts";

const environment = readEnvironment();
const coloured = !Deno.noColor && (Deno.stdout.isTerminal() || !!environment(COLOUR_VARIABLE));

/** Whether stderr ends on a terminal, be it by the launcher. */
export const showsProgress: boolean = Deno.stderr.isTerminal() || !!environment(TERMINAL_VARIABLE);

/**
 * Gives text on stdout a style.
 *
 * @param style Such as `"bold"` or `"green"`.
 * @param text The text.
 * @returns The text as it is to be printed.
 */
export function styled(style: Parameters<typeof styleText>[0], text: string): string {
  // Whether there is a terminal was looked at above, as far as it needs no permission.
  return coloured ? styleText(style, text, { validateStream: false }) : text;
}
