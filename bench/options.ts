/** What the benchmark is asked for on its command line. */

import { parseArgs } from "node:util";

/** What to do. */
export type Mode = "rows" | "ablation" | "programs" | "list" | "help";

/** The command line, read. */
export interface Options {
  readonly mode: Mode;
  /** Ids of rows and names of families; empty for all. Only with `rows`. */
  readonly names: ReadonlySet<string>;
  readonly quick: boolean;
  readonly json: boolean;
}

/** What `--help` prints. */
export const HELP = `Measures the runtime beside the floors that the machine sets.

Usage: bench [--quick] [--json] [--row NAME...]
       bench --ablation [--quick] [--json]
       bench --programs [--quick] [--json]
       bench --list

Options:
  --row NAME...   Only these rows or families, and what they are compared with
  --ablation      Some rows with each optimisation switched off alone
  --programs      What real programs move, and their speed-up as the simulator predicts it
  --quick         Few rounds and small sizes
  --json          Print everything as JSON
  --list          List the rows
  --help          Show this`;

/**
 * Reads the command line.
 *
 * @param args The words behind the program.
 * @returns What they ask for.
 * @throws {TypeError} What is wrong with them.
 */
export function readOptions(args: string[]): Options {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      row: { type: "string", multiple: true },
      ablation: { type: "boolean" },
      programs: { type: "boolean" },
      quick: { type: "boolean" },
      json: { type: "boolean" },
      list: { type: "boolean" },
      help: { type: "boolean", short: "h" },
    },
  });
  const { row = [], quick = false, json = false } = values;
  if (row.length === 0 && positionals.length > 0) throw new TypeError("names stand behind --row");
  const modes = (["help", "list", "ablation", "programs"] as const).filter((mode) => values[mode]);
  if (modes.length > 1) throw new TypeError(`--${modes[0]} and --${modes[1]} exclude each other`);
  const [mode = "rows"] = modes;
  const names = new Set([...row, ...positionals]);
  if (mode !== "rows" && names.size > 0) throw new TypeError(`--${mode} takes no rows`);
  return { mode, names, quick, json };
}
