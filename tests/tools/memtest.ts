/**
 * Runs the memory test, `examples/memtest.ts`: as one node, where flags or variables give this
 * process a role; otherwise as several nodes on this machine.
 */

import { NODES_MAX, WORKERS_MAX } from "../../examples/memtest_steps.ts";
import { PORT_MAX } from "../../runtime/address.ts";
import { launchHere } from "../../runtime/cli/local_nodes.ts";
import { errorText, exitCodeOfStart, TdsmError } from "../../runtime/errors.ts";
import { printError } from "../../runtime/node/report.ts";
import { type Flags, readFlags, refused, unknownArgument } from "../../runtime/settings/flags.ts";
import { readEnvironment } from "../../runtime/settings/settings.ts";
import { readSwitch, type SettingName, SETTINGS } from "../../runtime/settings/table.ts";

const MEMTEST = new URL("../../examples/memtest.ts", import.meta.url);
const NODES_DEFAULT = 3;
/** Where nodes that only take part look for the directory, as long as nobody says otherwise. */
const DIRECTORY_ADDRESS_DEFAULT = "127.0.0.1:7000";

const HELP = `Tests shared memory with several nodes.

Usage: memtest.ts [--nodes N] [OPTIONS]

With --directory (DIRECTORY=1), waits for N - 1 nodes, then tests.
With --rpc-server (RPC_SERVER=1), takes part in the test of the directory at
--directory-address (DIRECTORY_ADDRESS; default ${DIRECTORY_ADDRESS_DEFAULT}), and ends with it.
With neither, starts N nodes on this machine.

Options:
  --nodes N                         How many nodes take part, 2 to ${NODES_MAX} (default ${NODES_DEFAULT})
  --workers N                       Workers that count on each node, 0 to ${WORKERS_MAX} (default 0)
  --address HOST, --port PORT       Where this node listens (ADDRESS, PORT)
  --size SIZE, --page-size SIZE     The region, as the directory makes it (SIZE, PAGE_SIZE)
  --help                            Show this

Every other setting of the runtime is taken too, as a flag or from the environment.
`;

/** What the arguments and the environment say. */
interface Told {
  readonly nodes: number;
  /** The port on which node 1 listens, where this process starts all nodes; 0 for any free one. */
  readonly port: number;
  /** The arguments of each node where this process starts all: only one can have a port. */
  readonly args: readonly string[];
  /** The role of this process as one node; `undefined` where it starts all nodes. */
  readonly role: "directory" | "joins" | undefined;
  /** Whether the directory's address was given. */
  readonly knowsDirectory: boolean;
}

/** Reads the arguments and the environment; `undefined` where they ask for help. */
function read(): Told | undefined {
  const { flags, rest } = readFlags(Deno.args, { names: ["workers", "help"] });
  if (rest.includes("--help") || rest.includes("-h")) return undefined;
  readWorkers(rest);
  const isOn = (name: SettingName) => readSwitch(textOf(flags, name) ?? "") === true;
  const knowsDirectory = textOf(flags, "directoryAddress") !== undefined;
  const joins = knowsDirectory || isOn("rpcServer");
  return {
    port: count("port", textOf(flags, "port") ?? "0", 0, PORT_MAX),
    args: [...rest, ...Object.entries(flags).flatMap(([name, value]) => argument(name, value))],
    nodes: count("nodes", textOf(flags, "nodes") ?? String(NODES_DEFAULT), 2, NODES_MAX),
    role: isOn("directory") ? "directory" : joins ? "joins" : undefined,
    knowsDirectory,
  };
}

/** Checks `--workers N`, the only flag beside the settings. */
function readWorkers(args: readonly string[]): void {
  for (let i = 0; i < args.length; i++) {
    const flag = /^--workers(?:=(.*))?$/.exec(args[i]!);
    if (flag === null) throw unknownArgument(args[i]!, ["workers", "help"]);
    const value = flag[1] ?? args[++i];
    if (value === undefined) throw refused("Cannot use --workers without a value");
    count("workers", value, 0, WORKERS_MAX);
  }
}

/** The value of a setting, from a flag or else from a variable. */
function textOf(flags: Flags, name: SettingName): string | undefined {
  const { flag, environment } = SETTINGS[name];
  const given = flags[flag];
  if (given !== undefined) return given === false ? "0" : String(given);
  return environment.map(readEnvironment()).find((text) => text);
}

/** A flag that all nodes may have, written anew. */
function argument(flag: string, value: unknown): string[] {
  if (flag === "_" || flag === SETTINGS.port.flag) return [];
  return [value === false ? `--no-${flag}` : `--${flag}=${value}`];
}

/** The whole number that a flag gives. */
function count(name: string, text: string, least: number, most: number): number {
  const value = /^\d+$/.test(text) ? Number(text) : NaN;
  if (value >= least && value <= most) return value;
  const rule = `it must be a whole number from ${least} to ${most}`;
  throw refused(`Cannot use ${JSON.stringify(text)} of --${name}: ${rule}`);
}

/** Does what is to be done before this process can be a node; returns whether it is to be one. */
async function start(): Promise<boolean> {
  const told = read();
  if (told === undefined) {
    console.log(HELP);
    return false;
  }
  const { role, nodes, port, args, knowsDirectory } = told;
  if (role === undefined) {
    Deno.exitCode = await launchHere({
      program: MEMTEST.href,
      nodes,
      args,
      port,
      denoFlags: ["--allow-net", "--allow-env", "--allow-read"],
      rpcServers: false,
    });
    return false;
  }
  if (role === "joins" && !knowsDirectory) {
    Deno.env.set(SETTINGS.directoryAddress.environment[0]!, DIRECTORY_ADDRESS_DEFAULT);
  }
  return true;
}

let isNode = false;
try {
  isNode = await start();
} catch (error) {
  if (!(error instanceof TdsmError)) throw error;
  printError(errorText(error));
  Deno.exitCode = exitCodeOfStart(error);
}
// It prints itself what goes wrong.
if (isNode) await import(MEMTEST.href);
