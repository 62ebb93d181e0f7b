/**
 * The simulator of synchronisation as a program:
 * `deno run tests/simulator/sync/main.ts [--schedules 100000] [--seed 1]`.
 *
 * Without `--seed` the first seed is drawn at random and printed. With `--seed` and no
 * `--schedules` that one schedule is run, and everything that happens in it is shown. A run of
 * 100,000 schedules or more also fails when something was not visited that can be.
 */

import { parseArgs } from "../../../runtime/std/parse_args.js";
import { report } from "../coherence/coverage.ts";
import { runSyncBatch } from "./batch.ts";
import { SyncSchedule } from "./schedule.ts";

const SCHEDULES_DEFAULT = 100_000;

const flags = parseArgs(Deno.args, { string: ["schedules", "seed"] });
const seed = Number(flags.seed ?? Math.floor(Math.random() * 2 ** 32));
const schedules = Number(flags.schedules ?? SCHEDULES_DEFAULT);
if (!Number.isSafeInteger(seed) || !Number.isSafeInteger(schedules) || schedules < 1) {
  throw new RangeError("--seed and --schedules must be whole numbers, --schedules at least 1");
}

if (flags.seed !== undefined && flags.schedules === undefined) {
  new SyncSchedule(seed, undefined, undefined, (line) => console.log(line)).run();
  console.log("nothing is wrong");
} else {
  const start = performance.now();
  const { failure, coverage } = runSyncBatch(seed, schedules);
  const seconds = ((performance.now() - start) / 1000).toFixed(1);
  const { text, unvisited } = report({ ...coverage });
  console.log(`${text}\n\nseed ${seed}: ${schedules} schedules, ${seconds} s`);
  for (const pair of unvisited) console.log(`not visited: ${pair}`);
  if (failure !== undefined) {
    console.error(`seed ${failure.seed} FAILED: ${failure.reason}`);
    console.error(`again: deno run tests/simulator/sync/main.ts --seed ${failure.seed}`);
    Deno.exitCode = 1;
  }
  if (schedules >= SCHEDULES_DEFAULT && unvisited.length > 0) Deno.exitCode = 1;
}
