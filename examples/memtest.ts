/**
 * The memory test: several nodes count, share pages, fill, verify and rewrite the region, and hand it to
 * system calls. Ends with `OK`, or with what was found where, and exit code 1.
 *
 * ```sh
 * DIRECTORY=1  PORT=7000 deno run -A examples/memtest.ts    # console 1
 * RPC_SERVER=1 PORT=7001 deno run -A examples/memtest.ts    # console 2
 * RPC_SERVER=1 PORT=7002 deno run -A examples/memtest.ts    # console 3
 * ```
 */

// @ts-types="../runtime/std/parse_args.d.ts"
import { parseArgs } from "@std/cli/parse-args";
import { join, type Node, type NodeOptions, run, TdsmError } from "../mod.ts";
import { endWithParent, runLocally } from "./local_nodes.ts";
import {
  ADDITIONS,
  Memtest,
  MemtestError,
  NODES_MAX,
  SystemCalls,
  WORKER_ADDITIONS,
  WORKERS_MAX,
} from "./memtest_steps.ts";

/** Where the nodes that only serve look for the directory, as long as nobody says otherwise. */
const DIRECTORY_ADDRESS_DEFAULT = "127.0.0.1:7000";
const MIB = 1 << 20;

const HELP = `Tests shared memory with several nodes.

Usage: memtest.ts [--nodes N] [OPTIONS]

With --directory (DIRECTORY=1), waits for N - 1 nodes, then tests.
With --rpc-server (RPC_SERVER=1), takes part in the test of the directory at
--directory-address (DIRECTORY_ADDRESS; default ${DIRECTORY_ADDRESS_DEFAULT}), and ends with it.
With neither, starts N nodes on this machine.

Options:
  --nodes N                         How many nodes take part, 2 to ${NODES_MAX} (default 3)
  --workers N                       Workers that count on each node, 0 to ${WORKERS_MAX} (default 0)
  --address HOST, --port PORT       Where this node listens (ADDRESS, PORT)
  --size SIZE, --page-size SIZE     The region, as the directory makes it (SIZE, PAGE_SIZE)
  --help                            Show this

The directory's node takes every other setting of the runtime too. Others have them from the environment.
`;

/** Prints what a step did and how long it took. */
function report(what: string, since: number, bytes = 0): void {
  const ms = performance.now() - since;
  const speed = bytes === 0 ? "" : `${Math.round(bytes / MIB / (ms / 1000))} MiB/s`;
  console.log(`${what.padEnd(52)}${ms.toFixed(1).padStart(8)} ms  ${speed}`.trimEnd());
}

/** Node 1: fills the region while it waits for the others, then leads them through the steps. */
async function lead(node: Node, nodes: number, workers: number): Promise<void> {
  const test = new Memtest(node);
  console.log(
    `Node 1 at ${node.address}:${node.port}: ${node.size} bytes in pages of ${node.pageSize}, ` +
      `waiting for ${nodes - 1} nodes`,
  );
  const bytes = test.dataBytes;
  let since = performance.now();
  test.fill();
  report("node 1 filled the region", since, bytes);
  since = performance.now();
  for (let peer = 2; peer <= nodes; peer++) await node.waitForPeer(peer);
  report(`${nodes} nodes are here`, since);
  const step = async (what: string, act: () => Promise<void>, bytes?: number): Promise<void> => {
    const since = performance.now();
    await act();
    report(what, since, bytes);
  };
  test.announce(nodes, workers);
  await step(`${nodes} nodes added ${ADDITIONS} each to one word`, () => test.count());
  if (workers > 0) {
    const what = `${workers} Workers a node added ${WORKER_ADDITIONS} each to one word`;
    await step(what, () => test.countWithWorkers());
  }
  await step(`${nodes} nodes wrote stripes of one page`, () => test.writeStripes());
  await step(
    `${nodes - 1} nodes verified the region`,
    () => test.verifyFilled(),
    bytes * (nodes - 1),
  );
  await step(`${nodes - 1} nodes rewrote the region`, () => test.rewrite(), bytes);
  await step("node 1 verified the region", () => test.verifyRewritten(), bytes);
  await step(`node ${nodes} gave the region to system calls`, () => test.useSystemCalls());
  if (test.systemCalls === SystemCalls.Skipped) {
    console.log(`  skipped: the kernel lets node ${nodes} serve faults of user space only`);
  }
}

