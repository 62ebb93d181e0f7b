/**
 * Code that all examples share: `--help`, roles, and by default three nodes on this machine. With
 * DIRECTORY, DIRECTORY_ADDRESS or RPC_SERVER, as a variable or a flag, the program is one node.
 */

import { type Node, type NodeOptions, run } from "../mod.ts";
import { launch } from "../runtime/cli/local_nodes.ts";
import { fetchStatus } from "../runtime/cli/status.ts";
import { formatTable } from "../runtime/cli/table.ts";
import { formatSize, roughSize } from "../runtime/size.ts";
import {
  count,
  type Flags,
  NODES_DEFAULT,
  ownPermissions,
  readArguments,
  readOrEnd,
} from "./arguments.ts";
import { styled } from "./terminal.ts";

export { count } from "./arguments.ts";

/** The most nodes that an example runs on. */
const NODES_MAX = 64;
/** The semaphore at which all nodes wait until the last of them is there. */
const READY = 0n;

const COMMON_HELP =
  `  --nodes N      How many nodes take part, 2 to ${NODES_MAX} (default ${NODES_DEFAULT})
  --help         Show this

Starts all nodes on this machine. To start each by itself, give them the same options and one of
  --directory (DIRECTORY=1), with --address and --port
  --directory-address HOST:PORT (DIRECTORY_ADDRESS)
or any other setting of the runtime, as a flag or in the environment.
`;

/** An example; `Told` is the type of its flags' values. */
export interface Example<Told> {
  /** The path of its program. */
  readonly program: string;
  /** What it does, and its options; those of every example are added. */
  readonly help: string;
  /** Its flags; each takes a value. */
  readonly flags?: readonly string[];
  /** Reads its flags; `count` refuses wrong numbers. */
  readonly read: (flags: Flags) => Told;
  /** Whether only node 1 executes `main`, and all others serve its calls. */
  readonly serving?: boolean;
  /** Settings of every node. */
  readonly options?: NodeOptions;
  /**
   * A node's part, once all nodes have joined. Only node 1 prints, so that the output has an order; a table
   * of the pages and bytes that each node has moved, and `OK`, follow that output.
   */
  readonly main: (node: Node, nodes: number, told: Told) => Promise<void>;
}

/** An example found something wrong; the message says what. */
export class ExampleError extends Error {
  override readonly name = "ExampleError";
}

/**
 * Runs an example: the whole of its program.
 *
 * @param example The example.
 */
export async function runExample<Told>(example: Example<Told>): Promise<void> {
  const { program, serving = false, flags = [] } = example;
  const given = readOrEnd(() => {
    const given = readArguments(flags);
    if (given.help) return undefined;
    const nodes = count(given.nodes, "nodes", NODES_DEFAULT, 2, NODES_MAX);
    return { ...given, nodes, told: example.read(given.flags) };
  });
  if (given === undefined) return console.log(example.help + COMMON_HELP);
  const { role, nodes, told, directoryAddress } = given;
  if (role === undefined) {
    const what = { program, nodes, args: Deno.args, denoFlags: ownPermissions() };
    Deno.exitCode = await launch({ ...what, rpcServers: serving });
    return;
  }
  let first = false;
  // It says itself what goes wrong.
  await run(async (node) => {
    first = node.id === 1;
    await take(node, nodes, example, told);
  }, {
    ...example.options,
    programFlags: [...flags, "help", "h"],
    // Node 1 waits for the others below, once it has said where it is.
    nodes: 1,
    // Where every node executes main, RPC_SERVER says no more than that this is not the first node.
    rpcServer: serving && role === "joins",
    ...(role === "directory" || directoryAddress ? {} : { directoryAddress: "127.0.0.1" }),
  });
  if (first) console.log(styled("green", "OK"));
}

/** One node's part, once all are there. */
async function take<Told>(
  node: Node,
  nodes: number,
  example: Example<Told>,
  told: Told,
): Promise<void> {
  const ready = node.semaphore(READY);
  if (node.id === 1) {
    const { size, pageSize, address, port } = node;
    console.log(
      `Node 1 at ${address}:${port}: ${formatSize(size)} in pages of ${formatSize(pageSize)}`,
    );
    for (let id = 2; id <= nodes; id++) await node.waitForPeer(id);
    ready.release(NODES_MAX);
  } else {
    await ready.acquire();
    // One too many: the others count without it.
    if (node.id > nodes) return;
  }
  await example.main(node, nodes, told);
  if (example.serving) return await printMoved(node);
  const end = node.barrier("end of the example", nodes);
  await end.wait();
  if (node.id === 1) await printMoved(node);
  // No node leaves before node 1 has asked for its counters.
  await end.wait();
}

/** Prints what each node has moved since it joined; at node 1, which knows of all. */
async function printMoved({ address: hostname, port }: Node): Promise<void> {
  const { nodes } = await fetchStatus({ hostname, port });
  const rows = nodes.map(({ id, stats }) => {
    const { faults, pagesReceived, pagesSent, bytesReceived, bytesSent } = stats ?? {};
    const counts = [id, faults ?? 0, pagesReceived ?? 0, pagesSent ?? 0].map(String);
    return [...counts, roughSize(bytesReceived ?? 0), roughSize(bytesSent ?? 0)];
  });
  const [titles, ...lines] = formatTable([
    ["NODE", "FAULTS", "PAGES IN", "PAGES OUT", "BYTES IN", "BYTES OUT"],
    ...rows,
  ]).split("\n");
  console.log(`\n${styled("bold", titles!)}\n${lines.join("\n")}`);
}

/**
 * Collects a number of every node, and keeps them in step: each has to call it.
 *
 * @param node This node.
 * @param nodes How many nodes take part.
 * @param name What the numbers are called; used once.
 * @param value This node's number.
 * @returns The numbers, in order of the nodes.
 */
export async function collect(
  node: Node,
  nodes: number,
  name: string,
  value: number,
): Promise<number[]> {
  const values = await node.alloc(Float64Array, nodes, { name });
  values[node.id - 1] = value;
  await node.barrier(name, nodes).wait();
  return Array.from(values);
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
