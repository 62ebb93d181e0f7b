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
 *
 * A word that one node has used for a while is _lent_ to that node, with the waits that it has
 * there: its requests are served there, without a message, by a desk of this same class
 * (`lent_words.ts`). When another node asks, the desk wants the word back, and holds what is asked
 * until it has the waits again.
 */

import {
  FUTEX_LEND_AFTER,
  FUTEX_LEND_AFTER_MAX,
  FUTEX_LENT_WAITS_MAX,
  FUTEX_QUIET_SLOTS,
  FUTEX_RUNS_MAX,
  PLACE_NODES_TOLD_MAX,
  PLACES_LOOKED_MAX,
  SYNC_WAITING_ASSURED,
  SYNC_WAITING_MAX,
} from "../../limits.ts";
import { DIRECTORY_NODE, type NodeId } from "../coherence/messages.ts";
import type { PlaceView } from "./desk.ts";
import {
  type FutexRequest,
  SyncOperation,
  type SyncReply,
  SyncStatus,
  threadOf,
} from "./messages.ts";

/** The bytes of the smallest word that a thread can wait for. */
const WORD_BYTES = 4;

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
  /**
   * The words that may be quiet for a node, or lent to it, at one time, each in a slot that its
   * number chooses.
   */
  readonly quietSlots: number;
  /** After how many requests of one node in a row a word is lent to it; `Infinity` for never. */
  readonly lendAfter: number;
  /** The most that it can become: it is doubled each time the word is wanted back. */
  readonly lendAfterMax: number;
  /** The waits for a word with which it is lent, and that a node serves there. */
  readonly lentWaits: number;
  /** Of how many words at most it is known which node has used them last. */
  readonly runs: number;
}

/** The limits of a real cluster. */
export const FUTEX_LIMITS: FutexLimits = {
  waiting: SYNC_WAITING_MAX,
  waitingAssured: SYNC_WAITING_ASSURED,
  quietSlots: FUTEX_QUIET_SLOTS,
  lendAfter: FUTEX_LEND_AFTER,
  lendAfterMax: FUTEX_LEND_AFTER_MAX,
  lentWaits: FUTEX_LENT_WAITS_MAX,
  runs: FUTEX_RUNS_MAX,
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
  /**
   * What has come since the word is wanted back from the node that has it, in its order: it counts
   * as coming once that node has given the word back.
   */
  readonly held: Set<FutexWaiter | FutexNotifier>;
}

/** The requests about a word that one node has made in a row. */
interface FutexRun {
  readonly node: NodeId;
  readonly count: number;
  /** How many it takes until the word is lent. */
  readonly needed: number;
}

/** What a node has at the desk. */
interface FutexMember {
  readonly requests: Map<number, FutexWaiter | FutexNotifier>;
  /** The words that are quiet for it or lent to it, or were until it hears otherwise, by slots. */
  readonly quiet: Map<number, bigint>;
}

/** All that the desk remembers. */
export interface FutexState {
  readonly members: Map<NodeId, FutexMember>;
  readonly words: Map<bigint, FutexWord>;
  /** The nodes for which a word is quiet. */
  readonly quiet: Map<bigint, Set<NodeId>>;
  /**
   * The nodes that have been told that a word is not quiet any more, or wanted back, and have yet
   * to answer.
   */
  readonly unheard: Map<bigint, Set<NodeId>>;
  /** The node that has a word, also where the word is wanted back. */
  readonly lent: Map<bigint, NodeId>;
  /**
   * Of the words that were asked about last; those of `old` have to be asked about again to stay.
   * One map in the order of use would be slow: V8 passes over all that was deleted at its front.
   */
  readonly runs: { young: Map<bigint, FutexRun>; old: Map<bigint, FutexRun> };
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
    lent: new Map(),
    runs: { young: new Map(), old: new Map() },
    waiting: 0,
    lastNumber: 0,
  };
}

/**
 * The slot of a word among those that are quiet for a node, or lent to it: the sum of the bytes of
 * its number, so that words at the same place of each page, or of each line, have different ones.
 * With 256 slots, the number without its lowest byte and the slot name the word.
 *
 * @param key The word's first byte in the region.
 * @param slots How many slots there are.
 * @returns The slot, from 0.
 */
