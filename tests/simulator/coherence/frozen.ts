/**
 * Schedules in which nodes are frozen: they take no step for a while, others may give them up
 * meanwhile, and then they go on with what was sent to them before. Leases, pings and their answers
 * are those of the runtime; a node that is not frozen looks at its clock in time.
 */

import type { Input } from "../../../runtime/protocol/coherence/coherence.ts";
import { Lease } from "../../../runtime/protocol/coherence/lease.ts";
import { Access, type PageState, permits } from "../../../runtime/protocol/coherence/page.ts";
import type { Choices } from "./choices.ts";
import type { Frame, SimulatedNode, Thread } from "./node.ts";
import { isData } from "./node.ts";
import { neededAccess } from "./operation.ts";
import { fail } from "./oracle.ts";
import { type FreezeBug, LEASE_MS } from "./freeze_bugs.ts";
import type { Incident } from "./plan.ts";
import { PAGE_WORDS } from "./mmu.ts";
import type { Random } from "./random.ts";
import { Schedule } from "./schedule.ts";
import type { World } from "./world.ts";

/** After how long a silence the home gives a node up. */
const SILENCE_US = 1_500;
const PING_US = 100;
/** How long before its lease ends a node reads an answer at the latest. */
const LATE_US = 2 * PING_US;
/** The longest that a node is frozen, or not heard. */
const DISTURBED_MAX_US = 4_000;

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

const NO_FREEZE_BUG: FreezeBug = { name: "none" };

/** A schedule with frozen nodes. */
export class FrozenSchedule extends Schedule {
  readonly #random: Random;
  readonly #bug: FreezeBug;
  readonly #pulses = new Map<SimulatedNode, Pulse>();
  readonly #zombies = new Set<Zombie>();
  readonly #freezePercent: number;
  /** Whether nodes read answers only when their lease is about to end: an old one gives less. */
  readonly #readsLate: boolean;

  /**
   * @param random Where chance comes from.
   * @param world The cluster, in which nothing has happened yet.
   * @param incidents What happens to its nodes besides, the last first.
   * @param bug What is wrong with nodes that are frozen, if anything.
   */
  constructor(random: Random, world: World, incidents: Incident[], bug: FreezeBug = NO_FREEZE_BUG) {
    super(random, world, incidents);
    this.#random = random;
    this.#bug = bug;
    this.#freezePercent = random.between(1, 4);
    this.#readsLate = random.chance(50);
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
          this.world.reach("fencedInTime");
          this.#fence(node);
          this.world.kill(node);
          continue;
        }
        if (now >= pulse.dueUs) this.#ping(pulse);
        if (this.#readsAnswer(pulse) && this.#random.chance(50)) {
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
      if (node.frozen) continue;
      const endUs = Math.ceil(pulse.lease.endMs * 1000) + 1;
      next = Math.min(next, pulse.answers.length > 0 ? endUs - LATE_US : endUs);
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
        if (!thread.blocked) choices.offer(2, this.#runZombie, zombie, thread);
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

  /** Whether a node may read an answer now. */
  #readsAnswer({ answers, lease }: Pulse): boolean {
    if (answers.length === 0) return false;
    return !this.#readsLate || lease.endMs * 1000 - this.world.now < LATE_US;
  }

  /** Freezes a node, or keeps the home from hearing it. */
  #disturb(node: SimulatedNode, pulse: Pulse): void {
    const endUs = this.world.now + this.#random.between(1, DISTURBED_MAX_US);
    if (this.#random.chance(30)) return void (pulse.mutedUs = endUs);
    this.world.reach("frozen");
    node.frozen = true;
    pulse.thawUs = endUs;
  }

  /** To all others it is dead; it keeps what they have sent to it, and goes on. */
  #giveUp(node: SimulatedNode, pulse: Pulse): void {
    const { world } = this;
    world.reach("givenUp");
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
    return inbox.size > 0 || node.faults.length > 0 || this.#readsAnswer(pulse) ||
      pulse.lease.isOver(this.world.now / 1000);
  }

  /** The engine of a node that was given up does one thing of those that it could do. */
  readonly #stepZombie = (zombie: Zombie): void => {
    const { node, pulse, inbox } = zombie;
    const look = (): boolean => {
      if (!pulse.lease.isOver(this.world.now / 1000)) return false;
      this.world.reach("fenced");
      this.#fence(node);
      this.#zombies.delete(zombie);
      return true;
    };
    if (!this.#bug.looksLast && look()) {
      zombie.stepped = true;
      return this.#runOn(zombie);
    }
    zombie.stepped = true;
    if (this.#readsAnswer(pulse)) pulse.lease.answered(pulse.answers.shift()!);
    const [from, frames] = [...inbox][0] ?? [];
    const fault = node.faults.shift();
    if (fault !== undefined) this.#feed(node, { kind: "fault", ...fault });
    else if (frames !== undefined) {
      const { message, bytes } = frames.shift()!;
      if (frames.length === 0) inbox.delete(from!);
      if (message.kind === "peerJoined") return this.#feed(node, message);
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
      if (!thread.blocked) this.#runZombie(zombie, thread);
    }
  }

  /** A thread of a node that was given up goes on; no node sees its writes. At its end it spins. */
  readonly #runZombie = (zombie: Zombie, thread: Thread): void => {
    const { node } = zombie;
    const window = node.mmu.windows[thread.window]!;
    const operation = thread.program[thread.next];
    if (operation === undefined) {
      const page = this.#random.below(this.world.pageCount);
      if (permits(window[page]! as PageState, Access.Read)) this.#read(zombie, page);
      return;
    }
    if (operation.kind === "fetch") return void thread.next++;
    const { page } = operation;
    const access = neededAccess(operation);
    if (!permits(window[page]! as PageState, access)) {
      thread.blocked = true;
      node.faults.push({ page, access });
      return;
    }
    thread.next++;
    if (operation.kind !== "write") this.#read(zombie, page);
  };

  #read({ node, stepped }: Zombie, page: number): void {
    if (!stepped) return this.world.reach("readBehind");
    if (!this.world.oracle.matches(node.mmu.alias, page)) {
      fail(
        `node ${node.id}, which was given up, reads page ${page}, which others have overwritten`,
      );
    }
  }

  /** The node ends: no thread of it reads anything any more. */
  #fence(node: SimulatedNode): void {
    const { windows } = node.mmu;
    for (const window of this.#bug.oneWindow ? windows.slice(0, 1) : windows) window.fill(0);
  }
}
