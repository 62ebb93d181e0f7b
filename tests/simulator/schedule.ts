/**
 * One run of the simulator: a seed makes a cluster, its programs and everything that happens to it.
 */

import type { Coverage } from "./coverage.ts";
import { checkQuiescence } from "./invariants.ts";
import type { Link, Operation, SimulatedNode, Thread } from "./node.ts";
import { fail } from "./oracle.ts";
import type { PlantedBug } from "./planted_bugs.ts";
import { SOUND_PARTS } from "./probes.ts";
import { Random } from "./random.ts";
import { World, type WorldOptions } from "./world.ts";

/** The protocol and its driver as they should be. */
export const NO_BUG: PlantedBug = { name: "none", parts: SOUND_PARTS, messagesFirst: false };

/** More steps than any schedule needs that comes to an end. */
const STEPS_MAX = 50_000;

/** What became of a schedule. */
export interface ScheduleResult {
  /** How many things happened. */
  readonly steps: number;
  /** Which corners it got into. */
  readonly coverage: Coverage;
}

/** Something that can happen now, and how likely it is. */
interface Choice {
  readonly weight: number;
  readonly act: () => void;
}

/** Something that happens once, from some step on. */
interface Incident {
  readonly step: number;
  readonly kind: "join" | "leave" | "kill" | "openWindow";
  readonly node: SimulatedNode;
}

function makeProgram(random: Random, pageCount: number, length: number): Operation[] {
  const program: Operation[] = [];
  while (program.length < length) {
    const page = random.below(pageCount);
    const kind = (["read", "read", "write", "add"] as const)[random.below(4)]!;
    const walk = random.chance(30) ? random.between(2, pageCount) : 1;
    if (random.chance(4)) {
      program.push({ kind: "fetch", page, count: random.between(1, pageCount - page) });
    }
    for (let next = page; next < Math.min(page + walk, pageCount); next++) {
      program.push({ kind, page: next, count: 1 });
    }
  }
  return program;
}

function makeOptions(random: Random): WorldOptions {
  const pageCount = random.between(1, 6);
  const length = random.between(2, 10);
  const threads: Thread[][] = [];
  for (let nodes = random.between(2, 5); nodes > 0; nodes--) {
    const own: Thread[] = [];
    for (let count = random.between(1, 3); count > 0; count--) {
      const program = makeProgram(random, pageCount, length);
      own.push({ program, next: 0, window: 0, blocked: false });
    }
    threads.push(own);
  }
  return {
    pageCount,
    runPages: random.between(1, 8),
    holdTimeUs: random.chance(40) ? 0 : random.between(1, 60),
    threads,
    preemptPercent: random.chance(50) ? 0 : 20,
  };
}

function makeIncidents(random: Random, nodes: readonly SimulatedNode[]): Incident[] {
  const incidents: Incident[] = [];
  const deaths = random.chance(40);
  for (const node of nodes) {
    if (random.chance(20)) incidents.push({ step: random.below(100), kind: "openWindow", node });
    if (node.id === 1) continue;
    const step = random.chance(75) ? 0 : random.below(80);
    incidents.push({ step, kind: "join", node });
    if (deaths && random.chance(40)) {
      incidents.push({ step: step + random.below(150), kind: "kill", node });
    }
    if (random.chance(30)) incidents.push({ step: step + random.below(100), kind: "leave", node });
  }
  return incidents.sort((a, b) => b.step - a.step);
}

/** A schedule while it runs. */
class Schedule {
  readonly world: World;
  readonly #random: Random;
  readonly #incidents: Incident[];
  readonly #leavers = new Set<SimulatedNode>();
  readonly #weights: { deliver: number; run: number; fault: number; tick: number };
  /** How slow each link is, the slowest 1. */
  readonly #paces: number[];
  readonly #pauseUs: number;
  steps = 0;

