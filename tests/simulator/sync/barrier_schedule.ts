/**
 * Random schedules of threads that meet at barriers which trees gather: most rounds are like the
 * last, and now and then something is different. A seed gives the same schedule again.
 */

import { SYNC_LIMITS } from "../../../runtime/protocol/sync/desk.ts";
import { Random } from "../coherence/random.ts";
import {
  BARRIER_PARTS,
  type BarrierCoverage,
  type BarrierParts,
  BarrierWorld,
  newBarrierCoverage,
} from "./barrier_world.ts";
import { type Failure, firstFailure } from "./first_failure.ts";

const NAMES = ["a", "b"];
/** How many of a hundred schedules have trees as real nodes do, of as many nodes. */
const LARGE_PERCENT = 2;
/** How many times the steps of others these take. */
const LARGE_STEPS = 5;
/** More steps than it takes to deliver all that is on its way. */
const DRAIN_STEPS_MAX = 20_000;

/** One schedule. */
class BarrierSchedule {
  readonly #random: Random;
  readonly #world: BarrierWorld;
  /** How many threads of each node meet at each barrier. */
  readonly #shares: ReadonlyMap<number, number>;
  /** The parties that threads agree on: at first all, and in some schedules those that are left. */
  #parties: number;
  readonly #adapts: boolean;
  /** How many of a thousand steps do what is different. */
  readonly #oddness: number;
  readonly #steps: number;
  /** A link on which messages take longer than on others, if there is one. */
  readonly #slow: string | undefined;
  /** How many of a hundred times it is passed over. */
  readonly #slowness: number;

  constructor(
    seed: number,
    parts: BarrierParts,
    coverage: BarrierCoverage,
    trace: (line: string) => void,
  ) {
    const random = new Random(seed);
    this.#random = random;
    const isLarge = random.chance(LARGE_PERCENT);
    const nodes = isLarge ? SYNC_LIMITS.treeNodes + random.between(1, 8) : random.between(2, 8);
    const limits = {
      ...SYNC_LIMITS,
      ...(isLarge ? {} : { treeNodes: 1, treeRadix: random.between(2, 3) }),
      treeRounds: random.between(2, 4),
      treeUses: random.chance(20) ? random.between(1, 3) : SYNC_LIMITS.treeUses,
      rounds: random.chance(10) ? 1 : SYNC_LIMITS.rounds,
    };
    this.#world = new BarrierWorld(nodes, limits, parts, coverage, trace);
    const isRootParty = random.chance(70);
    const share = (id: number) => id === 1 && !isRootParty ? 0 : random.chance(80) ? 1 : 2;
    this.#shares = new Map(this.#world.nodes.map(({ id }) => [id, share(id)]));
    this.#parties = this.#sharesLeft();
    this.#adapts = random.chance(70);
    this.#oddness = random.chance(50) ? random.between(5, 60) / (isLarge ? LARGE_STEPS : 1) : 0;
    this.#steps = random.between(50, 400) * (isLarge ? LARGE_STEPS : 1);
    // What goes by other nodes overtakes what the directory node says to one, or hears of it.
    const slow = random.between(2, nodes);
    this.#slow = random.chance(60) ? random.chance(50) ? `1 ${slow}` : `${slow} 1` : undefined;
    this.#slowness = random.between(80, 99);
  }

  /** Runs it to its end. */
  run(): void {
    for (let step = 0; step < this.#steps; step++) {
      if (this.#random.below(1000) < this.#oddness) this.#differ();
      else if (this.#random.chance(60)) this.#deliver();
      else this.#arrive();
    }
    this.#settle();
    // Whatever has happened, no node waits at a tree that is no more.
    for (const node of this.#world.working) {
      for (const name of NAMES) this.#world.arrive(node, name, this.#parties);
    }
    this.#settle();
    for (const { node, ticket } of this.#open()) this.#world.cancel(node, ticket);
    this.#settle();
    const { working } = this.#world;
    for (let round = 0; round < 4; round++) {
      for (const node of working) this.#world.arrive(node, "anew", working.length);
      this.#drain();
      if (this.#open().length > 0) throw new Error("those that are left cannot meet");
    }
  }

  #sharesLeft(): number {
    return this.#world.working.reduce((sum, { id }) => sum + this.#shares.get(id)!, 0);
  }

  #open() {
    return this.#world.working.flatMap((node) =>
      [...node.open].filter(([, { isCancelled }]) => !isCancelled)
        .map(([ticket]) => ({ node, ticket }))
    );
  }

  #deliver(): void {
    const isSlow = this.#random.chance(this.#slowness);
    const links = this.#world.busyLinks.filter((link) => !isSlow || link !== this.#slow);
    if (links.length > 0) this.#world.deliver(this.#pick(links));
  }

