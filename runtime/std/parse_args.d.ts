/** Types for the part of `@std/cli/parse-args` that is used here; its npm package carries none. */

/** How arguments are read. */
export interface ParseOptions {
  /** Flags whose value is text, even one that looks like a number; `""` where no value follows. */
  string?: readonly string[];
  /** Flags that `--no-NAME` sets to `false`. */
  negatable?: readonly string[];
}

/**
 * Reads command-line arguments.
 *
 * @param args The arguments, without the program.
 * @param options How they are read.
 * @returns The value of each flag by its name, and under `_` what was no flag.
 */
export function parseArgs(
  args: readonly string[],
  options?: ParseOptions,
): { readonly [flag: string]: unknown };
