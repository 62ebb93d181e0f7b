/**
 * Schedules in which nodes are frozen: they take no step for a while, others may give them up
 * meanwhile, and then they go on with what was sent to them before. Leases, pings and their answers
 * are those of the runtime; a node that is not frozen looks at its clock in time.
 */

import type { Input } from "../../../runtime/protocol/coherence/coherence.ts";
import { Lease } from "../../../runtime/protocol/coherence/lease.ts";
import { type PageState, permits } from "../../../runtime/protocol/coherence/page.ts";
import type { Choices } from "./choices.ts";
import type { Frame, SimulatedNode, Thread } from "./node.ts";
import { isData } from "./node.ts";
import { neededAccess } from "./operation.ts";
import { fail } from "./oracle.ts";
import { makeIncidents, makeOptions } from "./plan.ts";
import { PAGE_WORDS } from "./mmu.ts";
import { NO_BUG } from "./planted_bugs.ts";
import { Random } from "./random.ts";
import { Schedule } from "./schedule.ts";
import { World } from "./world.ts";

const LEASE_MS = 1;
/** After how long a silence the home gives a node up. */
const SILENCE_US = 1_500;
const PING_US = 100;
/** The longest that a node is frozen, or not heard. */
const DISTURBED_MAX_US = 4_000;

/** What may be wrong with nodes that are frozen. */
export interface FreezeBug {
  readonly name: string;
  readonly Lease?: typeof Lease;
  /** Whether a node looks at its clock only when it has done something. */
  readonly looksLast?: boolean;
  /** Whether a node that ends forgets the windows behind the first. */
  readonly oneWindow?: boolean;
}

/** Counts from when an answer is read, which may have waited for as long as the node was frozen. */
class HopefulLease extends Lease {
  #nowMs = 0;
  #hopeMs = 0;

  override get endMs(): number {
    return Math.max(super.endMs, this.#hopeMs);
  }

  override isOver(nowMs: number): boolean {
    this.#nowMs = nowMs;
    return super.isOver(nowMs);
  }

  override answered(): void {
    this.#hopeMs = this.#nowMs + LEASE_MS;
  }
}

/** Every planted bug; the oracle of what threads read finds each. */
export const FREEZE_BUGS: readonly FreezeBug[] = [
  { name: "counts its lease from when an answer is read", Lease: HopefulLease },
  { name: "looks at the clock only when it has done something", looksLast: true },
  { name: "closes its first window only", oneWindow: true },
];

/** What a node and the home know of each other by pings. */
interface Pulse {
  readonly lease: Lease;
  /** The number of the last ping, and when the next is due. */
  sent: number;
  dueUs: number;
  /** The pings, and the answers, on their way. */
  readonly pings: number[];
  readonly answers: number[];
  /** When the home last heard of the node. */
  heardUs: number;
  /** Until when the node is frozen. */
  thawUs: number;
  /** Until when the home hears nothing of the node, which may still read old answers. */
  mutedUs: number;
}

/** A node that was given up and does not know it. */
interface Zombie {
  readonly node: SimulatedNode;
  readonly pulse: Pulse;
  /** What was sent to it, by sender. */
  readonly inbox: Map<number, Frame[]>;
  /** Whether its engine has taken a step since it was given up. */
  stepped: boolean;
}

/** How often what has happened, over many schedules. */
export interface FreezeCounts {
  frozen: number;
  givenUp: number;
  /** Reads by threads of nodes that were given up, before a step of their engine and after one. */
  readsBefore: number;
  readsAfter: number;
}

/** A schedule with frozen nodes. */
export class FrozenSchedule extends Schedule {
  readonly #random: Random;
  readonly #bug: FreezeBug;
  readonly #counts: FreezeCounts;
  readonly #pulses = new Map<SimulatedNode, Pulse>();
  readonly #zombies = new Set<Zombie>();
  readonly #freezePercent: number;
  /** How fast answers are read: the later one is, the less time it gives. */
  readonly #answerPercent: number;

