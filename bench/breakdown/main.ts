/**
 * Where the microseconds of a miss go: records system calls, faults and wake-ups of nodes as they are,
 * and prints how long each stage of a miss takes, beside the same of the floor. As root, where `perf` is:
 *
 *   ./tdsm deno run -A bench/breakdown/main.ts [--rounds N] [--silent N] [--pin] [--json]
 */

import { parseArgs } from "node:util";
import { BusyWatch, machine } from "../machine.ts";
import type { Case, Group } from "./cases.ts";
import { openFloor, openNodes, openSilentNodes } from "./cases.ts";
import { findMisses } from "./chain.ts";
import { pinParties } from "./pin.ts";
import { CannotRecord, checkPerf, record } from "./recorder.ts";
import { type Part, report } from "./report.ts";
import { quantile, stages, type StageTimes, sumUp } from "./stages.ts";

/** Rounds of 100 misses before anything counts, so that everything runs compiled. */
const WARM_UP_ROUNDS = 30;

const HELP = `Takes apart where the time of a miss goes. Needs root and perf.

Usage: main.ts [--rounds N] [--silent N] [--pin] [--json]

Options:
  --rounds N   Recorded rounds of 100 misses a case (default 5), and as many without recording
  --silent N   Recorded single misses after a second of silence (default 8; 0 for none)
  --pin        Keep asker and owner on a core each, for where other programs move them about
  --json       Print everything as JSON
  --help       Show this`;

/** Takes rounds of each case, with and without recording in turn. */
async function measure({ cases }: Group, rounds: number, warmUp: number): Promise<Part[]> {
  for (let round = 0; round < warmUp; round++) {
    for (const each of cases) await take(each);
  }
  const parts = cases.map((each) => ({ each, plain: [] as number[], taken: [] as Taken[] }));
  for (let round = 0; round < rounds; round++) {
    for (const { each, plain, taken } of parts) {
      plain.push(...await take(each));
      taken.push(await takeRecorded(each));
    }
  }
  return parts.map(({ each, plain, taken }) => sum(each, plain, taken));
}

async function take(each: Case): Promise<number[]> {
  await each.prepare();
  return await each.round();
}

/** A recorded round. */
interface Taken {
  readonly accessUs: readonly number[];
  readonly times: readonly StageTimes[];
  /** How many events each miss caused. */
  readonly events: readonly number[];
}

async function takeRecorded(each: Case): Promise<Taken> {
  await each.prepare();
  const { value: accessUs, events } = await record(each.parties.asker, () => each.round());
  const found = findMisses(events, each.parties);
  // Without a fault for each of them, nobody knows which access was which miss.
  if (found.length !== accessUs.length) return { accessUs, times: [], events: [] };
  const whole = found.flatMap((miss, index) =>
    miss === undefined ? [] : [{ miss, us: accessUs[index]! }]
  );
  const times = whole.map(({ miss, us }) => stages(miss, us));
  return { accessUs, times, events: whole.map(({ miss }) => miss.events) };
}

function sum(each: Case, plain: readonly number[], taken: readonly Taken[]): Part {
  const accesses = taken.flatMap(({ accessUs }) => accessUs).length;
  const times = taken.flatMap((round) => round.times);
  return {
    name: each.name,
    plainP50: quantile(plain, 0.5),
    events: quantile(taken.flatMap((round) => round.events), 0.5),
    unrecorded: accesses - times.length,
    ...sumUp(times),
  };
}

async function measureAll(rounds: number, silent: number, pin: boolean): Promise<Part[]> {
  const groups: (readonly [() => Promise<Group>, number, number])[] = [
    [openNodes, rounds, WARM_UP_ROUNDS],
    [() => openFloor("spinning", false), rounds, 1],
    [() => openSilentNodes(WARM_UP_ROUNDS), silent, 0],
    [() => openSilentNodes(0), silent, 0],
    [() => openFloor("blocking", true), silent, 0],
  ];
  const parts: Part[] = [];
  for (const [open, count, warmUp] of groups) {
    if (count === 0) continue;
    await using group = await open();
    if (pin) await pinParties(group.cases[0]!.parties);
    parts.push(...await measure(group, count, warmUp));
  }
  return parts;
}

/** A count from the command line. */
function count(text: string, least: number): number {
  const value = Number(text);
  if (Number.isInteger(value) && value >= least) return value;
  throw new TypeError(`${text} is no number of at least ${least}`);
}

async function main(args: string[]): Promise<void> {
  const { values } = parseArgs({
    args,
    options: {
      rounds: { type: "string", default: "5" },
      silent: { type: "string", default: "8" },
      pin: { type: "boolean", default: false },
      json: { type: "boolean", default: false },
      help: { type: "boolean", short: "h", default: false },
    },
  });
  if (values.help) return console.log(HELP);
  const [rounds, silent] = [count(values.rounds, 1), count(values.silent, 0)];
  await checkPerf();
  const facts = machine();
  const watch = new BusyWatch();
  const parts = await measureAll(rounds, silent, values.pin);
  const busyness = watch.end();
  if (values.json) console.log(JSON.stringify({ machine: facts, busyness, parts }, undefined, 2));
  else console.log(report(parts, facts, busyness));
}

try {
  await main(Deno.args);
} catch (error) {
  if (!(error instanceof TypeError || error instanceof CannotRecord)) throw error;
  console.error(`breakdown: error: ${error.message}`);
  Deno.exitCode = error instanceof CannotRecord ? 1 : 2;
}
