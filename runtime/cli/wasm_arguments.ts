/** The arguments of the command that runs WebAssembly programs, and its help text. */

import { NODES_MAX, WASM_THREADS_NODE_MAX } from "../limits.ts";
import { refused, unknownArgument } from "../settings/flags.ts";
import { settingsHelp } from "../settings/help.ts";
import type { Environment } from "../settings/settings.ts";
import { type Setting, SETTINGS } from "../settings/table.ts";
import { WASM_COMMAND } from "../start_command.ts";

/** What to run, and how. */
export interface WasmArguments {
  /** The file of the program. */
  readonly program: string;
  /** The arguments of the program. */
  readonly args: readonly string[];
  /** The flags that are settings of the node. */
  readonly settings: readonly string[];
  /** How many threads a node may have at one time. */
  readonly threadsPerNode: number;
  /** Whether condition variables and barriers of its C library are lifted. */
  readonly lift: boolean;
  /** By the name that the program has for each of its folders, the path. */
  readonly folders: Readonly<Record<string, string>>;
  /** The environment variables of the program. */
  readonly env: Readonly<Record<string, string>>;
}

/** The flag by which nothing is lifted. */
export const NO_LIFT = "--no-lift";
/** The command's own flags. */
const OWN_FLAGS = ["nodes", "threads-per-node", "no-lift", "dir", "env", "help"] as const;
const ROWS: readonly Setting<unknown>[] = Object.values(SETTINGS);

/** All flags, without their dashes. */
const FLAGS = [...OWN_FLAGS, ...ROWS.map(({ flag }) => flag)];

/** The text of `--help`. */
export const wasmHelp = (): string =>
  `Runs a WebAssembly program whose threads are spread over nodes: C with pthreads,
Rust with std::thread, built for wasm32-wasip1-threads.

Usage: ${WASM_COMMAND} [OPTIONS] PROGRAM.wasm [ARGUMENTS]

  -n N, --nodes N       How many nodes, 1 to ${NODES_MAX}; default: 1. They are started
                        on this machine. With --address, you start the others
                        yourself, by the same command with --directory-address
  --threads-per-node N  The most threads that a node has at one time, 1 to ${WASM_THREADS_NODE_MAX}
  --no-lift             Leave condition variables and barriers as the C library
                        has them. By default nodes take turns by them faster
  --dir FOLDER[::NAME]  Let the program use a folder, by its name or another one
  --env NAME[=VALUE]    Give the program an environment variable
  --help                Show this

All after PROGRAM is the program's. Its main thread runs on the first node, and
the threads that are started on the next one in turn. Files, arguments and
standard streams are those of the first node. The exit code is the program's,
134 where it has trapped, 1 where a node was lost, and otherwise as of any node.

Settings of the node:

${settingsHelp()}`;

/**
 * Reads the command's arguments.
 *
 * @param args The arguments: flags, the program, and the program's own arguments.
 * @param environment Reads an environment variable.
 * @returns What to run; `undefined` where the arguments ask for help.
 * @throws {TdsmError} `InvalidOption`: what is missing or wrong.
 */
export function parseWasm(
  args: readonly string[],
  environment: Environment,
): WasmArguments | undefined {
  const settings: string[] = [];
  const folders: Record<string, string> = {};
  const env: Record<string, string> = {};
  let threadsPerNode = WASM_THREADS_NODE_MAX;
  let lift = true;
  let at = 0;
  for (; at < args.length; at++) {
    const arg = args[at]!;
    if (!arg.startsWith("-") || arg === "-" || arg === "--") break;
    const [, flag, joined] = /^(-n(?=\d|=|$)|--[^=]+)=?(.*)$/s.exec(arg) ?? [];
    if (flag === undefined && arg !== "-h") throw unknownArgument(arg, FLAGS);
    const value = (): string => {
      const given = joined !== "" || arg.endsWith("=") ? joined : args[++at];
      if (given === undefined || given === "") throw refused(`Cannot use ${arg} without a value`);
      return given;
    };
    switch (flag) {
      case undefined:
      case "--help":
        return undefined;
      case "-n":
      case "--nodes":
        settings.push(`--nodes=${countIn(value(), "-n", NODES_MAX)}`);
        break;
      case "--threads-per-node":
        threadsPerNode = countIn(value(), flag, WASM_THREADS_NODE_MAX);
        break;
      case NO_LIFT:
        if (arg !== NO_LIFT) throw refused(`Cannot use ${arg}: ${NO_LIFT} takes no value`);
        lift = false;
        break;
      case "--dir": {
        const [path, name] = value().split("::", 2);
        folders[name || path!] = path!;
        break;
      }
      case "--env": {
        const [, name, text] = /^([^=]+)(?:=(.*))?$/s.exec(value()) ?? [];
        if (name === undefined) throw refused(`Cannot use ${arg}: write --env NAME=VALUE`);
        env[name] = text ?? environment(name) ?? "";
        break;
      }
      default: {
        const setting = ROWS.find(({ flag }) =>
          [`--${flag}`, `--no-${flag}`].includes(flagOf(arg))
        );
        if (setting === undefined) throw unknownArgument(arg, FLAGS);
        const next = args[at + 1];
        const takesNext = setting.kind.placeholder !== undefined && !arg.includes("=") &&
          next !== undefined && !next.startsWith("--");
        settings.push(takesNext ? `${arg}=${args[++at]}` : arg);
      }
    }
  }
  if (args[at] === "--") at += 1;
  const program = args[at];
  if (program === undefined || program === "") {
    throw refused(`Cannot run: no program is named. Write ${WASM_COMMAND} -n 2 program.wasm`);
  }
  return { program, args: args.slice(at + 1), settings, threadsPerNode, lift, folders, env };
}

/** A flag without its value. */
function flagOf(arg: string): string {
  return arg.replace(/=.*$/s, "");
}

/** The number that a flag has. */
function countIn(text: string, flag: string, most: number): number {
  const count = /^\d+$/.test(text) ? Number(text) : NaN;
  if (count >= 1 && count <= most) return count;
  const rule = `it must be a whole number from 1 to ${most}`;
  throw refused(`Cannot use ${JSON.stringify(text)} of ${flag}: ${rule}`);
}