export function quietSlot(key: bigint | number, slots: number = FUTEX_QUIET_SLOTS): number {
  const word = Number(key) / WORD_BYTES;
  // Of a region's up to 38 bits these are 32, and the others.
  const low = word | 0;
  const high = word / 2 ** 32 | 0;
  return (low + (low >>> 8) + (low >>> 16) + (low >>> 24) + high & 0xff) % slots;
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

  /**
   * A node is gone: it waits for nothing, what it was to hear it need not hear, and the words that
   * were lent to it had no waits but its own.
   */
  peerGone(node: NodeId): void {
    const { members, quiet } = this.state;
    const member = members.get(node);
    if (member === undefined) return;
    members.delete(node);
    const touched = this.#giveUp([...member.requests.values()]);
    for (const key of member.quiet.values()) {
      if (remove(quiet, key, node) || this.#heard(node, key)) continue;
      this.state.lent.delete(key);
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

  /** The waits for a word. */
  waitersAt(key: bigint): number {
    return this.state.words.get(key)?.waiters.size ?? 0;
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
      case SyncOperation.FutexMoved:
        return this.#moved(from, request.ticket, request.key);
      case SyncOperation.FutexHeard:
        if (this.#heard(from, request.key)) return;
        return this.#outbox.violation(from, `has heard of word ${request.key}, untold`);
      case SyncOperation.FutexReturn:
        if (this.state.lent.get(request.key) === from) return this.#wantBack(request.key);
        return this.#outbox.violation(from, `returns word ${request.key}, and has it not`);
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
    this.#countRun(node, key);
    if (this.#lend(node, member, ticket, key)) return;
    if (!this.#hasRoom(member)) return this.#answer(node, ticket, SyncStatus.LimitExceeded);
    const number = ++this.state.lastNumber;
    const waiter: FutexWaiter = { kind: "waiter", node, ticket, key, number, phase: "enrolling" };
    this.#begin(member, waiter);
    if (!this.isHeld(waiter)) return this.#enrol(waiter);
    this.#hold(waiter);
  }

  /** Registers a wait, and acknowledges it once no node takes the word for quiet. */
  #enrol(waiter: FutexWaiter): void {
    const { key } = waiter;
    this.#word(key).waiters.add(waiter);
    this.#stir(key, [...this.state.quiet.get(key) ?? []]);
    // The directory node itself hears at once, before the call returns that tells it.
    if (this.isHeard(key)) this.#acknowledge(waiter);
  }

  #notify(node: NodeId, member: FutexMember, ticket: number, key: bigint, count: number): void {
    this.#countRun(node, key);
    if (this.mayComeBack(ticket) && this.#lend(node, member, ticket, key)) return;
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
    this.#begin(member, notifier);
    if (this.isHeld(notifier)) return this.#hold(notifier);
    this.#word(key).notifiers.add(notifier);
    this.#advance(key);
  }

  /**
   * Has a node serve its own request, where it has the word or is lent it now, also where a
   * thread's own link has brought the request; `false` where this desk serves it.
   */
  #lend(node: NodeId, member: FutexMember, ticket: number, key: bigint): boolean {
    const { lent, words } = this.state;
    const thread = threadOf(ticket);
    // It has not read that it has the word, or the thread has not seen that.
    const isThere = lent.get(key) === node && !this.state.unheard.has(key);
    if (!isThere) {
      if (!this.#mayLend(node, key) || !this.#takeSlot(node, member, key)) return false;
      // Ahead of the word: then the node serves nothing there before it has all waits.
      for (const waiter of [...words.get(key)?.waiters ?? []]) {
        this.#removeWaiter(waiter);
        member.requests.delete(waiter.ticket);
        this.#answer(node, waiter.ticket, SyncStatus.Moved, 0, key);
      }
      remove(this.state.quiet, key, node);
      lent.set(key, node);
      // Then the other threads of the node see it as soon as can be.
      if (thread !== 0) this.#answer(node, 0, SyncStatus.Lent, 0, key);
    }
    this.#answer(node, ticket, SyncStatus.Lent, 0, key);
    return true;
  }

  /** Takes note of who asks about a word. */
  #countRun(node: NodeId, key: bigint): void {
    const { lendAfter } = this.limits;
    if (lendAfter === Infinity) return;
    const before = this.#runOf(key);
    const needed = before?.needed ?? lendAfter;
    const count = before?.node === node ? Math.min(before.count + 1, needed) : 1;
    this.#setRun(key, { node, count, needed });
  }

  #runOf(key: bigint): FutexRun | undefined {
    const { young, old } = this.state.runs;
    return young.get(key) ?? old.get(key);
  }

  #setRun(key: bigint, run: FutexRun): void {
    const { runs } = this.state;
    runs.young.set(key, run);
    if (runs.young.size < this.limits.runs / 2) return;
    runs.old = runs.young;
    runs.young = new Map();
  }

  /** Whether nobody but a node has to do with a word, and all that it has there can be moved. */
  #mayLend(node: NodeId, key: bigint): boolean {
    const { lent, words } = this.state;
    const run = this.#runOf(key);
    if (run === undefined || run.count < run.needed) return false;
    // Requests of the directory node's own threads cost no message here.
    if (node === DIRECTORY_NODE || lent.has(key) || this.isQuietElsewhere(node, key)) return false;
    // What a node has moved back has a place here, whatever there is.
    if (this.state.waiting >= this.limits.waiting) return false;
    const word = words.get(key);
    if (word === undefined) return true;
    const { waiters, notifiers } = word;
    return notifiers.size === 0 && waiters.size < this.limits.lentWaits &&
      waiters.values().every((waiter) => this.mayMove(node, waiter));
  }

  /**
   * Whether a notify may be served by its node: a thread that notifies by its own link may go on,
   * and read the answer much later.
   */
  protected mayComeBack(ticket: number): boolean {
    return threadOf(ticket) === 0;
  }

  /** Whether a node but this one takes a word for quiet, or has yet to hear that it is not. */
  protected isQuietElsewhere(node: NodeId, key: bigint): boolean {
    const { quiet, unheard } = this.state;
    return unheard.has(key) || quiet.get(key)?.values().some((other) => other !== node) === true;
  }

  /** Whether a wait can go on at a node: its engine knows only what its own link has brought. */
  protected mayMove(node: NodeId, waiter: FutexWaiter): boolean {
    return waiter.node === node && waiter.phase === "asleep" && threadOf(waiter.ticket) === 0;
  }

  /** Whether a request has to wait until a node has given its word back. */
  protected isHeld({ key }: FutexWaiter | FutexNotifier): boolean {
    return this.state.lent.has(key);
  }

  #hold(request: FutexWaiter | FutexNotifier): void {
    this.#word(request.key).held.add(request);
    this.#wantBack(request.key);
  }

  /** Asks the node that has a word to give it back; it is not lent again for twice as long. */
  #wantBack(key: bigint): void {
    const { lent, unheard } = this.state;
    if (unheard.has(key)) return;
    const run = this.#runOf(key);
    if (run !== undefined) {
      const needed = Math.min(run.needed * 2, this.limits.lendAfterMax);
      this.#setRun(key, { ...run, count: Math.min(run.count, 1), needed });
    }
    const node = lent.get(key)!;
    add(unheard, key, node);
    this.#answer(node, 0, SyncStatus.Stirred, 0, key);
  }

  /** A node that gives a word back hands over a wait: its thread has looked, and sleeps. */
  #moved(from: NodeId, ticket: number, key: bigint): void {
    const { lent, unheard } = this.state;
    if (lent.get(key) !== from || unheard.get(key)?.has(from) !== true) {
      return this.#outbox.violation(from, `moves a wait for word ${key}, unasked`);
    }
    if (this.waitersAt(key) >= this.limits.lentWaits) {
      return this.#outbox.violation(from, `moves more waits for word ${key} than it may have`);
    }
    this.adopt(from, ticket, key);
  }

  /**
   * Takes a wait over whose thread sleeps: it has come before all that has come here.
   *
   * @param node The node of the thread; it is known here.
   * @param ticket Its number for the wait.
   * @param key The word.
   */
  adopt(node: NodeId, ticket: number, key: bigint): void {
    const waiter: FutexWaiter = { kind: "waiter", node, ticket, key, number: 0, phase: "asleep" };
    this.#begin(this.state.members.get(node)!, waiter);
    this.#word(key).waiters.add(waiter);
  }

  /**
   * Gives all waits for a word away, once no notify is under way there and every thread has looked.
   *
   * @param key The word.
   * @returns Their tickets, in order; `undefined` where that is not so yet.
   */
  giveAway(key: bigint): number[] | undefined {
    const { members, words, quiet } = this.state;
    const word = words.get(key);
    if (word !== undefined && !this.isSettled(word.waiters, word.notifiers.size)) return undefined;
    const waiters = [...word?.waiters ?? []];
    for (const waiter of waiters) {
      this.#removeWaiter(waiter);
      members.get(waiter.node)!.requests.delete(waiter.ticket);
    }
    for (const node of quiet.get(key) ?? []) {
      members.get(node)!.quiet.delete(quietSlot(key, this.limits.quietSlots));
    }
    quiet.delete(key);
    return waiters.map(({ ticket }) => ticket);
  }

  /** Whether what there is at a word can be moved. */
  protected isSettled(waiters: ReadonlySet<FutexWaiter>, notifiers: number): boolean {
    return notifiers === 0 && waiters.values().every(({ phase }) => phase === "asleep");
  }

  #stay(from: NodeId, { requests }: FutexMember, ticket: number): void {
    const waiter = requests.get(ticket);
    if (waiter?.kind !== "waiter" || waiter.phase !== "looking") {
      return this.#outbox.violation(from, `stays under ticket ${ticket}, and did not look`);
    }
    waiter.phase = "asleep";
    this.#advance(waiter.key);
  }

  /** A node has heard that a word is not quiet, or has given it back; `false` if untold. */
  #heard(node: NodeId, key: bigint): boolean {
    const { unheard, members, lent, words } = this.state;
    if (!remove(unheard, key, node)) return false;
    members.get(node)?.quiet.delete(quietSlot(key, this.limits.quietSlots));
    if (!this.isHeard(key)) return true;
    const word = words.get(key);
    for (const waiter of word?.waiters ?? []) this.#acknowledge(waiter);
    if (lent.delete(key) && word !== undefined) this.#letIn(key, word);
    return true;
  }

  /** What was held comes now, behind the waits that the word has been given back with. */
  #letIn(key: bigint, word: FutexWord): void {
    const held = [...word.held];
    word.held.clear();
    for (const request of held) {
      if (request.kind === "waiter") this.#enrol(request);
      else word.notifiers.add(request);
    }
    this.#advance(key);
  }

  /** Whether every node has heard, or given back, that was told of a word. */
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
    this.#tidy(key, word);
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
    const { members, quiet, unheard } = this.state;
    if (unheard.get(key)?.has(node) === true) return false;
    if (!this.#takeSlot(node, members.get(node)!, key)) return false;
    add(quiet, key, node);
    return true;
  }

  /** Has the slot of a word for it; `false` where another has it, which has to be vacated first. */
  #takeSlot(node: NodeId, { quiet: slots }: FutexMember, key: bigint): boolean {
    const slot = quietSlot(key, this.limits.quietSlots);
    const other = slots.get(slot);
    if (other !== undefined && other !== key) {
      // The slot is free once the node has heard of that.
      if (this.state.lent.get(other) === node) this.#wantBack(other);
      else this.#stir(other, [node]);
      return false;
    }
    slots.set(slot, key);
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
    if (!word.waiters.delete(waiter)) word.held.delete(waiter);
    this.state.waiting--;
    this.#tidy(waiter.key, word);
  }

  #tidy(key: bigint, { waiters, notifiers, held }: FutexWord): void {
    if (waiters.size + notifiers.size + held.size === 0) this.state.words.delete(key);
  }

  #word(key: bigint): FutexWord {
    let word = this.state.words.get(key);
    if (word === undefined) {
      word = { waiters: new Set(), notifiers: new Set(), held: new Set() };
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