  /**
   * @param seed Everything about it.
   * @param bug What is wrong with the nodes.
   * @param counts Where to count.
   */
  constructor(seed: number, bug: FreezeBug, counts: FreezeCounts) {
    const random = new Random(seed);
    const options = { ...makeOptions(random), memoryPages: [] };
    const world = new World(options, random, NO_BUG, undefined);
    super(random, world, makeIncidents(random, world));
    this.#random = random;
    this.#bug = bug;
    this.#counts = counts;
    this.#freezePercent = random.between(1, 4);
    this.#answerPercent = random.chance(50) ? 50 : random.between(1, 4);
  }

  /** Time has passed: pings, leases, silence and thaws, which chance does not delay. */
  protected override pass(): void {
    const { nodes, now } = this.world;
    for (const [node, { thawUs }] of this.#pulses) {
      if (node.frozen && now >= thawUs) node.frozen = false;
    }
    for (const node of nodes) {
      if (node.id === 1 || !node.present) continue;
      const pulse = this.#pulse(node);
      if (!node.frozen) {
        if (pulse.lease.isOver(now / 1000)) {
          this.#fence(node);
          this.world.kill(node);
          continue;
        }
        if (now >= pulse.dueUs) this.#ping(pulse);
        if (pulse.answers.length > 0 && this.#random.chance(this.#answerPercent)) {
          pulse.lease.answered(pulse.answers.shift()!);
        }
        if (this.#random.chance(this.#freezePercent)) this.#disturb(node, pulse);
      }
      if (pulse.pings.length > 0 && now >= pulse.mutedUs && this.#random.chance(50)) {
        pulse.answers.push(pulse.pings.shift()!);
        pulse.heardUs = now;
      }
      if (now - pulse.heardUs > SILENCE_US) this.#giveUp(node, pulse);
    }
  }

  /** When something happens by itself next, where nothing else does. */
  protected override get nextUs(): number {
    let next = Infinity;
    for (const [node, { thawUs, heardUs, dueUs }] of this.#pulses) {
      if (node.frozen) next = Math.min(next, thawUs);
      if (node.present) next = Math.min(next, node.frozen ? heardUs + SILENCE_US + 1 : dueUs);
    }
    for (const { node, pulse } of this.#zombies) {
      if (!node.frozen) next = Math.min(next, Math.ceil(pulse.lease.endMs * 1000) + 1);
    }
    return next;
  }

  /** Whether a node is frozen, or has yet to find out that it was given up. */
  protected override get waits(): boolean {
    return this.#zombies.size > 0 || [...this.#pulses.keys()].some(({ frozen }) => frozen);
  }

  protected override offer(choices: Choices): void {
    for (const zombie of this.#zombies) {
      const { node } = zombie;
      if (node.frozen) continue;
      if (this.#canStep(zombie)) choices.offer(1, this.#stepZombie, zombie, undefined);
      for (const thread of node.threads) {
        if (thread.blocked || thread.next === thread.program.length) continue;
        choices.offer(2, this.#runZombie, zombie, thread);
      }
    }
  }

  #pulse(node: SimulatedNode): Pulse {
    let pulse = this.#pulses.get(node);
    if (pulse === undefined) {
      const { now } = this.world;
      const lease = new (this.#bug.Lease ?? Lease)(LEASE_MS, now / 1000);
      pulse = {
        lease,
        sent: 0,
        dueUs: now,
        pings: [],
        answers: [],
        heardUs: now,
        thawUs: 0,
        mutedUs: 0,
      };
      this.#pulses.set(node, pulse);
    }
    return pulse;
  }

  #ping(pulse: Pulse): void {
    const { now } = this.world;
    pulse.lease.pinged(++pulse.sent, now / 1000);
    pulse.pings.push(pulse.sent);
    pulse.dueUs = now + PING_US;
  }

  /** Freezes a node, or keeps the home from hearing it. */
  #disturb(node: SimulatedNode, pulse: Pulse): void {
    const endUs = this.world.now + this.#random.between(1, DISTURBED_MAX_US);
    if (this.#random.chance(30)) return void (pulse.mutedUs = endUs);
    this.#counts.frozen++;
    node.frozen = true;
    pulse.thawUs = endUs;
  }

  /** To all others it is dead; it keeps what they have sent to it, and goes on. */
  #giveUp(node: SimulatedNode, pulse: Pulse): void {
    const { world } = this;
    this.#counts.givenUp++;
    const inbox = new Map<number, Frame[]>();
    for (const { from, to, frames } of world.links) {
      if (to === node && frames.length > 0) inbox.set(from.id, [...frames]);
    }
    this.#zombies.add({ node, pulse, inbox, stepped: false });
    world.kill(node);
    // The home reads nothing more of it.
    const link = world.link(node.id, 1);
    link.frames.length = 0;
    link.received = -1;
    world.noticeEnd(node);
  }

  /** Whether the engine of a node that was given up has anything to do. */
  #canStep({ node, pulse, inbox }: Zombie): boolean {
    return inbox.size > 0 || node.faults.length > 0 || pulse.answers.length > 0 ||
      pulse.lease.isOver(this.world.now / 1000);
  }

