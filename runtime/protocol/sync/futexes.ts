/**
 * The desk at which threads wait for words of the region, at the directory node: a pure state
 * machine. A wait is registered and acknowledged, and only then does its thread look at the word.
 * A notify wakes only waits that were registered before the notify came, in order, and only those
 * whose threads have looked and found the word unchanged: one that has yet to look is waited for.
 * So no wake-up is lost, and none goes to a thread that would not have waited.
 *
 * Most notifies find no wait. So the answer to one that finds none also makes the word _quiet_ for
 * its node: the node's threads need not ask again. Before the next wait at that word is
 * acknowledged, every node for which the word is quiet is told, and has said that it has heard.
 * Where a notify has woken a thread, another will soon wait there: to tell nodes would delay it.
 */

import {
  FUTEX_QUIET_SLOTS,
  PLACE_NODES_TOLD_MAX,
  PLACES_LOOKED_MAX,
  SYNC_WAITING_ASSURED,
  SYNC_WAITING_MAX,
} from "../../limits.ts";
import type { NodeId } from "../coherence/messages.ts";
import type { PlaceView } from "./desk.ts";
import {
  type FutexRequest,
  SyncOperation,
  type SyncReply,
  SyncStatus,
  threadOf,
} from "./messages.ts";

/** The bytes of the smallest word that a thread can wait for. */
const WORD_BYTES = 4n;

/** What happens at the desk leads to these. Calls come in the order in which nodes must be told. */
export interface FutexOutbox {
  /** A request is answered, or a node told that a word is not quiet any more. */
  reply(to: NodeId, reply: SyncReply): void;
  /** A node broke the protocol: nothing that it says can be believed. */
  violation(node: NodeId, reason: string): void;
}

/** How much is remembered at one time. */
export interface FutexLimits {
  /** The waits and the notifies that are not done. */
  readonly waiting: number;
  /** How many of a node though there are as many as `waiting`. */
  readonly waitingAssured: number;
  /** The words that may be quiet for a node at one time, each in a slot that its number chooses. */
  readonly quietSlots: number;
}

/** The limits of a real cluster. */
export const FUTEX_LIMITS: FutexLimits = {
  waiting: SYNC_WAITING_MAX,
  waitingAssured: SYNC_WAITING_ASSURED,
  quietSlots: FUTEX_QUIET_SLOTS,
};

/** How far a wait has come. */
export type FutexPhase =
  /** Nodes for which the word is quiet have yet to hear of it. */
  | "enrolling"
  /** It is acknowledged, and its thread has yet to look at the word. */
  | "looking"
  /** Its thread has found the word unchanged, and waits. */
  | "asleep";

/** A wait. */
export interface FutexWaiter {
  readonly kind: "waiter";
  readonly node: NodeId;
  readonly ticket: number;
  readonly key: bigint;
  /** Its place in the order of all that has come to the desk. */
  readonly number: number;
  phase: FutexPhase;
}

/** A notify that is not done: a wait before it has yet to look. */
export interface FutexNotifier {
  readonly kind: "notifier";
  /** 0 once the node, or the thread that would read the answer, is gone. */
  node: NodeId | 0;
  readonly ticket: number;
  readonly key: bigint;
  readonly number: number;
  /** How many it may wake yet. */
  left: number;
  woken: number;
}

/** A word at which there are waits, or notifies that are not done. */
interface FutexWord {
  /** In the order in which they have come. */
  readonly waiters: Set<FutexWaiter>;
  readonly notifiers: Set<FutexNotifier>;
}

/** What a node has at the desk. */
interface FutexMember {
  readonly requests: Map<number, FutexWaiter | FutexNotifier>;
  /** The words that are quiet for it, or were until it hears otherwise, by their slots. */
  readonly quiet: Map<number, bigint>;
}

