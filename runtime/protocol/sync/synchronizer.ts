/**
 * Semaphores, barriers, mutexes and waits for words of a cluster, at the directory node: a pure
 * state machine, with requests going in and answers coming out. Everything is first come, first
 * served, in the order in which requests arrive here. What is idle is forgotten, so memory is in
 * proportion to what is in use, and bounded by {@linkcode SyncLimits}.
 */

import { PLACES_TOLD_MAX } from "../../limits.ts";
import { Barriers } from "./barriers.ts";
import type { NodeId } from "../coherence/messages.ts";
import { FutexDesk } from "./futexes.ts";
import { Mutexes } from "./mutexes.ts";
import { Semaphores } from "./semaphores.ts";
import { type PlaceView, SYNC_LIMITS, SyncDesk, type SyncLimits, type SyncOutbox } from "./desk.ts";
import { type GatherMessage, SyncOperation, type SyncRequest } from "./messages.ts";

/** The parts that a synchronizer is made of. Tests put faulty ones in. */
export interface SyncParts {
  readonly SyncDesk: typeof SyncDesk;
  readonly Semaphores: typeof Semaphores;
  readonly Barriers: typeof Barriers;
  readonly Mutexes: typeof Mutexes;
}

/** Parts without a fault. */
export const SYNC_PARTS: SyncParts = { SyncDesk, Semaphores, Barriers, Mutexes };

/** How much is remembered; all zero where nothing is in use. */
export interface SyncUsage {
  /** Semaphores with permits, or at which a thread waits. */
  readonly semaphores: number;
  /** Barriers at which a thread waits. */
  readonly barriers: number;
  /** Mutexes that are locked, or abandoned. */
  readonly mutexes: number;
  /** Requests that wait, those for words among them. */
  readonly waiting: number;
  /** Mutexes that are locked. */
  readonly held: number;
  /** Semaphores and mutexes whose makers are gone, and that no node has used since. */
  readonly orphans: number;
}

/** What threads of a cluster synchronise by. */
export class Synchronizer {
  readonly #desk: SyncDesk;
  readonly #semaphores: Semaphores;
  readonly #barriers: Barriers;
  readonly #mutexes: Mutexes;
  readonly #futexes: FutexDesk;
  /** The last node with work of its own that has died. */
  #died: NodeId | undefined;
  /** The beats since which every thread waits, and no node has come, gone or asked for anything. */
  #stillBeats = 0;

  /**
   * @param outbox Where answers go.
   * @param limits How much is remembered at one time.
   * @param parts What to make it of.
   */
  constructor(outbox: SyncOutbox, limits: SyncLimits = SYNC_LIMITS, parts: SyncParts = SYNC_PARTS) {
    this.#desk = new parts.SyncDesk(outbox, limits);
    this.#semaphores = new parts.Semaphores(this.#desk);
    this.#barriers = new parts.Barriers(this.#desk);
    this.#mutexes = new parts.Mutexes(this.#desk);
    this.#futexes = new FutexDesk(outbox);
  }

  /** How much is remembered. */
  get usage(): SyncUsage {
    return {
      semaphores: this.#semaphores.size,
      barriers: this.#barriers.size,
      mutexes: this.#mutexes.size,
      waiting: this.#desk.waiting + this.#futexes.waiting,
      held: this.#desk.held,
      orphans: this.#desk.orphaned,
    };
  }

