/**
 * The simulators of synchronisation as a program. A run of 100,000 schedules or more also fails
 * when something was not visited that can be.
 */

import { ToolFlags } from "../../support/tool_flags.ts";
import { FAMILIES, type Family } from "./families.ts";

const SCHEDULES_DEFAULT = 100_000;

const HELP = `Runs semaphores, barriers, mutexes and waits for words in random schedules.

Usage: ./tdsm simulate:sync [--family NAME] [--schedules N] [--seed S]

  --family NAME  this family of schedules alone; all of them unless said
  --schedules N  how many of each family; ${SCHEDULES_DEFAULT} unless said
  --seed S       the first one's seed; drawn and printed unless said. Without --schedules, the
                 schedule of that seed alone, with everything that happens in it

Families:
${FAMILIES.map(({ name, about }) => `  ${name.padEnd(5)}  ${about}`).join("\n")}`;

const flags = new ToolFlags(HELP, { values: ["family", "schedules", "seed"] });
const seed = flags.seed();
const schedules = flags.wholeNumber("schedules", SCHEDULES_DEFAULT);
const named = flags.value("family");
const families = FAMILIES.filter(({ name }) => named === undefined || name === named);
if (families.length === 0) flags.refuse(`there is no family "${named}"`);

/** Runs the schedules of a family, and says what they got into; returns whether all is well. */
function search({ name, runBatch }: Family): boolean {
  const start = performance.now();
  const { visited: { text, unvisited }, failure } = runBatch(seed, schedules);
  const seconds = ((performance.now() - start) / 1000).toFixed(1);
  console.log(`${text}\n\n${name}, seed ${seed}: ${schedules} schedules, ${seconds} s\n`);
  for (const pair of unvisited) console.log(`not visited: ${pair}`);
  if (failure !== undefined) {
    console.error(`seed ${failure.seed} FAILED: ${failure.reason}`);
    console.error(`again: ./tdsm simulate:sync --family ${name} --seed ${failure.seed}`);
    return false;
  }
  return schedules < SCHEDULES_DEFAULT || unvisited.length === 0;
}

if (flags.value("seed") !== undefined && flags.value("schedules") === undefined) {
  for (const { run } of families) run(seed, (line) => console.log(line));
  console.log("nothing is wrong");
} else if (families.filter((family) => !search(family)).length > 0) Deno.exitCode = 1;
