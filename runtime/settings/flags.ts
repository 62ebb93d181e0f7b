/**
 * The flags of a program: which of them are settings, which are the program's own, and which are
 * neither, since they are nearly right.
 */

import { TdsmError } from "../errors.ts";
import { parseArgs } from "../std/parse_args.js";
import { nearestName } from "./near.ts";
import { type Setting, SETTINGS } from "./table.ts";

/** The text of each flag that was given; `false` for `--no-NAME`. */
export type Flags = { readonly [flag: string]: unknown };

const ROWS: readonly Setting<unknown>[] = Object.values(SETTINGS);
/** The flags of switches, which take no value and can be negated. */
const SWITCHES = ROWS.filter(({ kind }) => kind.placeholder === undefined).map(({ flag }) => flag);
/** The other flags. */
const VALUES = ROWS.filter(({ kind }) => kind.placeholder !== undefined).map(({ flag }) => flag);

/** What a flag may be called in error, each with the right flag: `pageSize` for `page-size`. */
const FLAG_NAMES: ReadonlyMap<string, string> = new Map([
  ...ROWS.map(({ flag }) => [flag, flag] as const),
  ...SWITCHES.map((flag) => [`no-${flag}`, `no-${flag}`] as const),
  ...Object.entries(SETTINGS).map(([name, { flag }]) => [name, flag] as const),
]);

/** The flags of a program beside the settings. */
export interface ProgramFlags {
  /** Those that are the program's own however near they are to a setting, without their dashes. */
  readonly names: readonly string[];
  /** What else the program takes; without it, other flags and arguments. */
  readonly others?: "arguments" | "none";
}

/**
 * Reads the flags that are settings. Those that are nearly right are refused, unless the program
 * says that they are its own.
 *
 * @param args The program's arguments.
 * @param program The program's own flags.
 * @returns The text of each flag, and the arguments that are none of them, in their order.
 * @throws {TdsmError} `InvalidOption`, with the flag that was meant, or what a flag lacks.
 */
export function readFlags(
  args: readonly string[],
  program: ProgramFlags,
): { flags: Flags; rest: string[] } {
  const own: string[] = [];
  const rest: string[] = [];
  for (let i = 0; i < args.length; i++) {
    const arg = args[i]!;
    if (arg === "--") {
      rest.push(...args.slice(i));
      break;
    }
    const [, dashes, name, value] = /^(--?)([^=]+)(=.*)?$/s.exec(arg) ?? [];
    if (name === undefined || program.names.includes(name)) rest.push(arg);
    else if (dashes === "-") {
      // One dash is for the program's short flags, unless it stands before a whole name.
      if (FLAG_NAMES.has(name)) throw nearlyRight(`-${name}`, FLAG_NAMES.get(name)!, program);
      rest.push(arg);
    } else if (VALUES.includes(name)) {
      const next = args[i + 1];
      if (value !== undefined) own.push(arg);
      // The next flag is no value: this one lacks its own.
      else if (next === undefined || next.startsWith("--")) own.push(`${arg}=`);
      else own.push(`${arg}=${args[++i]}`);
    } else {
      const flag = readSwitch(name, value, program);
      if (flag === undefined) rest.push(arg);
      else own.push(flag);
    }
  }
  if (program.others !== undefined) refuseOthers(rest, program);
  // Kinds turn text from a flag and from the environment into values alike.
  const flags = parseArgs(own, { string: [...VALUES, ...SWITCHES], negatable: SWITCHES });
  return { flags, rest };
}

/** A flag that is a switch, with its value as text; `undefined` where it is the program's own. */
function readSwitch(
  name: string,
  value: string | undefined,
  program: ProgramFlags,
): string | undefined {
  if (SWITCHES.includes(name)) {
    if (value !== "=") return `--${name}${value ?? "=1"}`;
    throw refused(`Cannot use flag --${name} with an empty value: write it alone, or with 1 or 0`);
  }
  const negated = /^no-(.*)$/.exec(name)?.[1];
  if (negated !== undefined && SWITCHES.includes(negated)) {
    if (value === undefined) return `--${name}`;
    throw refused(`Cannot use flag --${name} with a value: write it alone, or --${negated}=0`);
  }
  if (negated !== undefined && VALUES.includes(negated)) {
    throw refused(`Cannot use flag --${name}: leave out --${negated} to have its default`);
  }
  const near = nearestName(name, FLAG_NAMES.keys());
  if (near !== undefined) throw nearlyRight(`--${name}`, FLAG_NAMES.get(near)!, program);
  return undefined;
}

function nearlyRight(flag: string, right: string, { others }: ProgramFlags): TdsmError {
  // A program that has named its flags has said that this is none of them.
  const remedy = others === undefined
    ? " A flag of the program's own goes behind --, or is named in programFlags of run"
    : "";
  return refused(`Cannot use flag ${flag}: did you mean --${right}?${remedy}`);
}

/** Refuses what is none of the program's own flags, where it takes no others. */
function refuseOthers(rest: readonly string[], { names, others }: ProgramFlags): void {
  const isOther = others === "none"
    ? (arg: string) => !names.some((name) => arg === `--${name}`)
    : (arg: string) => isFlag(arg) && !names.includes(arg.replace(/^--?|=.*$/gs, ""));
  const end = others === "none" ? -1 : rest.indexOf("--");
  const other = (end === -1 ? rest : rest.slice(0, end)).find(isOther);
  if (other !== undefined) throw unknownArgument(other, names);
}

/** Whether an argument is a flag: no negative number, and no dash for a standard stream. */
function isFlag(arg: string): boolean {
  return /^--?[^-\d.]/.test(arg);
}

/**
 * The error that a program takes no such argument.
 *
 * @param arg The argument.
 * @param names The flags that it takes, without their dashes.
 * @returns The error, with the flag that was meant, if one is near.
 */
export function unknownArgument(arg: string, names: readonly string[]): TdsmError {
  const name = /^--?([^=]+)/.exec(arg)?.[1];
  // One letter is near to any other.
  const words = names.filter((own) => own.length > 1);
  const near = name === undefined ? undefined : nearestName(name, words);
  const remedy = near === undefined ? "--help tells what there is" : `did you mean --${near}?`;
  return refused(`Cannot use ${arg}: ${remedy}`);
}

/**
 * The error that an option, a flag or a variable cannot be used.
 *
 * @param message Which, why, and what to do.
 * @param cause What it was made of.
 * @returns The error.
 */
export function refused(message: string, cause?: unknown): TdsmError {
  return new TdsmError("InvalidOption", message, { operation: "configure", cause });
}
