/**
 * What semaphores, barriers and mutexes have in common: which nodes may ask, which requests wait
 * where under which ticket, which hold what, and the answers.
 */

import {
  BARRIER_TREE_NODES,
  BARRIER_TREE_RADIX,
  BARRIER_TREE_ROUNDS_MAX,
  BARRIER_TREE_USES_MAX,
  HEARTBEAT_MS,
  PLACE_NODES_TOLD_MAX,
  PLACES_LOOKED_MAX,
  SYNC_OBJECTS_ASSURED,
  SYNC_OBJECTS_MAX,
  SYNC_OBJECTS_NODE_MAX,
  SYNC_ORPHANS_MAX,
  SYNC_ROUNDS_MAX,
  SYNC_STUCK_MS,
  SYNC_WAITING_ASSURED,
  SYNC_WAITING_MAX,
} from "../../limits.ts";
import type { NodeId } from "../coherence/messages.ts";
import {
  type BarrierTreeMessage,
  type GatherMessage,
  type SyncReply,
  SyncStatus,
  threadOf,
} from "./messages.ts";

/** Where answers go. Calls come in the order in which each node must be told. */
export interface SyncOutbox {
  /** A request is answered. */
  reply(to: NodeId, reply: SyncReply): void;
  /** A node is told of a tree that gathers a barrier; never the directory node. */
  tell(to: NodeId, message: BarrierTreeMessage | GatherMessage): void;
  /** A node broke the protocol: nothing that it says can be believed. */
  violation(node: NodeId, reason: string): void;
  /** Every thread of every node waits, and has for a while: maybe nobody is left to end that. */
  stuck?(waits: StuckWaits): void;
}

/** The waits of a cluster in which every thread waits. */
export interface StuckWaits {
  /** The barriers at which threads wait; at least one. */
  readonly barriers: readonly StuckBarrier[];
  /** How many requests wait elsewhere: for permits and for mutexes. */
  readonly others: number;
}

/** A barrier that is not complete. */
export interface StuckBarrier {
  readonly name: string;
  readonly parties: number;
  /** The nodes of the arrivals, one for each, in order of arrival. */
  readonly arrived: readonly NodeId[];
}

/** What there is to see of a place where nodes wait. */
export interface PlaceView {
  readonly kind: "semaphore" | "barrier" | "mutex" | "word";
  /** What it is called: a name, the key of a semaphore, or the offset of a word in bytes. */
  readonly name: string;
  /** The node that has it locked; 0 where none has. */
  readonly holder: NodeId | 0;
  /** How many arrivals a barrier takes; 0 of others. */
  readonly parties: number;
  /** How many requests wait. */
  readonly count: number;
  /** The nodes of the first of them, in their order. */
  readonly waiting: readonly NodeId[];
}

/** How much is remembered at one time. */
export interface SyncLimits {
  /** The semaphores, barriers and mutexes together. */
  readonly objects: number;
  /** How many of them one node may have made. */
  readonly objectsOfNode: number;
  /** How many a node may make though there are as many as `objects`. */
  readonly objectsAssured: number;
  /** Those whose makers are gone. */
  readonly orphans: number;
  /** The barriers of which it is known which nodes took part in the last round. */
  readonly rounds: number;
  /** The nodes at a barrier up to which no tree gathers it. */
  readonly treeNodes: number;
  /** The radix of the trees. */
  readonly treeRadix: number;
  /** The rounds alike after which a barrier is gathered by a tree, however many it has lost. */
  readonly treeRounds: number;
  /** How many trees there may be, one after the other, and how many rounds each may gather. */
  readonly treeUses: number;
  /** The beats after which waits that nobody is left to end are told. */
  readonly stuckBeats: number;
  /** The requests that wait. */
  readonly waiting: number;
  /** How many requests of a node may wait though there are as many as `waiting`. */
  readonly waitingAssured: number;
}

/** The limits of a real cluster. */
export const SYNC_LIMITS: SyncLimits = {
  objects: SYNC_OBJECTS_MAX,
  objectsOfNode: SYNC_OBJECTS_NODE_MAX,
  objectsAssured: SYNC_OBJECTS_ASSURED,
  orphans: SYNC_ORPHANS_MAX,
  rounds: SYNC_ROUNDS_MAX,
  treeNodes: BARRIER_TREE_NODES,
  treeRadix: BARRIER_TREE_RADIX,
  treeRounds: BARRIER_TREE_ROUNDS_MAX,
  treeUses: BARRIER_TREE_USES_MAX,
  stuckBeats: SYNC_STUCK_MS / HEARTBEAT_MS,
  waiting: SYNC_WAITING_MAX,
  waitingAssured: SYNC_WAITING_ASSURED,
};