  /** A thread arrives as it always does. */
  #arrive(): void {
    const node = this.#pick(this.#world.working);
    const name = this.#random.chance(80) ? "a" : "b";
    const open = node.open.values().filter(({ request }) => request.name === name).toArray().length;
    if (open < this.#shares.get(node.id)!) this.#world.arrive(node, name, this.#parties);
  }

  /** Something happens that makes a round unlike the last. */
  #differ(): void {
    const random = this.#random;
    const world = this.#world;
    const node = this.#pick(world.working);
    const dice = random.below(100);
    if (dice < 35) {
      const open = this.#open();
      if (open.length === 0) return;
      const { node, ticket } = this.#pick(open);
      return world.cancel(node, ticket);
    }
    if (dice < 60) return world.beat(node);
    if (dice < 70) return world.arrive(node, this.#pick(NAMES), this.#parties);
    if (dice < 76) return world.arrive(node, this.#pick(NAMES), this.#parties + 1);
    if (dice < 78 && node.id !== 1) {
      const others = world.working.filter(({ id }) => id !== 1 && id !== node.id);
      if (others.length === 0) return;
      const to = this.#pick(others);
      return world.flood(node, to, random.between(1, to.unanswered + 1));
    }
    if (dice < 83 && world.leaving.length > 0) return world.finish(this.#pick(world.leaving));
    if (world.unheard.length > 0) return world.lose(this.#pick(world.unheard));
    if (node.id === 1) return;
    if (random.chance(40)) world.leave(node);
    else world.die(node, (length) => random.between(0, length));
    if (this.#adapts && this.#sharesLeft() > 0) this.#parties = this.#sharesLeft();
  }

  /** All that is on its way arrives, all nodes that end are gone, and time passes. */
  #settle(): void {
    this.#drain();
    for (const node of this.#world.unheard) this.#world.lose(node);
    this.#drain();
    for (const node of this.#world.leaving) this.#world.finish(node);
    this.#drain();
    for (let beats = 0; beats < 2; beats++) {
      for (const node of this.#world.working) if (node.id !== 1) this.#world.beat(node);
      this.#drain();
    }
    this.#world.checkQuiescence();
  }

  #drain(): void {
    for (let step = 0; step < DRAIN_STEPS_MAX; step++) {
      const links = this.#world.busyLinks;
      if (links.length === 0) return;
      this.#world.deliver(this.#pick(links));
    }
    throw new Error(`not at its end after ${DRAIN_STEPS_MAX} steps`);
  }

  #pick<T>(of: readonly T[]): T {
    return of[this.#random.below(of.length)]!;
  }
}

/**
 * Runs one schedule to its end.
 *
 * @param seed The schedule.
 * @param parts What the nodes are made of.
 * @param coverage Where to count.
 * @param trace Is told everything that happens.
 * @throws {Error} The promise that is broken.
 */
export function runBarrierSchedule(
  seed: number,
  parts: BarrierParts = BARRIER_PARTS,
  coverage: BarrierCoverage = newBarrierCoverage(),
  trace: (line: string) => void = () => {},
): void {
  new BarrierSchedule(seed, parts, coverage, trace).run();
}

/**
 * Runs schedules until one fails.
 *
 * @param seed The first one's seed.
 * @param schedules How many.
 * @param parts What the nodes are made of.
 * @returns What they got into; and the first that failed, with the reason.
 */
export function runBarrierBatch(
  seed: number,
  schedules: number,
  parts: BarrierParts = BARRIER_PARTS,
): { coverage: BarrierCoverage; failure: Failure | undefined } {
  const coverage = newBarrierCoverage();
  const run = (seed: number) => runBarrierSchedule(seed, parts, coverage);
  return { coverage, failure: firstFailure(seed, schedules, run) };
}
