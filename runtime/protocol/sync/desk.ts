/**
 * What semaphores, barriers and mutexes have in common: which nodes may ask, which requests wait
 * where under which ticket, which hold what, and the answers.
 */

import { SYNC_OBJECTS_MAX, SYNC_WAITING_MAX } from "../../limits.ts";
import type { NodeId } from "../coherence/messages.ts";
import { type SyncReply, SyncStatus } from "./messages.ts";

/** Where answers go. Calls come in the order in which each node must be told. */
export interface SyncOutbox {
  /** A request is answered. */
  reply(to: NodeId, reply: SyncReply): void;
  /** A node broke the protocol: nothing that it says can be believed. */
  violation(node: NodeId, reason: string): void;
}

/** How much is remembered at one time. */
export interface SyncLimits {
  /** The semaphores, the barriers and the mutexes, of each sort. */
  readonly objects: number;
  /** The requests that wait. */
  readonly waiting: number;
}

/** The limits of a real cluster. */
export const SYNC_LIMITS: SyncLimits = { objects: SYNC_OBJECTS_MAX, waiting: SYNC_WAITING_MAX };

/** What is held under a ticket until it is given back. */
export interface Holding {
  /** It is held no longer: its holder says so, or is gone and has `abandoned` it. */
  giveBack(abandoned: boolean): void;
}

/** What a node has at the desk, by its tickets. */
interface Member {
  readonly waiting: Map<number, Waiter>;
  readonly held: Map<number, Holding>;
}

/** Where nodes ask and are answered. */
export class SyncDesk {
  readonly limits: SyncLimits;
  protected readonly members = new Map<NodeId, Member>();
  readonly #outbox: SyncOutbox;
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

  /** Lets a node ask. */
  admit(node: NodeId): void {
    this.members.set(node, { waiting: new Map(), held: new Map() });
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

  /** Answers a request that does not wait. */
  reply(to: NodeId, ticket: number, status: SyncStatus, parties = 0, key = 0n): void {
    this.#outbox.reply(to, { kind: "syncReply", ticket, status, parties, key });
  }

  /** Lets a request wait, or answers that there is no room: `place` is undefined where it found none. */
  wait(node: NodeId, ticket: number, place: WaitPlace | undefined): void {
    if (place === undefined || this.#waiting === this.limits.waiting) {
      this.reply(node, ticket, SyncStatus.LimitExceeded);
      place?.settle();
      return;
    }
    const waiter = new Waiter(node, ticket, place);
    this.members.get(node)!.waiting.set(ticket, waiter);
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
  serve(waiter: Waiter, status: SyncStatus, parties = 0): void {
    this.release(waiter);
    this.reply(waiter.node, waiter.ticket, status, parties);
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

  /** A node is gone: it loses its places, and what it held goes to others. */
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
  }
}

/** Where nodes wait: a semaphore, a barrier or a mutex. */
export abstract class WaitPlace<Key = unknown> {
  /** The requests that wait here. */
  readonly waiting = new WaitQueue();
  readonly #key: Key;
  readonly #places: Map<Key, WaitPlace<Key>>;

  /**
   * @param key What it is called.
   * @param places Where it is remembered.
   */
  constructor(key: Key, places: Map<Key, WaitPlace<Key>>) {
    this.#key = key;
    this.#places = places;
    places.set(key, this);
  }

  /** Whether it is as good as new while no request waits. */
  protected abstract get isIdle(): boolean;

  /** Is forgotten once there is nothing to remember. */
  settle(): void {
    if (this.waiting.length === 0 && this.isIdle) this.#places.delete(this.#key);
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
