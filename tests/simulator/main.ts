/**
 * The simulator as a program.
 *
 *     deno task simulate [--schedules N] [--seed S] [--verbose]
 *
 * Without `--seed` the first seed is drawn at random and printed. With `--seed` and no `--schedules`
 * that one schedule is run; `--verbose` shows everything that happens in it. A failure is replayed
 * with its trace, and ends the program with exit code 1.
 */

import { parseArgs } from "@std/cli/parse-args";
import type { BatchResult } from "./batch.ts";
import { addCoverage, emptyCoverage } from "./coverage.ts";
import { NO_BUG, runSchedule } from "./schedule.ts";
import type { Share } from "./worker.ts";

const SCHEDULES_DEFAULT = 100_000;
/** Seeds keep their identity as 32-bit integers. */
const SEEDS_MAX = 2 ** 32;
/** As many lines of a failed schedule's trace are shown, unless all of them are asked for. */
const TRACE_LINES_MAX = 60;

/** Runs one schedule and shows what happened; returns whether all went well. */
function replay(seed: number, verbose: boolean): boolean {
  const lines: string[] = [];
  let failure: string | undefined;
  try {
    const { steps } = runSchedule(seed, NO_BUG, (line) => lines.push(line));
    lines.push(`${steps} steps, nothing is wrong`);
  } catch (error) {
    failure = error instanceof Error ? error.stack ?? error.message : String(error);
  }
  for (const line of verbose ? lines : lines.slice(-TRACE_LINES_MAX)) console.log(line);
  if (failure !== undefined) console.error(failure);
  return failure === undefined;
}

/** Runs a share of the schedules on another core. */
function runShare(share: Share): Promise<BatchResult> {
  const worker = new Worker(import.meta.resolve("./worker.ts"), { type: "module" });
  const { promise, resolve, reject } = Promise.withResolvers<BatchResult>();
  worker.onmessage = ({ data }: MessageEvent<BatchResult>) => resolve(data);
  worker.onerror = (event) => reject(new Error(event.message));
  worker.postMessage(share);
  return promise.finally(() => worker.terminate());
}

/** Runs many schedules on all cores; returns whether all went well. */
async function runMany(seed: number, schedules: number): Promise<boolean> {
  const stride = Math.min(navigator.hardwareConcurrency, schedules);
  const shares = Array.from({ length: stride }, (_, index) => {
    const count = Math.ceil((schedules - index) / stride);
    return { seed: seed + index, count, stride };
  });
  const start = performance.now();
  const results = await Promise.all(shares.map(runShare));
  const seconds = (performance.now() - start) / 1000;
  const coverage = emptyCoverage();
  for (const result of results) addCoverage(coverage, result.coverage);
  const done = results.reduce((sum, result) => sum + result.schedules, 0);
  const steps = results.reduce((sum, result) => sum + result.steps, 0);
  const rate = Math.round(done / seconds);
  console.log(`seed ${seed}: ${done} schedules, ${steps} steps, ${rate} schedules/s`);
  for (const [corner, count] of Object.entries(coverage)) console.log(`  ${corner}: ${count}`);
  const failed = results.find(({ failure }) => failure !== undefined)?.failure;
  if (failed === undefined) return true;
  console.error(`seed ${failed.seed} FAILED: ${failed.reason}`);
  console.error(`again: deno task simulate --seed ${failed.seed} --verbose`);
  return replay(failed.seed, false);
}

const flags = parseArgs(Deno.args, {
  string: ["schedules", "seed"],
  boolean: ["verbose"],
});
const seed = flags.seed === undefined
  ? Math.floor(Math.random() * SEEDS_MAX)
  : Number.parseInt(flags.seed);
const single = flags.seed !== undefined && flags.schedules === undefined;
const passed = single
  ? replay(seed, flags.verbose === true)
  : await runMany(seed, Number.parseInt(flags.schedules ?? `${SCHEDULES_DEFAULT}`));
if (!passed) Deno.exit(1);
