/**
 * Three nodes perform operations that are drawn from a seed, for as many minutes as asked for, and
 * compare the region with what one node alone would have. Ends with exit code 1 where a value is
 * wrong, a node does not end well, or the memory of one has grown.
 */

import { ToolFlags } from "../support/tool_flags.ts";
import { GROWTH_MAX_BYTES } from "./limits.ts";
import type { RoundReport } from "./node.ts";
import { runSoak } from "./soak.ts";

const PROGRESS_MS = 5_000;
const MIB = 1024 * 1024;

const MINUTES_DEFAULT = 10;
const HELP = `Has three nodes do what a seed says, and compares the region with one node alone.

Usage: ./tdsm soak [--minutes N] [--seed S] [--memory-limit SIZE] [-- FLAG...]

  --minutes N          how long; ${MINUTES_DEFAULT} unless said
  --seed S             what chance starts from; drawn and printed unless said
  --memory-limit SIZE  the memory limit of each node, as 7MiB; none unless said
  FLAG                 a flag of the directory node, as --compression`;

const args = new ToolFlags(HELP, {
  values: ["minutes", "seed", "memory-limit"],
  others: Infinity,
});
const flags = [...args.others];
const minutes = args.minutes(MINUTES_DEFAULT);
const memoryLimit = args.value("memory-limit");
const seed = args.seed();
console.log(`${minutes} minutes from seed ${seed}`);
let shownAt = performance.now();
const progress = ({ round, operations }: RoundReport): void => {
  if (performance.now() < shownAt + PROGRESS_MS) return;
  shownAt = performance.now();
  console.error(`${round + 1} rounds, ${operations} operations a node`);
};
const durationMs = minutes * 60_000;
const result = await runSoak({ seed, durationMs, memoryLimit, flags, progress });
const { rounds, operations, pagesReceived, memory } = result;
console.log(`${rounds} rounds, ${operations} operations, ${pagesReceived} pages moved, all equal`);
memory.forEach(({ first, last, samples }, index) => {
  const mib = (bytes: number): string => (bytes / MIB).toFixed(0);
  const grown = last - first > GROWTH_MAX_BYTES;
  console.log(
    `node ${index + 1}: ${mib(first)} MiB, then ${mib(last)} MiB${grown ? ": grown" : ""}`,
  );
  console.log(`  ${samples.map(mib).join(" ")}`);
  if (grown) Deno.exitCode = 1;
});