/** All that the desk remembers. */
export interface FutexState {
  readonly members: Map<NodeId, FutexMember>;
  readonly words: Map<bigint, FutexWord>;
  /** The nodes for which a word is quiet. */
  readonly quiet: Map<bigint, Set<NodeId>>;
  /** The nodes that have been told that a word is not quiet any more, and have yet to answer. */
  readonly unheard: Map<bigint, Set<NodeId>>;
  waiting: number;
  lastNumber: number;
}

/** A desk at which nothing has happened. */
export function newFutexState(): FutexState {
  return {
    members: new Map(),
    words: new Map(),
    quiet: new Map(),
    unheard: new Map(),
    waiting: 0,
    lastNumber: 0,
  };
}

/**
 * The slot of a word among those that are quiet for a node.
 *
 * @param key The word's first byte in the region.
 * @param slots How many slots there are.
 * @returns The slot, from 0.
 */
export function quietSlot(key: bigint, slots: number = FUTEX_QUIET_SLOTS): number {
  return Number(key / WORD_BYTES % BigInt(slots));
}

/** The waits for words of a cluster. */
export class FutexDesk {
  protected readonly state: FutexState;
  protected readonly limits: FutexLimits;
  readonly #outbox: FutexOutbox;

  /**
   * @param outbox Where answers go.
   * @param limits How much is remembered.
   * @param state Where to go on from.
   */
  constructor(
    outbox: FutexOutbox,
    limits: FutexLimits = FUTEX_LIMITS,
    state: FutexState = newFutexState(),
  ) {
    this.#outbox = outbox;
    this.limits = limits;
    this.state = state;
  }

  /** The waits, and the notifies that are not done. */
  get waiting(): number {
    return this.state.waiting;
  }

  /** The words at which there are such. */
  get words(): number {
    return this.state.words.size;
  }

  /** The words at which threads wait, as far as so many words show them. */
  views(looked: number = PLACES_LOOKED_MAX): PlaceView[] {
    return this.state.words.entries().take(looked).filter(([, { waiters }]) => waiters.size > 0)
      .map(([key, { waiters }]): PlaceView => ({
        kind: "word",
        name: String(key),
        holder: 0,
        parties: 0,
        count: waiters.size,
        waiting: waiters.values().take(PLACE_NODES_TOLD_MAX).map(({ node }) => node).toArray(),
      })).toArray();
  }

  /** Lets a node ask. */
  peerJoined(node: NodeId): void {
    this.state.members.set(node, { requests: new Map(), quiet: new Map() });
  }

  /** A node is gone: it waits for nothing, and what it was to hear it need not hear. */
  peerGone(node: NodeId): void {
    const { members, quiet } = this.state;
    const member = members.get(node);
    if (member === undefined) return;
    members.delete(node);
    const touched = this.#giveUp([...member.requests.values()]);
    for (const key of member.quiet.values()) {
      if (remove(quiet, key, node)) continue;
      this.#heard(node, key);
    }
    for (const key of touched) this.#advance(key);
  }

  /** A thread of a node is gone that had a link of its own. */
  threadGone(node: NodeId, thread: number): void {
    const requests = this.state.members.get(node)?.requests ?? new Map();
    const gone = [...requests.values()].filter(({ ticket }) => threadOf(ticket) === thread);
    for (const { ticket } of gone) requests.delete(ticket);
    for (const key of this.#giveUp(gone)) this.#advance(key);
  }

  /** Takes waits away, and goes on with notifies that nobody reads the answer of. */
  #giveUp(requests: readonly (FutexWaiter | FutexNotifier)[]): Set<bigint> {
    // All at once, so that none of them is woken in place of another.
    for (const request of requests) {
      if (request.kind === "notifier") request.node = 0;
      else this.#removeWaiter(request);
    }
    return new Set(requests.map(({ key }) => key));
  }

  /** Whether a ticket names a request that is not done. */
  has(node: NodeId, ticket: number): boolean {
    return this.state.members.get(node)?.requests.has(ticket) === true;
  }

