/**
 * What the examples have in common: `--help`, roles, and three nodes on this machine where nobody says
 * otherwise. With DIRECTORY, DIRECTORY_ADDRESS or RPC_SERVER, as variables or flags, it is one node.
 */

// @ts-types="../runtime/std/parse_args.d.ts"
import { parseArgs } from "@std/cli/parse-args";
import { type Node, type NodeOptions, run, TdsmError } from "../mod.ts";
import { endWithParent, runLocally } from "./local_nodes.ts";

/** The most nodes that an example runs on. */
const NODES_MAX = 64;
/** The semaphore at which all nodes wait until the last of them is there. */
const READY = 0n;
const MIB = 1 << 20;

const COMMON_HELP = `  --nodes N      How many nodes take part, 2 to ${NODES_MAX} (default 3)
  --help         Show this

Starts all nodes on this machine. To start each by itself, give them the same options and one of
  --directory (DIRECTORY=1), with --address and --port
  --directory-address HOST:PORT (DIRECTORY_ADDRESS)
or any other setting of the runtime, as a flag or in the environment.
`;

/** The value of each flag that was given, as text. */
export type Flags = { readonly [flag: string]: unknown };

/** An example. */
export interface Example {
  /** The path of its program. */
  readonly program: string;
  /** What it does, and its options; those of every example are added. */
  readonly help: string;
  /** The flags that take a value. */
  readonly flags?: readonly string[];
  /** Whether only node 1 executes `main`, and all others serve its calls. */
  readonly serving?: boolean;
  /** Settings of every node. */
  readonly options?: NodeOptions;
  /** What a node does, once all are there. Node 1 prints `OK` after it. */
  readonly main: (node: Node, nodes: number, flags: Flags) => Promise<void>;
}

/** An example was used in a way that it cannot be, or found something wrong; the message says what. */
export class ExampleError extends Error {
  override readonly name = "ExampleError";
}

/**
 * Runs an example: the whole of its program.
 *
 * @param example The example.
 */
export async function runExample(example: Example): Promise<void> {
  endWithParent();
  try {
    await start(example);
  } catch (error) {
    if (!(error instanceof ExampleError || error instanceof TdsmError)) throw error;
    console.error(`error: ${error.message}`);
    Deno.exit(1);
  }
}

async function start(example: Example): Promise<void> {
  const flags = parseArgs(Deno.args, {
    string: ["nodes", "directory-address", ...example.flags ?? []],
  });
  if (flags["help"] || flags["h"]) return console.log(example.help + COMMON_HELP);
  const nodes = count(flags, "nodes", 3, 2, NODES_MAX);
  const { program, serving = false } = example;
  if (!hasRole(flags)) {
    const following = serving ? [...Deno.args, "--rpc-server"] : Deno.args;
    const failure = await runLocally({ program, nodes, leading: Deno.args, following });
    if (failure !== undefined) throw new ExampleError(failure);
    return;
  }
  const directory = isOn(flags["directory"] ?? Deno.env.get("DIRECTORY"));
  const known = flags["directory-address"] ?? Deno.env.get("DIRECTORY_ADDRESS") ??
    Deno.env.get("DIRECOTRY_ADDRESS");
  let first = false;
  await run(async (node) => {
    first = node.id === 1;
    await take(node, nodes, example, flags);
  }, {
    ...example.options,
    // Where every node executes main, RPC_SERVER says no more than that this is not the first node.
    rpcServer: serving && !directory,
    ...(directory || known ? {} : { directoryAddress: "127.0.0.1" }),
  });
  if (first) console.log("OK");
}

/** One node's part, once all are there. */
async function take(node: Node, nodes: number, example: Example, flags: Flags): Promise<void> {
  const ready = node.semaphore(READY);
  if (node.id === 1) {
    const { size, pageSize, address, port } = node;
    console.log(`Node 1 at ${address}:${port}: ${size / MIB} MiB in pages of ${pageSize} bytes`);
    for (let id = 2; id <= nodes; id++) await node.waitForPeer(id);
    ready.release(NODES_MAX);
  } else {
    await ready.acquire();
    // One too many: the others count without it.
    if (node.id > nodes) return;
  }
  await example.main(node, nodes, flags);
}

function hasRole(flags: Flags): boolean {
  const names = ["directory", "directory-address", "rpc-server"];
  const variables = ["DIRECTORY", "DIRECTORY_ADDRESS", "DIRECOTRY_ADDRESS", "RPC_SERVER"];
  return names.some((name) => flags[name]) || variables.some((name) => Deno.env.get(name));
}

function isOn(value: unknown): boolean {
  return value === true || value === "1" || value === "true";
}

/**
 * The whole number that a flag gives.
 *
 * @param flags The flags.
 * @param name The flag's name.
 * @param otherwise The number where it was not given.
 * @param least The least that is allowed.
 * @param most The most that is allowed.
 * @returns The number.
 * @throws {ExampleError} When it is not allowed.
 */
export function count(
  flags: Flags,
  name: string,
  otherwise: number,
  least: number,
  most: number,
): number {
  const value = Number(flags[name] ?? otherwise);
  if (Number.isInteger(value) && value >= least && value <= most) return value;
  throw new ExampleError(`--${name} must be a whole number from ${least} to ${most}`);
}

/**
 * Prints what a node has moved since it joined.
 *
 * @param node The node.
 */
export function printMoved(node: Node): void {
  const { faults, pagesReceived, pagesSent, bytesReceived, bytesSent } = node.stats();
  const mib = (bytes: number): string => (bytes / MIB).toFixed(1);
  console.log(
    `Node ${node.id}: ${faults} faults; ${pagesReceived} pages (${mib(bytesReceived)} MiB) came, ` +
      `${pagesSent} (${mib(bytesSent)} MiB) went`,
  );
}

/**
 * Cuts a number of things into shares that are as even as can be.
 *
 * @param total How many things.
 * @param shares How many shares.
 * @param index Which share, from 0 on.
 * @returns The share's first thing, and the first after it.
 */
export function share(total: number, shares: number, index: number): [first: number, end: number] {
  return [Math.floor(total * index / shares), Math.floor(total * (index + 1) / shares)];
}
