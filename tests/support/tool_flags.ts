/**
 * The command line of a program under `tests/`. What it takes is told by one text, which `--help`
 * prints; anything else is refused before the program does anything.
 */

import { parseArgs } from "@std/cli/parse-args";

/** What a program takes beside `--help`. */
export interface ToolFlagNames {
  /** The flags that have a value. */
  readonly values?: readonly string[];
  /** The flags that have none. */
  readonly switches?: readonly string[];
  /** How many arguments that are no flags it takes at most; none by default. */
  readonly others?: number;
}

/** Seeds keep their identity as 32-bit integers. */
const SEEDS_MAX = 2 ** 32;

/** The flags that this program was given. */
export class ToolFlags {
  readonly #help: string;
  readonly #flags: Readonly<Record<string, unknown>>;
  /** The arguments that are no flags. */
  readonly others: readonly string[];

  /**
   * Reads the arguments of the process; ends it where they ask for help, or are wrong.
   *
   * @param help What `--help` prints.
   * @param names What the program takes.
   */
  constructor(help: string, { values = [], switches = [], others = 0 }: ToolFlagNames = {}) {
    this.#help = help;
    const { _: rest, ...flags } = parseArgs(Deno.args, {
      string: [...values, "_"],
      boolean: [...switches, "help"],
      unknown: (argument: string, name?: string) =>
        name === undefined || this.refuse(`there is no ${argument}`),
    });
    this.#flags = flags;
    this.others = rest.map(String);
    if (flags.help === true) {
      console.log(help);
      Deno.exit(0);
    }
    if (this.others.length > others) {
      this.refuse(`"${this.others[others]}" is one argument too many`);
    }
    const empty = values.find((name) => flags[name] === "");
    if (empty !== undefined) this.refuse(`--${empty} needs a value`);
  }

  /** The value of a flag; `undefined` where it was not given. */
  value(name: string): string | undefined {
    return this.#flags[name] as string | undefined;
  }

  /** Whether a flag without a value was given. */
  isSet(name: string): boolean {
    return this.#flags[name] === true;
  }

  /**
   * The value of a flag as a whole number.
   *
   * @param name The flag.
   * @param otherwise The number where the flag was not given.
   * @param least The least that it may be.
   * @returns The number.
   */
  wholeNumber(name: string, otherwise: number, least = 1): number {
    const number = Number(this.value(name) ?? otherwise);
    if (Number.isSafeInteger(number) && number >= least) return number;
    return this.refuse(`--${name} must be a whole number from ${least} on`);
  }

  /** The minutes that `--minutes` tells; more than none. */
  minutes(otherwise: number): number {
    const number = Number(this.value("minutes") ?? otherwise);
    return number > 0 ? number : this.refuse("--minutes must be a number above 0");
  }

  /** The seed that `--seed` tells, or one drawn at random. */
  seed(): number {
    return this.wholeNumber("seed", Math.floor(Math.random() * SEEDS_MAX), 0);
  }

  /** Ends the program with exit code 2, over an argument that is wrong. */
  refuse(reason: string): never {
    console.error(`Cannot begin: ${reason}\n\n${this.#help}`);
    Deno.exit(2);
  }
}