  constructor(seed: number, bug: PlantedBug, trace: ((line: string) => void) | undefined) {
    const random = this.#random = new Random(seed);
    this.world = new World(makeOptions(random), random, bug, trace);
    this.#incidents = makeIncidents(random, this.world.nodes);
    this.#weights = {
      deliver: random.between(1, 8),
      run: random.between(1, 8),
      fault: random.between(1, 8),
      tick: random.between(1, 8),
    };
    this.#paces = this.world.links.map(() => random.chance(20) ? 1 : random.between(4, 16));
    this.#pauseUs = random.between(1, 12);
  }

  /** Takes one step; returns whether there was one to take. */
  step(): boolean {
    const { world } = this;
    world.now += this.#random.below(this.#pauseUs);
    while ((this.#incidents.at(-1)?.step ?? Infinity) <= this.steps) {
      this.#happen(this.#incidents.pop()!);
    }
    this.steps++;
    if (this.#act()) return true;
    const deadline = Math.min(
      ...world.nodes.map((node) => node.present ? node.engine.deadline : Infinity),
    );
    if (deadline !== Infinity) world.now = Math.max(world.now, deadline);
    else if (this.#incidents.length > 0) this.#happen(this.#incidents.pop()!);
    else return false;
    return true;
  }

  #happen({ kind, node }: Incident): void {
    switch (kind) {
      case "join":
        if (this.steps > 0) this.world.coverage.lateJoin++;
        return this.world.join(node);
      case "leave":
        if (node.status === "live") this.#leavers.add(node);
        return;
      case "kill":
        if (node.present) this.world.kill(node);
        return;
      case "openWindow":
        return this.world.openWindow(node);
      default:
        kind satisfies never;
    }
  }

  /** Does one of the things that can happen now; returns whether there was any. */
  #act(): boolean {
    const choices: Choice[] = [];
    for (const [index, link] of this.world.links.entries()) this.#offerLink(choices, link, index);
    for (const node of this.world.nodes) this.#offerNode(choices, node);
    let total = 0;
    for (const { weight } of choices) total += weight;
    if (total === 0) return false;
    let chosen = this.#random.below(total);
    for (const { weight, act } of choices) {
      if (chosen < weight) {
        act();
        return true;
      }
      chosen -= weight;
    }
    return fail("the choice is among those offered");
  }

  #offerLink(choices: Choice[], link: Link, index: number): void {
    if (link.frames.length === 0 || !link.to.present) return;
    const weight = this.#weights.deliver * this.#paces[index]!;
    choices.push({ weight, act: () => this.world.deliver(link) });
  }

  #offerNode(choices: Choice[], node: SimulatedNode): void {
    const { world } = this;
    if (node.endUnnoticed && world.link(node.id, 1).frames.length === 0) {
      choices.push({ weight: 4, act: () => world.noticeEnd(node) });
    }
    if (!node.present) return;
    const { run, fault, tick } = this.#weights;
    for (const thread of node.threads) {
      if (thread.blocked || thread.next === thread.program.length) continue;
      choices.push({ weight: run * 8, act: () => world.run(node, thread) });
    }
    if (node.faults.length > 0) {
      choices.push({ weight: fault * 8, act: () => world.readFault(node) });
    } else if (node.lastFault !== undefined) {
      choices.push({ weight: 1, act: () => world.repeatFault(node) });
    }
    if (node.engine.deadline <= world.now) {
      choices.push({ weight: tick * 8, act: () => world.tick(node) });
    }
    if (node.status === "live" && this.#leavers.has(node) && node.finished) {
      choices.push({ weight: 8, act: () => world.leave(node) });
    }
  }
}

/**
 * Runs one schedule to its end.
 *
 * @param seed Everything about it.
 * @param bug What is wrong with the nodes, if anything.
 * @param trace Is told everything that happens.
 * @returns What became of it.
 * @throws {InvariantError} When a promise of the protocol is broken.
 */
export function runSchedule(
  seed: number,
  bug: PlantedBug = NO_BUG,
  trace?: (line: string) => void,
): ScheduleResult {
  const schedule = new Schedule(seed, bug, trace);
  const { world } = schedule;
  while (schedule.step()) {
    if (schedule.steps > STEPS_MAX) fail(`no end after ${STEPS_MAX} steps`);
  }
  checkQuiescence(world.nodes, world.pageCount, world.oracle);
  return { steps: schedule.steps, coverage: world.coverage };
}