  /**
   * A node asks. What comes from one that is gone is dropped.
   *
   * @param from The node.
   * @param request What it asks, with the bounds that `sync_frames.ts` checks.
   */
  request(from: NodeId, request: FutexRequest): void {
    const member = this.state.members.get(from);
    if (member === undefined) return;
    switch (request.operation) {
      case SyncOperation.FutexWait:
        return this.#wait(from, member, request.ticket, request.key);
      case SyncOperation.FutexNotify:
        return this.#notify(from, member, request.ticket, request.key, request.count);
      case SyncOperation.FutexStay:
        return this.#stay(from, member, request.ticket);
      case SyncOperation.FutexHeard:
        if (this.#heard(from, request.key)) return;
        return this.#outbox.violation(from, `has heard of word ${request.key}, untold`);
      default:
        request satisfies never;
    }
  }

  /** A wait is given up: its time is over, or its thread has found the word changed. */
  cancel(from: NodeId, ticket: number): void {
    const member = this.state.members.get(from);
    const waiter = member?.requests.get(ticket);
    if (waiter?.kind !== "waiter") return;
    this.#removeWaiter(waiter);
    member!.requests.delete(ticket);
    this.#answer(from, ticket, SyncStatus.Cancelled);
    this.#advance(waiter.key);
  }

  #wait(node: NodeId, member: FutexMember, ticket: number, key: bigint): void {
    if (!this.#hasRoom(member)) return this.#answer(node, ticket, SyncStatus.LimitExceeded);
    const number = ++this.state.lastNumber;
    const waiter: FutexWaiter = { kind: "waiter", node, ticket, key, number, phase: "enrolling" };
    this.#word(key).waiters.add(waiter);
    this.#begin(member, waiter);
    this.#stir(key, [...this.state.quiet.get(key) ?? []]);
    // The directory node itself hears at once, before the call returns that tells it.
    if (this.isHeard(key)) this.#acknowledge(waiter);
  }

  #notify(node: NodeId, member: FutexMember, ticket: number, key: bigint, count: number): void {
    if (!this.#hasRoom(member)) return this.#answer(node, ticket, SyncStatus.LimitExceeded);
    const number = ++this.state.lastNumber;
    const notifier: FutexNotifier = {
      kind: "notifier",
      node,
      ticket,
      key,
      number,
      left: count,
      woken: 0,
    };
    this.#word(key).notifiers.add(notifier);
    this.#begin(member, notifier);
    this.#advance(key);
  }

  #stay(from: NodeId, { requests }: FutexMember, ticket: number): void {
    const waiter = requests.get(ticket);
    if (waiter?.kind !== "waiter" || waiter.phase !== "looking") {
      return this.#outbox.violation(from, `stays under ticket ${ticket}, and did not look`);
    }
    waiter.phase = "asleep";
    this.#advance(waiter.key);
  }

