/**
 * The simulator of synchronisation as a program. A run of 100,000 schedules or more also fails when
 * something was not visited that can be.
 */

import { ToolFlags } from "../../support/tool_flags.ts";
import { report } from "../coherence/coverage.ts";
import { runSyncBatch } from "./batch.ts";
import { SyncSchedule } from "./schedule.ts";

const SCHEDULES_DEFAULT = 100_000;

const HELP = `Runs semaphores, barriers and mutexes in random schedules.

Usage: ./tdsm simulate:sync [--schedules N] [--seed S]

  --schedules N  how many; ${SCHEDULES_DEFAULT} unless said
  --seed S       the first one's seed; drawn and printed unless said. Without --schedules, that
                 one schedule alone, with everything that happens in it`;

const flags = new ToolFlags(HELP, { values: ["schedules", "seed"] });
const seed = flags.seed();
const schedules = flags.wholeNumber("schedules", SCHEDULES_DEFAULT);

if (flags.value("seed") !== undefined && flags.value("schedules") === undefined) {
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
    console.error(`again: ./tdsm simulate:sync --seed ${failure.seed}`);
    Deno.exitCode = 1;
  }
  if (schedules >= SCHEDULES_DEFAULT && unvisited.length > 0) Deno.exitCode = 1;
}
