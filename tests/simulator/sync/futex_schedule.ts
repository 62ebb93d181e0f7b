/**
 * Random schedules of threads that wait for words, write them and notify. A seed gives the same
 * schedule again.
 */

import { FUTEX_LIMITS } from "../../../runtime/protocol/sync/futexes.ts";
import { WordMark } from "../../../runtime/protocol/sync/lent_words.ts";
import { SyncOperation, SyncStatus, threadOf } from "../../../runtime/protocol/sync/messages.ts";
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
  /** A word that was quiet was told not to be, or one that was lent was wanted back. */
  stirred: number;
  /** A node served what its own threads wait for. */
  served: number;
  /** A lent word was quiet for its node's own threads. */
  servedQuietly: number;
  /** A request came back with the word that it was about, by the node's link or a thread's. */
  lent: number;
  lentByLink: number;
  /** A thread went on while its notify had no answer, by the node's link or its own. */
  posted: number;
  postedByLink: number;
  /** A thread was gone before its wait was acknowledged, and then its word was lent. */
  detachedLent: number;
  /** A node asked for a word to be wanted back, and then something came back with the word. */
  returned: number;
  askedAnew: number;
  /** A wait went to the node that was lent its word. */
  lentWait: number;
  /** Its time was over meanwhile. */
  lentExpired: number;
  /** A wait went back with its word. */
  givenBack: number;
  /** A word could not be given back before a notify was done, or a thread had looked. */
  delayed: number;
  /** A notify, or a wait, was held until a word was given back. */
  heldNotify: number;
  heldWait: number;
  /** A node died that had a word which was wanted back. */
  diedWanted: number;
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
    served: 0,
    servedQuietly: 0,
    lent: 0,
    lentByLink: 0,
    posted: 0,
    postedByLink: 0,
    detachedLent: 0,
    returned: 0,
    askedAnew: 0,
    lentWait: 0,
    lentExpired: 0,
    givenBack: 0,
    delayed: 0,
    heldNotify: 0,
    heldWait: 0,
    diedWanted: 0,
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
    if (dice < 5) {
      return { do: "wait", word, expected: random.below(2), expires: random.chance(30) };
    }
    if (dice < 7) return { do: "store", word, value: random.below(3) };
    const how = random.chance(30) ? "post" : "notify";
    return { do: how, word, count: random.chance(50) ? 1 : random.between(2, 99) };
  };
  const threads = Array.from({ length: random.between(2, 7) }, () => ({
    node: random.between(1, nodes),
    commands: Array.from({ length: random.between(1, 8) }, command),
    hasLink: random.chance(20),
  }));
  const limits = random.chance(10)
    ? { waiting: random.between(1, 3), waitingAssured: random.below(2) }
    : {};
  return {
    nodes,
    words,
    threads,
    deaths: random.chance(30) ? random.between(1, 2) : 0,
    detaches: random.chance(30) ? random.between(1, 2) : 0,
    limits: {
      ...FUTEX_LIMITS,
      quietSlots: random.between(1, 4),
      lendAfter: random.chance(30) ? Infinity : random.between(1, 3),
      lendAfterMax: random.between(3, 6),
      lentWaits: random.between(1, 4),
      runs: random.between(1, 4),
      ...limits,
    },
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
    countStep(coverage, state);
  }
  throw new Error(`not at its end after ${STEPS_MAX} steps`);
}

/** Counts what can be seen between two steps. */
function countStep(coverage: FutexCoverage, { nodes, desk }: FutexWorldState): void {
  for (const { notifiers, held } of desk.words.values()) {
    coverage.blocked += notifiers.size;
    for (const request of held) coverage[request.kind === "waiter" ? "heldWait" : "heldNotify"]++;
  }
  for (const [at, { life, links, lent, marks, threads }] of nodes.entries()) {
    if (life !== "working") {
      const isWanted = (key: bigint): boolean => desk.unheard.get(key)?.has(at + 1) === true;
      if ([...desk.lent].some(([key, node]) => node === at + 1 && isWanted(key))) {
        coverage.diedWanted++;
      }
      continue;
    }
    coverage.served += lent.desk.waiting;
    coverage.delayed += lent.wanted.size;
    coverage.returned += lent.returned.size;
    for (const ticket of threads.flatMap(({ posts }) => [...posts.keys()])) {
      coverage[threadOf(ticket) === 0 ? "posted" : "postedByLink"]++;
    }
    for (const shown of marks.values()) {
      if (shown.marks === WordMark.Quiet) coverage.quiet++;
      else if (shown.marks !== WordMark.Lent) coverage.servedQuietly++;
    }
    for (const [link, { up, down }] of links.entries()) {
      for (const { status, ticket, key } of down) {
        if (status === SyncStatus.Stirred) coverage.stirred++;
        else if (status === SyncStatus.Lent) {
          coverage[link === 0 ? "lent" : "lentByLink"]++;
          if (link === 0 && ticket > 0 && lent.returned.has(key)) coverage.askedAnew++;
          if (link === 0 && threads[ticket - 1]?.isGone === true) coverage.detachedLent++;
        } else if (status === SyncStatus.Moved) {
          coverage.lentWait++;
          if (threads[ticket - 1]?.step === "expired") coverage.lentExpired++;
        }
      }
      for (const { operation } of up) {
        if (operation === SyncOperation.FutexMoved) coverage.givenBack++;
      }
    }
  }
}

/** Counts what there is at the end of a schedule. */
function count(coverage: FutexCoverage, { nodes, desk }: FutexWorldState): void {
  for (const { threads, life, lent } of nodes) {
    if (life === "working") coverage.asleep += lent.desk.waiting;
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