  /** The engine of a node that was given up does one thing of those that it could do. */
  readonly #stepZombie = (zombie: Zombie): void => {
    const { node, pulse, inbox } = zombie;
    const look = (): boolean => {
      if (!pulse.lease.isOver(this.world.now / 1000)) return false;
      this.#fence(node);
      this.#zombies.delete(zombie);
      return true;
    };
    if (!this.#bug.looksLast && look()) {
      zombie.stepped = true;
      return this.#runOn(zombie);
    }
    zombie.stepped = true;
    if (pulse.answers.length > 0) pulse.lease.answered(pulse.answers.shift()!);
    const [from, frames] = [...inbox][0] ?? [];
    const fault = node.faults.shift();
    if (fault !== undefined) this.#feed(node, { kind: "fault", ...fault });
    else if (frames !== undefined) {
      const { message, bytes } = frames.shift()!;
      if (frames.length === 0) inbox.delete(from!);
      if (isData(message) && node.engine.acceptsData(from!, message)) {
        node.mmu.alias.set(bytes!, message.first * PAGE_WORDS);
      }
      this.#feed(node, { kind: "message", from: from!, message });
    }
    this.#runOn(zombie);
    if (this.#bug.looksLast) look();
  };

  /** Steps the engine of a node that nobody hears. */
  #feed(node: SimulatedNode, input: Input): void {
    for (const operation of node.engine.step(input, this.world.now).operations) {
      if (!node.mmu.operate(operation)) continue;
      for (const thread of node.threads) thread.blocked = false;
    }
  }

  /** Its threads run while its engine does, and after that. */
  #runOn(zombie: Zombie): void {
    for (const thread of zombie.node.threads) {
      if (!thread.blocked && thread.next < thread.program.length) this.#runZombie(zombie, thread);
    }
  }

  /** A thread of a node that was given up goes on; what it writes reaches nobody. */
  readonly #runZombie = ({ node, stepped }: Zombie, thread: Thread): void => {
    const operation = thread.program[thread.next]!;
    if (operation.kind === "fetch") return void thread.next++;
    const { page } = operation;
    const access = neededAccess(operation);
    if (!permits(node.mmu.windows[thread.window]![page]! as PageState, access)) {
      thread.blocked = true;
      node.faults.push({ page, access });
      return;
    }
    thread.next++;
    if (operation.kind === "write") return;
    this.#counts[stepped ? "readsAfter" : "readsBefore"]++;
    if (stepped && !this.world.oracle.matches(node.mmu.alias, page)) {
      fail(
        `node ${node.id}, which was given up, reads page ${page}, which others have overwritten`,
      );
    }
  };

  /** The node ends: no thread of it reads anything any more. */
  #fence(node: SimulatedNode): void {
    const { windows } = node.mmu;
    for (const window of this.#bug.oneWindow ? windows.slice(0, 1) : windows) window.fill(0);
  }
}

/**
 * Runs schedules until one fails.
 *
 * @param count How many.
 * @param bug What is wrong with the nodes, if anything.
 * @returns What has happened in them, and the first failure.
 */
export function runFrozen(
  count: number,
  bug: FreezeBug = { name: "none" },
): { counts: FreezeCounts; failure: string | undefined } {
  const counts: FreezeCounts = { frozen: 0, givenUp: 0, readsBefore: 0, readsAfter: 0 };
  for (let seed = 1; seed <= count; seed++) {
    try {
      new FrozenSchedule(seed, bug, counts).run();
    } catch (error) {
      return { counts, failure: `seed ${seed}: ${(error as Error).message}` };
    }
  }
  return { counts, failure: undefined };
}
