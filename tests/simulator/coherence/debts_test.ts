/**
 * Debts in random schedules: no node that does its part is ever in default, and one that does not
 * is. A beat comes when what was said at the last one has arrived, as a second is longer than that
 * takes.
 */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { type Debt, Debts, type Lacking } from "../../../runtime/protocol/coherence/debts.ts";
import type { NodeId } from "../../../runtime/protocol/coherence/messages.ts";
import type { Demand } from "../../../runtime/protocol/coherence/demand_queue.ts";
import type { Transaction } from "../../../runtime/protocol/coherence/transactions.ts";
import type { Frame, SimulatedNode } from "./node.ts";
import { makeIncidents, makeOptions } from "./plan.ts";
import { NO_BUG, type PlantedBug } from "./planted_bugs.ts";
import { ProbeCache, ProbeDirectory, type ProbeParts } from "./probes.ts";
import { Random } from "./random.ts";
import { Schedule } from "./schedule.ts";
import { World } from "./world.ts";

const SCHEDULES = 150;
/** How many steps lie between two beats at least. */
const BEAT_STEPS = 5;
/** More beats than anything is on its way between two nodes. */
const DISPUTED_BEATS = 400;
/** The node that does not do its part, where one does not. */
const DEBTOR = 2;

/** A word between the home and a node, behind the frame that was sent there last. */
interface Word {
  readonly node: SimulatedNode;
  readonly debt: Debt;
  readonly isAnswer: boolean;
  /** What a requester that answers lacks. */
  readonly lacking: Lacking | undefined;
  readonly behind: Frame | undefined;
}

/** Carries reminders and answers between the frames of a world. */
class Collector {
  /** The nodes that were found in default, though they take part. */
  readonly named = new Set<NodeId>();
  reminders = 0;
  readonly #world: World;
  #words: Word[] = [];
  #steps = 0;

  constructor(world: World) {
    this.#world = world;
  }

  /** One more step has been taken. */
  look(): void {
    let moved: boolean;
    do {
      const words = this.#words;
      this.#words = [];
      for (const word of words) this.#carry(word);
      moved = words.some((word) => !this.#words.includes(word));
    } while (moved);
    if (++this.#steps % BEAT_STEPS === 0) this.beat();
  }

  beat(): void {
    const { nodes } = this.#world;
    // A hold is over by the next beat.
    const holds = nodes.some(({ present, cache }) => present && cache.hasDeferred);
    if (this.#words.length > 0 || holds) return;
    const { reminders, defaults } = nodes[0]!.directory.debts.beat();
    for (const { node } of defaults) if (nodes[node - 1]!.present) this.named.add(node);
    for (const { node, debt } of reminders) this.#say(nodes[node - 1]!, debt, false);
    this.reminders += reminders.length;
  }

  #say(node: SimulatedNode, debt: Debt, isAnswer: boolean): void {
    const { frames } = isAnswer ? this.#world.link(node.id, 1) : this.#world.link(1, node.id);
    const lacking = isAnswer ? node.cache.lacks(debt) : undefined;
    this.#words.push({ node, debt, isAnswer, lacking, behind: frames.at(-1) });
  }

  #carry(word: Word): void {
    const { node, debt, isAnswer, lacking, behind } = word;
    const { frames } = isAnswer ? this.#world.link(node.id, 1) : this.#world.link(1, node.id);
    if (!node.present) return;
    if (behind !== undefined && frames.includes(behind)) this.#words.push(word);
    else if (isAnswer) this.#world.nodes[0]!.directory.debts.settled(node.id, debt, lacking);
    else if (!node.cache.owes(debt)) this.#say(node, debt, true);
  }
}

/**
 * Runs a schedule, as far as it comes; with deaths and departures, unless nodes are only to join.
 */
function collect(
  seed: number,
  parts: Partial<ProbeParts> = {},
  joinsOnly = false,
  beats = 0,
): Collector {
  const random = new Random(seed);
  const bug: PlantedBug = { ...NO_BUG, parts: { ...PARTS, ...parts } };
  const world = new World(
    { ...makeOptions(random), memoryPages: [], reservePages: [], checked: false },
    random,
    bug,
    undefined,
  );
  const incidents = makeIncidents(random, world).filter(({ kind }) =>
    !joinsOnly || kind === "join"
  );
  const schedule = new Schedule(random, world, incidents);
  const collector = new Collector(world);
  while (schedule.step()) collector.look();
  for (let time = 0; time < beats + 8; time++) {
    collector.look();
    collector.beat();
  }
  return collector;
}

/** A directory that does not take long to find a node in default. */
class StrictDirectory extends ProbeDirectory {
  override readonly debts: Debts = new Debts(
    () => this.active.values(),
    1,
    (debt) => this.own.lacks(debt),
    2,
    DISPUTED_BEATS,
  );
}

const PARTS = { ...NO_BUG.parts, PageCache: ProbeCache, Directory: StrictDirectory };

class SilentCache extends ProbeCache {
  override owes(): boolean {
    return true;
  }
}

class DeafDebts extends Debts {
  override settled(): void {}
}

class DeafDirectory extends ProbeDirectory {
  override readonly debts: Debts = new DeafDebts(() => this.active.values(), 1, undefined, 2);
}

/** Reminds of what has only begun. */
class HastyDebts extends Debts {
  constructor(transactions: () => Iterable<Transaction>) {
    super(transactions, 1, undefined, 0);
  }
}

class HastyDirectory extends ProbeDirectory {
  override readonly debts: Debts = new HastyDebts(() => this.active.values());
}

/** One node meets no demand, and says nothing about it. */
class IdleCache extends ProbeCache {
  override owes(debt: Debt): boolean {
    return this.options.self === DEBTOR || super.owes(debt);
  }