/** What is held under a ticket until it is given back. */
export interface Holding {
  /** It is held no longer: its holder says so, or is gone and has `abandoned` it. */
  giveBack(abandoned: boolean): void;
}

/** What a node has at the desk, by its tickets. */
interface Member {
  readonly waiting: Map<number, Waiter>;
  readonly held: Map<number, Holding>;
  /** The places that it has made and that are remembered. */
  readonly made: Set<WaitPlace>;
  /** Whether it has work of its own; a node that only serves waits for nobody by itself. */
  readonly works: boolean;
  /** How many threads of its program can ask. */
  threads: number;
}

/** The threads that may come to a place by themselves. */
export interface ThreadsAtWork {
  readonly byNode: readonly (readonly [node: NodeId, threads: number])[];
  /** Of all nodes together. */
  readonly count: number;
}

/** Where nodes ask and are answered. */
export class SyncDesk {
  readonly limits: SyncLimits;
  protected readonly members = new Map<NodeId, Member>();
  /** The places whose makers are gone and that no node has used since, longest first. */
  protected readonly orphans = new Set<WaitPlace>();
  readonly #outbox: SyncOutbox;
  #objects = 0;
  #waiting = 0;
  #held = 0;

  /**
   * @param outbox Where answers go.
   * @param limits How much is remembered.
   */
  constructor(outbox: SyncOutbox, limits: SyncLimits) {
    this.#outbox = outbox;
    this.limits = limits;
  }

  /** How many requests wait, over all nodes. */
  get waiting(): number {
    return this.#waiting;
  }

  /** How much is held, over all nodes. */
  get held(): number {
    return this.#held;
  }

  /** How many places are remembered whose makers are gone. */
  get orphaned(): number {
    return this.orphans.size;
  }

  /** How many places are remembered that a node has made, or has taken over. */
  madeBy(node: NodeId): number {
    return this.members.get(node)?.made.size ?? 0;
  }

  /** Lets a node ask. */
  admit(node: NodeId, works: boolean): void {
    const [waiting, held, made] = [new Map(), new Map(), new Set<WaitPlace>()];
    this.members.set(node, { waiting, held, made, works, threads: 1 });
  }

  /** Whether a node may ask, and has work of its own. */
  works(node: NodeId): boolean {
    return this.members.get(node)?.works === true;
  }

  /** Takes note of how many threads of a node can ask. */
  setThreads(node: NodeId, threads: number): void {
    const member = this.members.get(node);
    if (member !== undefined) member.threads = threads;
  }

  /** Whether a node may ask. */
  serves(node: NodeId): boolean {
    return this.members.has(node);
  }

  /** Whether a ticket cannot name a new request, since it still names another. */
  isTaken(node: NodeId, ticket: number): boolean {
    const member = this.members.get(node)!;
    return member.waiting.has(ticket) || member.held.has(ticket);
  }

  /** A node broke the protocol. */
  violation(node: NodeId, reason: string): void {
    this.#outbox.violation(node, reason);
  }

  /** Tells a node of a tree, unless the node is gone. */
  tell(to: NodeId, message: BarrierTreeMessage | GatherMessage): void {
    if (this.members.has(to)) this.#outbox.tell(to, message);
  }

  /** Answers a request that does not wait. */
  reply(to: NodeId, ticket: number, status: SyncStatus, count = 0, key = 0n): void {
    this.#outbox.reply(to, { kind: "syncReply", ticket, status, count, key });
  }

  /**
   * Lets a request wait, or answers that there is no room: `place` is undefined where it found
   * none.
   */
  wait(node: NodeId, ticket: number, place: WaitPlace | undefined): void {
    const member = this.members.get(node)!;
    const { waiting, waitingAssured } = this.limits;
    const full = this.#waiting >= waiting && member.waiting.size >= waitingAssured;
    if (place === undefined || full) {
      this.reply(node, ticket, SyncStatus.LimitExceeded);
      place?.settle();
      return;
    }
    const waiter = new Waiter(node, ticket, place);
    member.waiting.set(ticket, waiter);
    place.waiting.push(waiter);
    this.#waiting++;
  }

  /** A request waits no longer. Its place is to settle afterwards. */
  release(waiter: Waiter): void {
    waiter.place.waiting.remove(waiter);
    this.members.get(waiter.node)!.waiting.delete(waiter.ticket);
    this.#waiting--;
  }

  /** Answers a request that waited, and still waits. */
  serve(waiter: Waiter, status: SyncStatus, count = 0): void {
    this.release(waiter);
    this.reply(waiter.node, waiter.ticket, status, count);
  }