/** Every other node: the same steps, in the same order. */
async function follow(node: Node): Promise<void> {
  const test = new Memtest(node);
  if (!await test.attend()) return;
  try {
    await test.count();
    await test.countWithWorkers();
    await test.writeStripes();
    await test.verifyFilled();
    await test.rewrite();
    await test.verifyRewritten();
    await test.useSystemCalls();
  } catch (error) {
    if (error instanceof MemtestError) test.fail();
    throw error;
  }
}

/**
 * Takes part in the test of a directory, and stays until it ends.
 *
 * `run` executes no main on a node that serves, so this one uses `join`.
 */
async function serve(options: NodeOptions): Promise<void> {
  await using node = await join({ ...options, rpcServer: true });
  console.log(`Node ${node.id} at ${node.address}:${node.port} takes part`);
  await Promise.all([follow(node), node.closed]);
}

/** The text of a flag that was given, or else of the first of these environment variables that is set. */
function setting(flag: unknown, ...variables: string[]): string | undefined {
  if (flag !== undefined) return String(flag);
  return variables.map((variable) => Deno.env.get(variable)).find((text) => text);
}

function isOn(text: string | undefined): boolean {
  return text === "1" || text === "true";
}

async function main(args: string[]): Promise<number> {
  const flags = parseArgs(args, {
    string: ["nodes", "workers", "directory-address", "address", "port", "size", "page-size"],
  });
  if (flags["help"] || flags["h"]) {
    console.log(HELP);
    return 0;
  }
  const nodes = Number(flags["nodes"] ?? 3);
  if (!Number.isInteger(nodes) || nodes < 2 || nodes > NODES_MAX) {
    console.error(`memtest: error: --nodes must be a whole number from 2 to ${NODES_MAX}`);
    return 2;
  }
  const workers = Number(flags["workers"] ?? 0);
  if (!Number.isInteger(workers) || workers < 0 || workers > WORKERS_MAX) {
    console.error(`memtest: error: --workers must be a whole number from 0 to ${WORKERS_MAX}`);
    return 2;
  }
  const directoryAddress = setting(
    flags["directory-address"],
    "DIRECTORY_ADDRESS",
    "DIRECOTRY_ADDRESS",
  );
  if (isOn(setting(flags["directory"], "DIRECTORY"))) {
    await run((node) => lead(node, nodes, workers), { directory: true, rpcServer: false });
    console.log("OK");
    return 0;
  }
  if (!isOn(setting(flags["rpc-server"], "RPC_SERVER")) && directoryAddress === undefined) {
    const program = import.meta.filename!;
    const failure = await runLocally({
      program,
      nodes,
      leading: args,
      following: ["--rpc-server"],
    });
    if (failure !== undefined) console.error(`memtest: error: ${failure}`);
    return failure === undefined ? 0 : 1;
  }
  await serve({
    directoryAddress: directoryAddress ?? DIRECTORY_ADDRESS_DEFAULT,
    address: setting(flags["address"]),
    port: flags["port"] === undefined ? undefined : Number(flags["port"]),
  });
  return 0;
}

endWithParent();
try {
  Deno.exitCode = await main(Deno.args);
} catch (error) {
  if (!(error instanceof MemtestError || error instanceof TdsmError)) throw error;
  console.error(`memtest: error: ${error.message}`);
  Deno.exitCode = error instanceof TdsmError && error.code === "InvalidOption" ? 2 : 1;
}
