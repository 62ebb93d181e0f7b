/** Runs a soak: starts its nodes, follows their rounds, and watches how much memory they use. */

import { fileURLToPath } from "node:url";
import { type MemoryUse, memoryUse, ownBytes, SAMPLES, SMALL_HEAP } from "../support/own_memory.ts";
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
    cluster.spawn("soak", {
      args: ["run", "-A", "--no-prompt", `--v8-flags=${SMALL_HEAP}`, NODE, ...flags],
      env,
    });
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
    const used = await Promise.all(nodes.map(ownBytes));
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
    memory: samples.map(memoryUse),
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
