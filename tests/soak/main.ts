/**
 * Three nodes perform operations that are drawn from a seed, for as many minutes as asked for, and
 * compare the region with what one node alone would have:
 * `deno run -A tests/soak/main.ts [--minutes 10] [--seed S] [--memory-limit 7MiB] [-- FLAG …]`. The
 * flags are the directory's, as `--compression`. Ends with exit code 1 where a value is wrong, a
 * node does not end well, or the memory of one has grown.
 */

import { parseArgs } from "node:util";
import { GROWTH_MAX_BYTES } from "./limits.ts";
import type { RoundReport } from "./node.ts";
import { runSoak } from "./soak.ts";

const PROGRESS_MS = 5_000;
const MIB = 1024 * 1024;

const { values, positionals: flags } = parseArgs({
  options: {
    minutes: { type: "string", default: "10" },
    seed: { type: "string" },
    "memory-limit": { type: "string" },
  },
  allowPositionals: true,
});
const minutes = Number(values.minutes);
const memoryLimit = values["memory-limit"];
const seed = Number(values.seed ?? Math.floor(Math.random() * 2 ** 31));
if (!(minutes > 0) || !Number.isSafeInteger(seed)) {
  throw new RangeError("--minutes must be above 0, and --seed a whole number");
}
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
