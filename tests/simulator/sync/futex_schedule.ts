/**
 * Random schedules of threads that wait for words, write them and notify. A seed gives the same
 * schedule again.
 */

import { FUTEX_LIMITS } from "../../../runtime/protocol/sync/futexes.ts";
import { Random } from "../coherence/random.ts";
import { type Failure, firstFailure } from "./first_failure.ts";
import {
  FUTEX_PARTS,
  type FutexAction,
  type FutexCommand,
  type FutexParts,
  type FutexShape,
  FutexWorld,
  type FutexWorldState,
  REFUSED,
} from "./futex_world.ts";

/** More steps than any schedule takes by itself. */
const STEPS_MAX = 20_000;
/** How many of a hundred wishes are granted. */
const WISHES_PERCENT = 8;

/** The corners that schedules get into, and how often. */
export interface FutexCoverage {
  /** A wait was woken. */
  woken: number;
  /** A word was not as expected. */
  notEqual: number;
  /** The time of a wait was over. */
  timedOut: number;
  /** A notify has found no wait. */
  nobody: number;
  /** A notify has asked nobody, since its word was quiet. */
  quiet: number;
  /** A word that was quiet was told not to be. */
  stirred: number;
  /** A notify had to wait until a thread had looked. */
  blocked: number;
  /** Threads sleep at the end, as nobody has notified them. */
  asleep: number;
  /** A node was dead or gone at the end. */
  dead: number;
  /** There was no room. */
  refused: number;
}

/** A coverage in which nothing is counted. */
export function newFutexCoverage(): FutexCoverage {
  return {
    woken: 0,
    notEqual: 0,
    timedOut: 0,
    nobody: 0,
    quiet: 0,
    stirred: 0,
    blocked: 0,
    asleep: 0,
    dead: 0,
    refused: 0,
  };
}

function randomShape(random: Random): FutexShape {
  const nodes = random.between(1, 4);
  const words = random.between(1, 3);
  const command = (): FutexCommand => {
    const word = random.below(words);
    const dice = random.below(10);
    if (dice < 4) {
      return { do: "wait", word, expected: random.below(2), expires: random.chance(30) };
    }
    if (dice < 7) return { do: "store", word, value: random.below(3) };
    return { do: "notify", word, count: random.chance(50) ? 1 : random.between(2, 99) };
  };
  const threads = Array.from({ length: random.between(2, 7) }, () => ({
    node: random.between(1, nodes),
    commands: Array.from({ length: random.between(1, 6) }, command),
  }));
  const limits = random.chance(10)
    ? { waiting: random.between(1, 3), waitingAssured: random.below(2) }
    : {};
  return {
    nodes,
    words,
    threads,
    deaths: random.chance(30) ? random.between(1, 2) : 0,
    limits: { ...FUTEX_LIMITS, quietSlots: random.between(1, 4), ...limits },
  };
}

/**
 * Runs one schedule to its end.
 *
 * @param seed The schedule.
 * @param parts What it is made of.
 * @param coverage Where to count.
 * @param trace Is told everything that happens.
 * @throws {Error} The promise that is broken.
 */
export function runFutexSchedule(
  seed: number,
  parts: FutexParts = FUTEX_PARTS,
  coverage: FutexCoverage = newFutexCoverage(),
  trace: (action: FutexAction) => void = () => {},
): void {
  const random = new Random(seed);
  const world = new FutexWorld(randomShape(random), parts);
  const state = structuredClone(world.initial);
  for (let step = 0; step < STEPS_MAX; step++) {
    const actions = world.actions(state);
    const [must, wishes] = [
      actions.filter((action) => !world.isWish(action)),
      actions.filter((action) => world.isWish(action)),
    ];
    const wished = wishes.length > 0 && random.chance(WISHES_PERCENT);
    const from = wished ? wishes : must;
    if (from.length === 0) {
      if (must.length > 0) continue;
      world.checkQuiescence(state);
      return count(coverage, state);
    }
    const action = from[random.below(from.length)]!;
    trace(action);
    world.act(state, action);
    if (state.nodes.some(({ down }) => down.some(({ key, ticket }) => ticket === 0 && key >= 0n))) {
      coverage.stirred++;
    }
    for (const { notifiers } of state.desk.words.values()) coverage.blocked += notifiers.size;
  }
  throw new Error(`not at its end after ${STEPS_MAX} steps`);
}

function count(coverage: FutexCoverage, { nodes, desk }: FutexWorldState): void {
  for (const { threads, life, quiet } of nodes) {
    coverage.quiet += quiet.size;
    if (life !== "working") coverage.dead++;
    for (const result of threads.flatMap(({ results }) => results)) {
      if (result === "ok") coverage.woken++;
      else if (result === "not-equal") coverage.notEqual++;
      else if (result === "timed-out") coverage.timedOut++;
      else if (result === 0) coverage.nobody++;
      else if (result === REFUSED) coverage.refused++;
    }
  }
  coverage.asleep += desk.waiting;
}

/**
 * Runs schedules until one fails.
 *
 * @param seed The first one's seed.
 * @param schedules How many.
 * @param parts What they are made of.
 * @returns What they got into; and the first that failed, with the reason.
 */
export function runFutexBatch(seed: number, schedules: number, parts: FutexParts = FUTEX_PARTS): {
  coverage: FutexCoverage;
  failure: Failure | undefined;
} {
  const coverage = newFutexCoverage();
  const run = (seed: number) => runFutexSchedule(seed, parts, coverage);
  return { coverage, failure: firstFailure(seed, schedules, run) };
}