  /** Notes what a node holds under a ticket. */
  hold(node: NodeId, ticket: number, holding: Holding): void {
    this.members.get(node)!.held.set(ticket, holding);
    this.#held++;
  }

  /** Takes back what a node holds under a ticket; `undefined` where that is nothing. */
  takeBack(node: NodeId, ticket: number): Holding | undefined {
    const { held } = this.members.get(node)!;
    const holding = held.get(ticket);
    if (held.delete(ticket)) this.#held--;
    return holding;
  }

  /** A node waits no longer for what it has asked for under a ticket, if it does. */
  cancel(node: NodeId, ticket: number): void {
    const waiter = this.members.get(node)!.waiting.get(ticket);
    if (waiter === undefined) return;
    this.serve(waiter, SyncStatus.Cancelled);
    waiter.place.settle();
  }

  /** Whether a node may make another place. */
  hasRoom(node: NodeId): boolean {
    const { made } = this.members.get(node)!;
    const { objects, objectsOfNode, objectsAssured } = this.limits;
    if (made.size < objectsAssured) return true;
    return made.size < objectsOfNode && this.#objects < objects;
  }

  /**
   * A place is remembered from here on.
   *
   * @param place The place.
   * @param maker The node that has made it.
   * @returns All that the node has made.
   */
  remember(place: WaitPlace, maker: NodeId): Set<WaitPlace> {
    this.#objects++;
    return this.members.get(maker)!.made.add(place);
  }

  /** A place is remembered no longer. */
  forget(): void {
    this.#objects--;
  }

  /**
   * A node uses a place: where the place's maker is gone, the place is that node's from here on.
   */
  use(place: WaitPlace, node: NodeId): void {
    if (place.account === this.orphans) place.charge(this.members.get(node)!.made);
  }

  /** The threads of the nodes that have work of their own. */
  threadsAtWork(): ThreadsAtWork {
    const working = [...this.members].filter(([, { works }]) => works);
    return {
      byNode: working.map(([node, { threads }]) => [node, threads]),
      count: working.reduce((sum, [, { threads }]) => sum + threads, 0),
    };
  }

  /**
   * Whether every node with work of its own waits at a place, with each of its threads.
   *
   * @param place The place.
   * @param working What {@linkcode SyncDesk.threadsAtWork} says; the caller asks once for many
   *   places.
   */
  isEverybodyAt(place: WaitPlace, { byNode, count }: ThreadsAtWork): boolean {
    // So it is at nearly every place, and there may be tens of thousands.
    if (place.waiting.length < count) return false;
    const counts = new Map<NodeId, number>();
    for (let waiter = place.waiting.first; waiter !== undefined; waiter = waiter.next) {
      counts.set(waiter.node, (counts.get(waiter.node) ?? 0) + 1);
    }
    return byNode.length > 0 &&
      byNode.every(([node, threads]) => (counts.get(node) ?? 0) >= threads);
  }

  /** Whether every node with work of its own waits with each of its threads, wherever that is. */
  doAllWait(): boolean {
    const working = [...this.members.values()].filter(({ works }) => works);
    return working.length > 0 && working.every(({ waiting, threads }) => waiting.size >= threads);
  }

  /** The places where requests wait, and those that are held, as far as so many show them. */
  places(looked: number = PLACES_LOOKED_MAX): Set<WaitPlace> {
    const places = new Set<WaitPlace>();
    let [waits, locks] = [0, 0];
    for (const { waiting, held } of this.members.values()) {
      for (const { place } of waiting.values()) {
        if (++waits > looked) break;
        places.add(place);
      }
      for (const holding of held.values()) {
        if (++locks > looked) break;
        if (holding instanceof WaitPlace) places.add(holding);
      }
    }
    return places;
  }

  /** Tells of waits that nobody may be left to end. */
  stuck(barriers: readonly StuckBarrier[]): void {
    const arrived = barriers.reduce((sum, barrier) => sum + barrier.arrived.length, 0);
    this.#outbox.stuck?.({ barriers, others: this.#waiting - arrived });
  }

  /**
   * A thread of a node has ended that had a link of its own: it loses its places, and what it held
   * goes to others.
   */
  dismissThread(node: NodeId, thread: number): void {
    const { waiting, held } = this.members.get(node)!;
    for (const waiter of [...waiting.values()]) {
      if (threadOf(waiter.ticket) !== thread) continue;
      this.release(waiter);
      waiter.place.settle();
    }
    for (const ticket of [...held.keys()]) {
      if (threadOf(ticket) === thread) this.takeBack(node, ticket)!.giveBack(true);
    }
  }

