/**
 * The memory test: several nodes count, share pages, fill, verify and rewrite the region, and hand
 * it to system calls. Ends with `OK`, or with what was found where, and exit code 1.
 * `./tdsm memtest` starts three nodes of it; with `--nodes N --workers N` it is N nodes, and
 * Workers count on each of them. In a project of your own, copy the files beside it too, and
 * `deno add jsr:@std/cli` first.
 *
 * ```sh
 * ./tdsm launch -n 3 --allow-read examples/memtest.ts
 * ```
 */

import { parseArgs } from "@std/cli/parse-args";
import { type Node, run } from "@tdsm/runtime";
import {
  ADDITIONS,
  Memtest,
  MemtestError,
  NODES_MAX,
  SystemCalls,
  WORKER_ADDITIONS,
  WORKERS_MAX,
} from "./memtest_steps.ts";
import { type Measured, type Progress, readVariable, showProgress } from "./progress.ts";

/** How many nodes take part where neither `--nodes` nor NODES says so. */
const NODES_DEFAULT = "3";
const KIB = 1 << 10;
const MIB = 1 << 20;
/** The width of the first column of the table. */
const STEP_WIDTH = 48;

/** One line of the table of steps. */
function row(step: string, time: string, rate: string): string {
  return `${step.padEnd(STEP_WIDTH)}${time.padStart(12)}${rate.padStart(14)}`.trimEnd();
}

/** Prints what a step did and how long it took. */
function report(step: string, ms: number, bytes = 0): void {
  const rate = bytes === 0 ? "" : `${Math.round(bytes / MIB / (ms / 1000))} MiB/s`;
  console.log(row(step, `${ms.toFixed(1)} ms`, rate));
}

/** Writes a size for people, such as `64MiB`. */
function formatSize(bytes: number): string {
  return bytes % MIB === 0 ? `${bytes / MIB}MiB` : `${bytes / KIB}KiB`;
}

/** Node 1: fills the region while it waits for the others, then leads them through the steps. */
async function lead(node: Node, nodes: number, workers: number): Promise<void> {
  if (!isWhole(nodes, 2, NODES_MAX) || !isWhole(workers, 0, WORKERS_MAX)) {
    const bounds = `2 to ${NODES_MAX} nodes, with 0 to ${WORKERS_MAX} Workers on each`;
    throw new MemtestError(`The test is for ${bounds}`);
  }
  let progress: Progress | undefined;
  const test = new Memtest(node, () => progress?.update());
  const { address, port, size, pageSize } = node;
  const others = nodes - 1;
  console.log(
    `Node 1 at ${address}:${port}: ${formatSize(size)} in pages of ${formatSize(pageSize)}, ` +
      `waiting for ${inWords(others)}`,
  );
  console.log("%c%s", "font-weight: bold", row("STEP", "TIME", "RATE"));
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

function isWhole(count: number, least: number, most: number): boolean {
  return Number.isInteger(count) && count >= least && count <= most;
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
  console.log(`Node ${node.id} at ${node.address}:${node.port} takes part`);
  const test = new Memtest(node);
  if (!await test.attend()) return;
  await test.count();
  await test.countWithWorkers();
  await test.writeStripes();
  await test.verifyFilled();
  await test.rewrite();
  await test.verifyRewritten();
  await test.useSystemCalls();
}

let leads = false;
await run(async (node) => {
  const flags = parseArgs(Deno.args, { string: ["nodes", "workers"] });
  const nodes = Number(flags.nodes ?? (readVariable("NODES") || NODES_DEFAULT));
  leads = node.id === 1;
  await (leads ? lead(node, nodes, Number(flags.workers ?? 0)) : follow(node));
}, {
  // Node 1 waits for the others once it has filled the region.
  nodes: 1,
  // A node that only serves calls would have no part in the test, which consists of none.
  rpcServer: false,
  programFlags: ["workers"],
});
if (leads) console.log("%cOK", "color: green");
