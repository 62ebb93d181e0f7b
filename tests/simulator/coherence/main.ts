/**
 * The simulator as a program. A failure is replayed with its trace, and ends the program with exit
 * code 1. At the end it prints what was visited. A run of a million schedules or more also fails
 * when something was not that can be.
 */

import { ToolFlags } from "../../support/tool_flags.ts";
import type { BatchResult } from "./batch.ts";
import { report } from "./coverage.ts";
import { NO_BUG } from "./planted_bugs.ts";
import { ProtocolCoverage } from "./protocol_coverage.ts";
import { runSchedule } from "./run_schedule.ts";
import type { Share } from "./worker.ts";

const SCHEDULES_DEFAULT = 100_000;
const HELP = `Runs the coherence protocol in random schedules.

Usage: ./tdsm simulate [--schedules N] [--seed S] [--homes] [--verbose]

  --schedules N  how many; ${SCHEDULES_DEFAULT} unless said
  --seed S       the first one's seed; drawn and printed unless said. Without --schedules, that
                 one schedule alone
  --homes        only the seeds that stand for homes on every node, two of seven
  --verbose      everything that happens in one schedule`;
/** From so many on everything must be visited that can be. */
const SCHEDULES_LARGE = 1_000_000;
/** A Worker takes up so many at a time, so that none is left alone at the end with its share. */
const SHARE_SCHEDULES = 10_000;
/** As many lines of a failed schedule's trace are shown, unless all of them are asked for. */
const TRACE_LINES_MAX = 60;

/** Runs one schedule and shows what happened; returns whether all went well. */
function replay(seed: number, verbose: boolean): boolean {
  const lines: string[] = [];
  let failure: string | undefined;
  try {
    const { steps } = runSchedule(seed, NO_BUG, new ProtocolCoverage(), (line) => lines.push(line));
    lines.push(`${steps} steps, nothing is wrong`);
  } catch (error) {
    failure = error instanceof Error ? error.stack ?? error.message : String(error);
  }
  for (const line of verbose ? lines : lines.slice(-TRACE_LINES_MAX)) console.log(line);
  if (failure !== undefined) console.error(failure);
  return failure === undefined;
}

/** Lets a Worker run shares of the schedules until there are none left. */
async function runShares(shares: Share[], finished: (result: BatchResult) => void): Promise<void> {
  const worker = new Worker(import.meta.resolve("./worker.ts"), { type: "module" });
  try {
    for (let share = shares.pop(); share !== undefined; share = shares.pop()) {
      const { promise, resolve, reject } = Promise.withResolvers<BatchResult>();
      worker.onmessage = ({ data }: MessageEvent<BatchResult>) => resolve(data);
      worker.onerror = (event) => reject(new Error(event.message));
      worker.postMessage(share);
      finished(await promise);
    }
  } finally {
    worker.terminate();
  }
}

/** Runs many schedules on all cores; returns whether all went well. */
async function runMany(seed: number, schedules: number, homes: boolean): Promise<boolean> {
  const shares: Share[] = [];
  for (let first = 0; first < schedules; first += SHARE_SCHEDULES) {
    const count = Math.min(SHARE_SCHEDULES, schedules - first);
    shares.unshift({ seed: seed + first, count, homes });
  }
  const coverage = new ProtocolCoverage();
  const start = performance.now();
  const total = { schedules: 0, steps: 0 };
  let failed: BatchResult["failure"];
  const finished = (result: BatchResult): void => {
    total.schedules += result.schedules;
    total.steps += result.steps;
    for (const [name, table] of Object.entries(coverage)) table.add(result.counts[name]!);
    if (result.failure === undefined) return;
    // The least seed that failed, whatever Worker was faster.
    if (failed === undefined || result.failure.seed < failed.seed) failed = result.failure;
    shares.length = 0;
  };
  const workers = Math.min(navigator.hardwareConcurrency, shares.length);
  await Promise.all(Array.from({ length: workers }, () => runShares(shares, finished)));
  const seconds = (performance.now() - start) / 1000;
  const rate = Math.round(total.schedules / seconds);
  const { text, unvisited } = report({ ...coverage });
  console.log(`${text}\n`);
  console.log(
    `seed ${seed}: ${total.schedules} schedules, ${total.steps} steps, ${rate} schedules/s`,
  );
  if (failed !== undefined) {
    console.error(`seed ${failed.seed} FAILED: ${failed.reason}`);
    console.error(`again: ./tdsm simulate --seed ${failed.seed} --verbose`);
    replay(failed.seed, false);
    return false;
  }
  for (const pair of unvisited) console.log(`not visited: ${pair}`);
  return unvisited.length === 0 || schedules < SCHEDULES_LARGE;
}

const flags = new ToolFlags(HELP, {
  values: ["schedules", "seed"],
  switches: ["homes", "verbose"],
});
const seed = flags.seed();
const isSingle = flags.value("seed") !== undefined && flags.value("schedules") === undefined;
const schedules = flags.wholeNumber("schedules", SCHEDULES_DEFAULT);
const passed = isSingle
  ? replay(seed, flags.isSet("verbose"))
  : await runMany(seed, schedules, flags.isSet("homes"));
if (!passed) Deno.exit(1);
