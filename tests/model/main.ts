/**
 * The exhaustive checker as a program.
 *
 *     deno task model [--world NAME] [--minutes N]
 *
 * Without `--world` every small world is visited to its end. With it that world alone, for at most
 * the minutes given (10 unless told). A broken promise is shown with a shortest way to it, and ends
 * the program with exit code 1. At the end it prints which inputs met which states at the caches.
 */

import { parseArgs } from "@std/cli/parse-args";
import { NO_BUG } from "../simulator/coherence/planted_bugs.ts";
import { ProtocolCoverage } from "../simulator/coherence/protocol_coverage.ts";
import { explore } from "./explore.ts";
import { Model } from "./model.ts";
import { LARGE_WORLDS, SMALL_WORLDS, type World } from "./worlds.ts";

/** What fits into memory. */
const STATES_MAX = 30_000_000;
const MINUTES_DEFAULT = 10;
const MINUTE_MS = 60_000;

/** Visits a world and says what was found; returns whether all is well. */
function check({ name, options }: World, minutes: number, coverage: ProtocolCoverage): boolean {
  const start = performance.now();
  const proceed = () => performance.now() - start < minutes * MINUTE_MS;
  const result = explore(new Model(options, NO_BUG, coverage), {
    states: STATES_MAX,
    proceed,
  });
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

const flags = parseArgs(Deno.args, { string: ["world", "minutes"] });
const minutes = Number.parseFloat(flags.minutes ?? `${MINUTES_DEFAULT}`);
const worlds = flags.world === undefined
  ? SMALL_WORLDS
  : [...SMALL_WORLDS, ...LARGE_WORLDS].filter(({ name }) => name === flags.world);
if (worlds.length === 0) {
  const names = [...SMALL_WORLDS, ...LARGE_WORLDS].map(({ name }) => `"${name}"`).join(", ");
  console.error(`No world "${flags.world}"; there are ${names}`);
  Deno.exit(2);
}
const coverage = new ProtocolCoverage();
const failed = worlds.filter((world) => !check(world, minutes, coverage));
console.log(`\n${coverage.cache.format()}\n\n${coverage.demands.format()}`);
if (failed.length > 0) Deno.exit(1);