  /** What there is to see of the places where most requests wait, and of those that are held. */
  get places(): PlaceView[] {
    const views = [...this.#desk.places()].map(({ view }) => view);
    return [...views, ...this.#futexes.views()]
      .sort((one, other) => other.count - one.count).slice(0, PLACES_TOLD_MAX);
  }

  /** The permits of a semaphore; for checks and statistics. */
  permits(key: bigint): number {
    return this.#semaphores.count(key);
  }

  /** How many semaphores, barriers and mutexes are remembered that a node has made; for checks. */
  madeBy(node: NodeId): number {
    return this.#desk.madeBy(node);
  }

  /**
   * A node has joined; the directory's own too.
   *
   * @param node The node.
   * @param works Whether it has work of its own; `false` for a node that only serves.
   */
  peerJoined(node: NodeId, works = true): void {
    this.#stillBeats = 0;
    this.#desk.admit(node, works);
    this.#futexes.peerJoined(node);
  }

  /**
   * A node has died. It loses its places in every queue and the mutexes that it holds; permits that
   * it has acquired are not given back. Nodes that wait for it at a barrier are told.
   */
  peerLost(node: NodeId): void {
    if (this.#desk.works(node)) this.#died = node;
    this.peerLeft(node);
    this.peerGone(node);
  }

  /**
   * A node leaves, and so asks for nothing from here on: it loses its places and mutexes. Nodes
   * that wait for it at a barrier are told once it has left. They may end over that, and it may
   * need them until then.
   */
  peerLeft(node: NodeId): void {
    if (!this.#desk.serves(node)) return;
    this.#stillBeats = 0;
    this.#desk.dismiss(node);
    this.#barriers.peerLeft(node);
    this.#futexes.peerGone(node);
  }

  /** A node that was leaving has left: nodes that wait for it at a barrier are told. */
  peerGone(node: NodeId): void {
    this.#stillBeats = 0;
    this.#barriers.peerGone(node);
  }

  /**
   * The link of a thread has ended, and so has what the thread asked for by it: it loses its places
   * in every queue, and the mutexes that it holds are abandoned.
   *
   * @param node The thread's node.
   * @param thread The node's number of the thread, as `threadOf` has it.
   */
  threadGone(node: NodeId, thread: number): void {
    if (!this.#desk.serves(node)) return;
    this.#stillBeats = 0;
    this.#desk.dismissThread(node, thread);
    this.#futexes.threadGone(node, thread);
  }

  /** Takes note of how many threads of a node can ask. */
  setThreads(node: NodeId, threads: number): void {
    this.#desk.setThreads(node, threads);
  }

  /** Time passes; to be called at intervals in which each node tells how many threads it has. */
  beat(): void {
    if (this.#died !== undefined) this.#barriers.doubt(this.#died);
    if (this.#barriers.size === 0 || !this.#desk.doAllWait()) this.#stillBeats = 0;
    else if (++this.#stillBeats === this.#desk.limits.stuckBeats) {
      this.#desk.stuck(this.#barriers.incomplete);
    }
  }

  /** A node of a tree that gathers a barrier says something to the tree's root. */
  gather(from: NodeId, message: GatherMessage): void {
    if (!this.#desk.serves(from)) return;
    this.#stillBeats = 0;
    this.#barriers.gather(from, message);
  }

  /**
   * A node asks. What comes from one that is gone is dropped.
   *
   * @param from The node.
   * @param request What it asks, with the bounds that `sync_frames.ts` checks.
   */
  request(from: NodeId, request: SyncRequest): void {
    if (!this.#desk.serves(from)) return;
    this.#stillBeats = 0;
    const { ticket } = request;
    switch (request.operation) {
      case SyncOperation.Cancel:
        this.#futexes.cancel(from, ticket);
        return this.#desk.cancel(from, ticket);
      case SyncOperation.FutexStay:
      case SyncOperation.FutexHeard:
      case SyncOperation.FutexReturn:
        return this.#futexes.request(from, request);
    }
    if (this.#desk.isTaken(from, ticket) || this.#futexes.has(from, ticket)) {
      return this.#desk.violation(from, `request under ticket ${ticket}, which is in use`);
    }
    switch (request.operation) {
      case SyncOperation.Acquire:
        return this.#semaphores.acquire(from, ticket, request.key);
      case SyncOperation.TryAcquire:
        return this.#semaphores.tryAcquire(from, ticket, request.key);
      case SyncOperation.Release:
        return this.#semaphores.release(from, ticket, request.key, request.count);
      case SyncOperation.MakeSemaphore:
        return this.#semaphores.make(from, ticket, request.count);
      case SyncOperation.Arrive:
        return this.#barriers.arrive(from, ticket, request.name, request.count);
      case SyncOperation.Lock:
        return this.#mutexes.lock(from, ticket, request.name);
      case SyncOperation.TryLock:
        return this.#mutexes.tryLock(from, ticket, request.name);
      case SyncOperation.Unlock:
        return this.#mutexes.unlock(from, ticket, request.lock, false);
      case SyncOperation.Abandon:
        return this.#mutexes.unlock(from, ticket, request.lock, true);
      case SyncOperation.FutexWait:
      case SyncOperation.FutexNotify:
      case SyncOperation.FutexMoved:
        return this.#futexes.request(from, request);
      default:
        request satisfies never;
    }
  }
}