  protected override surrender(message: Demand): void {
    if (this.options.self !== DEBTOR) super.surrender(message);
  }
}

Deno.test("no node that does its part is in default, whatever the schedule", () => {
  let reminders = 0;
  for (let seed = 1; seed <= SCHEDULES; seed++) {
    const collector = collect(seed);
    assertEquals([...collector.named], [], `seed ${seed}`);
    reminders += collector.reminders;
  }
  assert(reminders > SCHEDULES, `${reminders} reminders`);
});

Deno.test("a node that does not do its part is in default wherever another waits for it, and no other node", () => {
  let found = 0;
  for (let seed = 1; seed <= SCHEDULES; seed++) {
    const { named } = collect(seed, { PageCache: IdleCache }, true);
    for (const node of named) assertEquals(node, DEBTOR, `seed ${seed}`);
    found += named.size;
  }
  assert(found > SCHEDULES / 10, `found in ${found} schedules`);
});

/** One node says that it has sent what it has not. */
class LyingCache extends ProbeCache {
  override owes(debt: Debt): boolean {
    return this.options.self !== DEBTOR && super.owes(debt);
  }

  protected override surrender(message: Demand): void {
    if (this.options.self !== DEBTOR) super.surrender(message);
  }
}

Deno.test("a node that says it has sent what it has not has to go, and no other node", () => {
  let found = 0;
  for (let seed = 1; seed <= SCHEDULES; seed++) {
    const { named } = collect(seed, { PageCache: LyingCache }, true, DISPUTED_BEATS);
    for (const node of named) assertEquals(node, DEBTOR, `seed ${seed}`);
    found += named.size;
  }
  assert(found > SCHEDULES / 10, `found in ${found} schedules`);
});

const BUGS: readonly [name: string, parts: Partial<ProbeParts>][] = [
  ["a node never says that it has done its part", { PageCache: SilentCache }],
  ["the home does not hear that a node has done its part", { Directory: DeafDirectory }],
  ["the home does not wait for an answer", { Directory: HastyDirectory }],
];

for (const [name, parts] of BUGS) {
  Deno.test(`the simulator finds a planted bug: ${name}`, () => {
    const named: string[] = [];
    for (let seed = 1; seed <= SCHEDULES && named.length === 0; seed++) {
      for (const node of collect(seed, parts).named) named.push(`node ${node}`);
    }
    assertMatch(named.join(), /node \d/);
  });
}
