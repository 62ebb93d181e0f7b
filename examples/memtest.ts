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

import { type Node, run, TdsmError } from "../mod.ts";
import { launch } from "../runtime/cli/local_nodes.ts";
import { errorText, exitCodeOf } from "../runtime/errors.ts";
import { startNode } from "../runtime/node/join.ts";
import { printError } from "../runtime/node/report.ts";
import { readEnvironment, resolveSettings } from "../runtime/settings/settings.ts";
import { formatSize } from "../runtime/size.ts";
import { count, NODES_DEFAULT, ownPermissions, readArguments, readOrEnd } from "./arguments.ts";
import {
  ADDITIONS,
  Memtest,
  MemtestError,
  NODES_MAX,
  SystemCalls,
  WORKER_ADDITIONS,
  WORKERS_MAX,
} from "./memtest_steps.ts";
import { type Measured, type Progress, showProgress } from "./progress.ts";
import { styled } from "./terminal.ts";

/** Where the nodes that only serve look for the directory, as long as nobody says otherwise. */
const DIRECTORY_ADDRESS_DEFAULT = "127.0.0.1:7000";
const PROGRAM_FLAGS = ["workers", "help", "h"];
const MIB = 1 << 20;
/** The width of the first column of the table. */
const STEP_WIDTH = 48;

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

/** One line of the table of steps. */
function row(step: string, time: string, rate: string): string {
  return `${step.padEnd(STEP_WIDTH)}${time.padStart(12)}${rate.padStart(14)}`.trimEnd();
}

/** Prints what a step did and how long it took. */
function report(step: string, ms: number, bytes = 0): void {
  const rate = bytes === 0 ? "" : `${Math.round(bytes / MIB / (ms / 1000))} MiB/s`;
  console.log(row(step, `${ms.toFixed(1)} ms`, rate));
}

/** Node 1: fills the region while it waits for the others, then leads them through the steps. */
async function lead(node: Node, nodes: number, workers: number): Promise<void> {
  let progress: Progress | undefined;
  const test = new Memtest(node, () => progress?.update());
  const { address, port, size, pageSize } = node;
  const others = nodes - 1;
  console.log(
    `Node 1 at ${address}:${port}: ${formatSize(size)} in pages of ${formatSize(pageSize)}, ` +
      `waiting for ${inWords(others)}`,
  );
  console.log(styled("bold", row("STEP", "TIME", "RATE")));
  const step = async (
    what: string,
    act: () => void | Promise<void>,
    bytes?: number,
  ): Promise<void> => {
    const since = performance.now();
    if (bytes !== undefined) progress = showProgress(what, measure(test, bytes));
    try {
      await act();
    } finally {
      progress?.[Symbol.dispose]();
      progress = undefined;
    }
    report(what, performance.now() - since, bytes);
  };
  const bytes = test.dataBytes;
  await step("node 1 filled the region", () => test.fill(), bytes);
  await step(`${nodes} nodes are here`, async () => {
    for (let peer = 2; peer <= nodes; peer++) await node.waitForPeer(peer);
  });
  test.announce(nodes, workers);
  await step(`${nodes} nodes added ${ADDITIONS} each to one word`, () => test.count());
  if (workers > 0) {
    const what = `${workers} Workers a node added ${WORKER_ADDITIONS} each to one word`;
    await step(what, () => test.countWithWorkers());
  }
  await step(`${nodes} nodes wrote stripes of one page`, () => test.writeStripes());
  await step(`${inWords(others)} verified the region`, () => test.verifyFilled(), bytes * others);
  await step(`${inWords(others)} rewrote the region`, () => test.rewrite(), bytes);
  await step("node 1 verified the region", () => test.verifyRewritten(), bytes);
  await step(`node ${nodes} gave the region to system calls`, () => test.useSystemCalls());
  if (test.systemCalls === SystemCalls.Skipped) {
    console.log(`  skipped: the kernel lets node ${nodes} serve faults of user space only`);
  }
}

function inWords(nodes: number): string {
  return nodes === 1 ? "1 node" : `${nodes} nodes`;
}

/** How far the nodes are with a step that handles so many bytes. */
function measure(test: Memtest, total: number): Measured {
  const before = test.doneBytes;
  const format = (bytes: number): string => `${Math.round(bytes / MIB)} MiB`;
  return { total, done: () => test.doneBytes - before, format };
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
 * `run` executes no main on a node that serves, so this one starts its node itself.
 */
async function serve(directoryAddress: string): Promise<void> {
  const options = { directoryAddress, rpcServer: true };
  const flags = { names: PROGRAM_FLAGS };
  const { settings } = resolveSettings(options, Deno.args, readEnvironment(), flags);
  await using node = await startNode(settings, true);
  console.log(`Node ${node.id} at ${node.address}:${node.port} takes part`);
  await Promise.all([follow(node), node.closed]);
}

/** Serves, and says itself what goes wrong. */
async function serveOrFail(directoryAddress: string): Promise<void> {
  try {
    await serve(directoryAddress);
  } catch (error) {
    if (!(error instanceof MemtestError || error instanceof TdsmError)) throw error;
    printError(error instanceof TdsmError ? errorText(error) : error.message);
    Deno.exitCode = exitCodeOf(error);
  }
}

async function main(): Promise<void> {
  const given = readOrEnd(() => {
    const given = readArguments(["workers"]);
    if (given.help) return undefined;
    return {
      ...given,
      nodes: count(given.nodes, "nodes", NODES_DEFAULT, 2, NODES_MAX),
      workers: count(given.flags["workers"], "workers", 0, 0, WORKERS_MAX),
    };
  });
  if (given === undefined) return console.log(HELP);
  const { role, nodes, workers, directoryAddress } = given;
  switch (role) {
    case "directory":
      // It says itself what goes wrong.
      await run((node) => lead(node, nodes, workers), {
        directory: true,
        rpcServer: false,
        // Node 1 waits for the others once it has filled the region.
        nodes: 1,
        programFlags: PROGRAM_FLAGS,
      });
      return console.log(styled("green", "OK"));
    case "joins":
      return await serveOrFail(directoryAddress ?? DIRECTORY_ADDRESS_DEFAULT);
    case undefined: {
      const program = import.meta.filename!;
      const what = { program, nodes, args: Deno.args, denoFlags: ownPermissions() };
      Deno.exitCode = await launch({ ...what, rpcServers: true });
    }
  }
}

await main();
