/** Reads an example's arguments and environment: its role, and flags of its own. */

import { errorText, exitCodeOfStart, TdsmError } from "../runtime/errors.ts";
import { printError } from "../runtime/node/report.ts";
import {
  type Flags as SettingFlags,
  readFlags,
  refused,
  unknownArgument,
} from "../runtime/settings/flags.ts";
import { readEnvironment } from "../runtime/settings/settings.ts";
import { type SettingName, SETTINGS } from "../runtime/settings/table.ts";

/** How many nodes take part by default. */
export const NODES_DEFAULT = 3;

/** The text of each flag of the program's own that was given. */
export type Flags = { readonly [flag: string]: string };

/** The arguments of a program. */
export interface Arguments {
  /** Whether to print the help text. */
  readonly help: boolean;
  /** The flags of its own. */
  readonly flags: Flags;
  /** How many nodes take part; not checked yet. */
  readonly nodes: string;
  /** The role of the program as one node; `undefined` where it starts all nodes. */
  readonly role: "directory" | "joins" | undefined;
  /** Whether the program is a node that only serves calls. */
  readonly rpcServer: boolean;
  /** The address of the directory to join, where one was given. */
  readonly directoryAddress: string | undefined;
}

/**
 * Reads the arguments of this program. The runtime's settings are taken too, and nothing else.
 *
 * @param own The names of its own flags, each with a value.
 * @returns What it was told.
 * @throws {TdsmError} `InvalidOption`: what is unknown, nearly right, or lacks a value.
 */
export function readArguments(own: readonly string[]): Arguments {
  const names = [...own, "help"];
  const { flags: settings, rest } = readFlags(Deno.args, { names });
  const help = rest.includes("--help") || rest.includes("-h");
  const setting = (name: SettingName) => textOf(settings, name);
  const isOn = (name: SettingName) => ["1", "true"].includes(setting(name) ?? "");
  const directoryAddress = setting("directoryAddress");
  const rpcServer = isOn("rpcServer");
  const joins = directoryAddress !== undefined || rpcServer;
  return {
    help,
    flags: help ? {} : readOwn(rest, own),
    nodes: setting("nodes") ?? String(NODES_DEFAULT),
    role: isOn("directory") ? "directory" : joins ? "joins" : undefined,
    rpcServer,
    directoryAddress,
  };
}

/**
 * Reads the arguments; if they are wrong, prints why and ends the program.
 *
 * @param read Reads it.
 * @returns What was read.
 */
export function readOrEnd<Told>(read: () => Told): Told {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof TdsmError)) throw error;
    printError(errorText(error));
    Deno.exit(exitCodeOfStart(error));
  }
}

/** The value of a setting, from a flag or else from a variable. */
function textOf(flags: SettingFlags, name: SettingName): string | undefined {
  const { flag, environment } = SETTINGS[name];
  const given = flags[flag];
  if (given !== undefined) return given === false ? "0" : String(given);
  return environment.map(readEnvironment()).find((text) => text);
}

function readOwn(args: readonly string[], own: readonly string[]): Flags {
  const flags: Record<string, string> = {};
  for (let i = 0; i < args.length; i++) {
    const arg = args[i]!;
    const [, name = "", value = args[i + 1]] = /^--([^=]+)(?:=(.*))?$/s.exec(arg) ?? [];
    if (!own.includes(name)) throw unknownArgument(arg, [...own, "help"]);
    if (value === undefined) throw refused(`Cannot use --${name} without a value`);
    if (!arg.includes("=")) i += 1;
    flags[name] = value;
  }
  return flags;
}

/**
 * The whole number that a flag gives.
 *
 * @param text What was given, if anything.
 * @param name The flag's name, for the message.
 * @param otherwise The number where it was not given.
 * @param least The least that is allowed.
 * @param most The most that is allowed.
 * @returns The number.
 * @throws {TdsmError} `InvalidOption`, when it is not allowed.
 */
export function count(
  text: string | undefined,
  name: string,
  otherwise: number,
  least: number,
  most: number,
): number {
  const value = text === undefined ? otherwise : /^\d+$/.test(text) ? Number(text) : NaN;
  if (value >= least && value <= most) return value;
  const rule = `it must be a whole number from ${least} to ${most}`;
  throw refused(`Cannot use ${JSON.stringify(text)} of --${name}: ${rule}`);
}

/**
 * This process's permissions as flags, for nodes that it starts.
 *
 * @returns The flags.
 */
export function ownPermissions(): string[] {
  const names = ["ffi", "net", "env", "read", "write", "run", "sys"] as const;
  return names.filter((name) => Deno.permissions.querySync({ name }).state === "granted")
    .map((name) => `--allow-${name}`);
}
