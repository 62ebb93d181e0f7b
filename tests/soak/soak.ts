/** Runs a soak: starts its nodes, follows their rounds, and watches how much memory they use. */

import { fileURLToPath } from "node:url";
import { ProcessCluster, type TestProcess } from "../support/process_cluster.ts";
import type { RoundReport } from "./node.ts";
import { NODES } from "./operations.ts";

/** How a soak is run. */
export interface SoakOptions {
  /** The seed from which all operations are drawn. */
  readonly seed: number;
  /** For how long new rounds are begun, in milliseconds. */
  readonly durationMs: number;
  /**
   * The most memory that each node takes for pages; without it there is room for the whole region.
   */
  readonly memoryLimit?: string | undefined;
  /** More flags for the directory node. */
  readonly flags?: readonly string[];
  /** Called with the report of a round that is done. */
  readonly progress?: (report: RoundReport) => void;
  /**
   * The round in which node 2 changes a byte that no operation changes, for a test that plants an
   * error.
   */
  readonly plantedRound?: number;
}

/** How much memory a node used, in bytes. */
export interface MemoryUse {
  /** The use after the warm-up: a median. */
  readonly first: number;
  /** The use at the end: a median. */
  readonly last: number;
  /** Every sample, in the order in which they were taken. */
  readonly samples: readonly number[];
}

/** The outcome of a soak. */
export interface SoakResult {
  readonly rounds: number;
  /** The operations of all nodes. */
  readonly operations: number;
  /** The pages that all nodes have received. */
  readonly pagesReceived: number;
  /** The memory that each node used for itself, without the region. */
  readonly memory: readonly MemoryUse[];
}

const NODE = fileURLToPath(new URL("node.ts", import.meta.url));
/**
 * Left to itself V8 lets the part of the heap for new objects grow, by steps of some 15 MiB and
 * over many minutes, as long as objects are made: beside that a leak of a few MiB would not be
 * seen.
 */
const YOUNG = "--v8-flags=--max-semi-space-size=2";
/** How many samples of memory are taken in a soak. */
const SAMPLES = 40;
/** How many samples a median is taken of. */
const MEDIAN_SAMPLES = 8;

/**
 * Runs a soak.
 *
 * @param options How the soak is run.
 * @returns The outcome.
 * @throws {Error} Where the region was not what it should be, or a node did not end well; with what
 * the nodes have printed.
 */
export async function runSoak(options: SoakOptions): Promise<SoakResult> {
  const { seed, durationMs, memoryLimit, flags = [], progress, plantedRound } = options;
  await using cluster = new ProcessCluster();
  const planted = plantedRound === undefined ? {} : { SOAK_PLANTED_ROUND: String(plantedRound) };
  const limit = memoryLimit === undefined ? {} : { MEMORY_LIMIT: memoryLimit };
  const env = { SOAK_SEED: String(seed), SOAK_MS: String(durationMs), ...planted, ...limit };
  const start = (...flags: string[]): TestProcess =>
    cluster.spawn("soak", { args: ["run", "-A", "--no-prompt", YOUNG, NODE, ...flags], env });
  const first = start("--directory", "--port=0", "--size=16MiB", ...flags);
  const [, at] = await first.untilPrinted(/"at":"([^"]+)"/);
  const nodes = [first];
  while (nodes.length < NODES) {
    const node = start(`--directory-address=${at}`);
    await node.untilPrinted(/"at"/);
    nodes.push(node);
  }
  const samples: number[][] = nodes.map(() => []);
  const begin = performance.now();
  for (let round = 0; !nodes.some(hasEnded); round++) {
    const report = await nodes[0]!.until(`round ${round}`, () => lastReport(nodes[0]!, round));
    if (report === "end") break;
    progress?.(report);
    round = report.round;
    const due = (performance.now() - begin) / durationMs * SAMPLES;
    if (samples[0]!.length > due) continue;
    const used = await Promise.all(nodes.map(privateBytes));
    used.forEach((bytes, index) => samples[index]!.push(bytes));
  }
  for (const node of nodes) {
    const { code, stdout, stderr } = await node.exit();
    const good = code === 0 && stdout.includes(`"equal":true`);
    if (!good) throw new Error(`A node ended with code ${code}:\n${stdout.slice(-300)}\n${stderr}`);
  }
  const reports = nodes.map(reportsOf).map((reports) => reports.at(-1)!);
  return {
    rounds: reports[0]!.round + 1,
    operations: reports.reduce((sum, { operations }) => sum + operations, 0),
    pagesReceived: reports.reduce((sum, { pagesReceived }) => sum + pagesReceived, 0),
    memory: samples.map((used) => ({
      samples: used,
      first: median(used.slice(0, 2 * MEDIAN_SAMPLES).slice(-MEDIAN_SAMPLES)),
      last: median(used.slice(-MEDIAN_SAMPLES)),
    })),
  };
}

function hasEnded({ stdout }: TestProcess): boolean {
  return stdout.includes(`"equal"`);
}

function reportsOf({ stdout }: TestProcess): RoundReport[] {
  return stdout.split("\n").filter((line) => line.startsWith(`{"round"`) && line.endsWith("}"))
    .map((line) => JSON.parse(line));
}

/** The last report of a node, once that is of the given round or of a later one. */
function lastReport(node: TestProcess, round: number): RoundReport | "end" | undefined {
  if (hasEnded(node)) return "end";
  const at = node.stdout.lastIndexOf(`{"round"`);
  const end = node.stdout.indexOf("\n", at);
  if (at < 0 || end < 0) return undefined;
  const report = JSON.parse(node.stdout.slice(at, end)) as RoundReport;
  return report.round >= round ? report : undefined;
}

/** The anonymous memory of a process, in bytes; the region is shared memory, and does not count. */
async function privateBytes(process: TestProcess): Promise<number> {
  const status = await process.proc("status");
  return 1024 * Number(/^RssAnon:\s+(\d+) kB$/m.exec(status)?.[1] ?? NaN);
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? NaN;
}
