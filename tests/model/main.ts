/**
 * The exhaustive checker as a program. A broken promise is shown with a shortest way to it, and
 * ends the program with exit code 1. At the end it prints which inputs met which states at the
 * caches.
 */

import { NO_BUG } from "../simulator/coherence/planted_bugs.ts";
import { ProtocolCoverage } from "../simulator/coherence/protocol_coverage.ts";
import { ToolFlags } from "../support/tool_flags.ts";
import { LARGE_WORLDS, SMALL_WORLDS, type World } from "./worlds.ts";

/** What fits into memory. */
const STATES_MAX = 30_000_000;
const MINUTES_DEFAULT = 10;
const MINUTE_MS = 60_000;

function listed(worlds: readonly World[]): string {
  return worlds.map(({ name }) => `  ${name}`).join("\n");
}

/** Visits a world and says what was found; returns whether all is well. */
function check({ name, explore }: World, minutes: number, coverage: ProtocolCoverage): boolean {
  const start = performance.now();
  const proceed = () => performance.now() - start < minutes * MINUTE_MS;
  const result = explore({ states: STATES_MAX, proceed }, NO_BUG, coverage);
  const seconds = ((performance.now() - start) / 1000).toFixed(1);
  const extent = result.complete ? "every state" : `up to depth ${result.depth}`;
  console.log(
    `${name}: ${result.states} states, ${result.transitions} transitions, ${extent}, ${seconds} s`,
  );
  if (result.failure === undefined) return true;
  console.error(`FAILED: ${result.failure.reason}`);
  for (const action of result.failure.trace) console.error(`  ${JSON.stringify(action)}`);
  return false;
}

const WORLDS = [...SMALL_WORLDS, ...LARGE_WORLDS];
const HELP = `Visits every state that small clusters of the coherence protocol can reach.

Usage: ./tdsm model [--world NAME] [--minutes N]

  --world NAME  this world alone; every small one unless said
  --minutes N   how long each world may take; ${MINUTES_DEFAULT} unless said

Small worlds:
${listed(SMALL_WORLDS)}
Large worlds, visited as deep as there is time:
${listed(LARGE_WORLDS)}`;

const flags = new ToolFlags(HELP, { values: ["world", "minutes"] });
const minutes = flags.minutes(MINUTES_DEFAULT);
const named = flags.value("world");
const worlds = named === undefined ? SMALL_WORLDS : WORLDS.filter(({ name }) => name === named);
if (worlds.length === 0) flags.refuse(`there is no world "${named}"`);
const coverage = new ProtocolCoverage();
const failed = worlds.filter((world) => !check(world, minutes, coverage));
console.log(`\n${coverage.cache.format()}\n\n${coverage.demands.format()}`);
if (failed.length > 0) Deno.exit(1);