  /** A node has heard that a word is not quiet any more; `false` where it was not told. */
  #heard(node: NodeId, key: bigint): boolean {
    const { unheard, members, words } = this.state;
    if (!remove(unheard, key, node)) return false;
    members.get(node)?.quiet.delete(quietSlot(key, this.limits.quietSlots));
    if (!this.isHeard(key)) return true;
    for (const waiter of words.get(key)?.waiters ?? []) this.#acknowledge(waiter);
    return true;
  }

  /** Whether no node takes a word for quiet. */
  protected isHeard(key: bigint): boolean {
    return !this.state.unheard.has(key);
  }

  /** Whether a notify may wake a wait that stands before all others. */
  protected isBefore(waiter: FutexWaiter, notifier: FutexNotifier): boolean {
    return waiter.number < notifier.number;
  }

  /** Whether a notify has to wait until the thread of a wait has looked. */
  protected hasYetToLook(waiter: FutexWaiter): boolean {
    return waiter.phase !== "asleep";
  }

  #acknowledge(waiter: FutexWaiter): void {
    if (waiter.phase !== "enrolling") return;
    waiter.phase = "looking";
    this.#answer(waiter.node, waiter.ticket, SyncStatus.Registered);
  }

  /** Tells nodes for which a word is quiet that it is so no more. */
  #stir(key: bigint, nodes: readonly NodeId[]): void {
    const { quiet, unheard } = this.state;
    const told = nodes.filter((node) => remove(quiet, key, node));
    for (const node of told) add(unheard, key, node);
    for (const node of told) this.#answer(node, 0, SyncStatus.Stirred, 0, key);
  }

  /** Does the notifies at a word, as far as the waits before them have looked. */
  #advance(key: bigint): void {
    const word = this.state.words.get(key);
    if (word === undefined) return;
    for (const notifier of word.notifiers) {
      for (const waiter of word.waiters) {
        if (notifier.left === 0 || !this.isBefore(waiter, notifier)) break;
        if (this.hasYetToLook(waiter)) return;
        notifier.left--;
        notifier.woken++;
        this.#removeWaiter(waiter);
        this.state.members.get(waiter.node)!.requests.delete(waiter.ticket);
        this.#answer(waiter.node, waiter.ticket, SyncStatus.Done);
      }
      word.notifiers.delete(notifier);
      this.state.waiting--;
      this.#finish(notifier, word);
    }
    if (word.waiters.size === 0) this.state.words.delete(key);
  }

  /** Answers a notify that is done, if that is of use. */
  #finish({ node, ticket, key, woken }: FutexNotifier, word: FutexWord): void {
    if (node === 0) return;
    this.state.members.get(node)!.requests.delete(ticket);
    // By another link the answer might be taken behind the word that it is quiet no more.
    const isAlone = word.waiters.size === 0 && word.notifiers.size === 0 && threadOf(ticket) === 0;
    if (woken > 0 || !isAlone || !this.#hush(node, key)) {
      return this.#answer(node, ticket, SyncStatus.Notified, woken);
    }
    this.#answer(node, ticket, SyncStatus.Quiet, woken, key);
  }

  /** Makes a word quiet for a node; `false` where its slot is taken. */
  #hush(node: NodeId, key: bigint): boolean {
    const { members, quiet } = this.state;
    const slots = members.get(node)!.quiet;
    const slot = quietSlot(key, this.limits.quietSlots);
    const other = slots.get(slot);
    if (other !== undefined) {
      // The slot is free once the node has heard of that.
      if (other !== key) this.#stir(other, [node]);
      return other === key && quiet.get(key)?.has(node) === true;
    }
    slots.set(slot, key);
    add(quiet, key, node);
    return true;
  }

  #hasRoom({ requests }: FutexMember): boolean {
    const { waiting, waitingAssured } = this.limits;
    return this.state.waiting < waiting || requests.size < waitingAssured;
  }

  #begin(member: FutexMember, request: FutexWaiter | FutexNotifier): void {
    member.requests.set(request.ticket, request);
    this.state.waiting++;
  }

  #removeWaiter(waiter: FutexWaiter): void {
    const word = this.state.words.get(waiter.key)!;
    word.waiters.delete(waiter);
    this.state.waiting--;
    if (word.waiters.size + word.notifiers.size === 0) this.state.words.delete(waiter.key);
  }

  #word(key: bigint): FutexWord {
    let word = this.state.words.get(key);
    if (word === undefined) {
      word = { waiters: new Set(), notifiers: new Set() };
      this.state.words.set(key, word);
    }
    return word;
  }

  #answer(to: NodeId, ticket: number, status: SyncStatus, count = 0, key = 0n): void {
    this.#outbox.reply(to, { kind: "syncReply", ticket, status, count, key });
  }
}

function add(nodes: Map<bigint, Set<NodeId>>, key: bigint, node: NodeId): void {
  const present = nodes.get(key);
  if (present === undefined) nodes.set(key, new Set([node]));
  else present.add(node);
}

function remove(nodes: Map<bigint, Set<NodeId>>, key: bigint, node: NodeId): boolean {
  const present = nodes.get(key);
  if (present?.delete(node) !== true) return false;
  if (present.size === 0) nodes.delete(key);
  return true;
}