  /** A node is gone: it loses its places, and what it held or had made goes to others. */
  dismiss(node: NodeId): void {
    const member = this.members.get(node);
    if (member === undefined) return;
    // Its places first: what it held must not be given to itself.
    for (const waiter of [...member.waiting.values()]) {
      this.release(waiter);
      waiter.place.settle();
    }
    this.members.delete(node);
    this.#held -= member.held.size;
    for (const holding of member.held.values()) holding.giveBack(true);
    for (const place of member.made) this.bequeath(place);
  }

  /** Gives a place whose maker is gone to a node that waits there or holds it, if there is one. */
  protected bequeath(place: WaitPlace): void {
    const { user } = place;
    place.charge(user === undefined ? this.orphans : this.members.get(user)!.made);
    const [oldest] = this.orphans;
    if (this.orphans.size > this.limits.orphans) oldest!.forget();
  }
}

/** Where nodes wait: a semaphore, a barrier or a mutex. */
export abstract class WaitPlace<Key = unknown> {
  /** The requests that wait here. */
  readonly waiting = new WaitQueue();
  /** What it is called. */
  readonly key: Key;
  readonly #places: Map<Key, WaitPlace<Key>>;
  readonly #desk: SyncDesk;
  #account: Set<WaitPlace>;

  /**
   * @param key What it is called.
   * @param places Where it is remembered.
   * @param desk The desk, which has room for it.
   * @param maker The node whose request makes it.
   */
  constructor(key: Key, places: Map<Key, WaitPlace<Key>>, desk: SyncDesk, maker: NodeId) {
    this.key = key;
    this.#places = places;
    this.#desk = desk;
    this.#account = desk.remember(this, maker);
    places.set(key, this);
  }

  /** What kind of place it is, and what it is called. */
  protected abstract readonly label: Pick<PlaceView, "kind" | "name">;

  /** How many arrivals it takes; 0 where it is no barrier. */
  get parties(): number {
    return 0;
  }

  /** The node that has it locked. */
  get lockedBy(): NodeId | undefined {
    return undefined;
  }

  /** What there is to see of it. */
  get view(): PlaceView {
    const waiting: NodeId[] = [];
    let waiter = this.waiting.first;
    for (; waiter !== undefined && waiting.length < PLACE_NODES_TOLD_MAX; waiter = waiter.next) {
      waiting.push(waiter.node);
    }
    const { label, lockedBy: holder = 0, parties, waiting: { length: count } } = this;
    return { ...label, holder, parties, count, waiting };
  }

  /** Whether it is as good as new while no request waits. */
  protected abstract get isIdle(): boolean;

  /** A node that waits here or holds it; `undefined` where there is none. */
  get user(): NodeId | undefined {
    return this.waiting.first?.node;
  }

  /** Where it is counted: what its maker has made, or what has no maker any more. */
  get account(): ReadonlySet<WaitPlace> {
    return this.#account;
  }

  /** Is counted somewhere else from here on. */
  charge(account: Set<WaitPlace>): void {
    this.#account.delete(this);
    this.#account = account.add(this);
  }

  /** Is forgotten once there is nothing to remember. */
  settle(): void {
    if (this.waiting.length === 0 && this.isIdle) this.forget();
  }

  /**
   * Is forgotten, and as good as new for the next request; it is remembered, and none waits here.
   */
  forget(): void {
    if (!this.#account.delete(this)) return;
    this.#places.delete(this.key);
    this.#desk.forget();
  }
}

/** A request that waits. */
export class Waiter {
  next: Waiter | undefined;
  previous: Waiter | undefined;

  /**
   * @param node The node whose request waits.
   * @param ticket Its number for the request.
   * @param place Where it waits.
   */
  constructor(readonly node: NodeId, readonly ticket: number, readonly place: WaitPlace) {}
}

/** A queue of requests. */
class WaitQueue {
  #first: Waiter | undefined;
  #last: Waiter | undefined;
  #length = 0;

  /** How many wait. */
  get length(): number {
    return this.#length;
  }

  /** The one that came first; `undefined` where none waits. */
  get first(): Waiter | undefined {
    return this.#first;
  }

  /** Puts a request that is in no queue behind all others. */
  push(waiter: Waiter): void {
    waiter.previous = this.#last;
    if (this.#last === undefined) this.#first = waiter;
    else this.#last.next = waiter;
    this.#last = waiter;
    this.#length++;
  }

  /** Takes out a request that is in this queue. */
  remove(waiter: Waiter): void {
    const { previous, next } = waiter;
    if (previous === undefined) this.#first = next;
    else previous.next = next;
    if (next === undefined) this.#last = previous;
    else next.previous = previous;
    waiter.previous = waiter.next = undefined;
    this.#length--;
  }
}
