/**
 * The words that are lent to a node, at that node: it serves the waits and notifies of its own
 * threads there by a desk of its own, without a message, until the directory node wants a word
 * back, which the node asks for where more wait than it may serve. Then what has begun ends here,
 * the waits whose threads sleep go to the directory node in their order, and the node says that it
 * has heard. A pure state machine, as the desk is.
 */

import type { NodeId } from "../coherence/messages.ts";
import {
  FUTEX_LIMITS,
  FutexDesk,
  type FutexLimits,
  type FutexState,
  newFutexState,
} from "./futexes.ts";
import {
  type FutexHeardRequest,
  type FutexMovedRequest,
  type FutexNotifyRequest,
  type FutexWaitRequest,
  SyncOperation,
  type SyncReply,
  type SyncRequest,
  SyncStatus,
} from "./messages.ts";

/** What the threads of a node may know of a word, as bits. */
export const WordMark = {
  /** Nothing: ask the directory node, whichever way. */
  None: 0,
  /** Nobody waits there: a notify asks nobody. */
  Quiet: 1,
  /** It is lent to the node: ask the engine. */
  Lent: 2,
} as const;

/** What is asked about a word, wherever it is served. */
export type LendableRequest = FutexWaitRequest | FutexNotifyRequest;

/** What happens to lent words leads to these, in this order. */
export interface LentOutbox {
  /** A request of a thread of this node is answered. */
  reply(reply: SyncReply): void;
  /** The directory node is to be told, or asked. */
  tell(request: FutexMovedRequest | FutexHeardRequest | LendableRequest): void;
  /** From here on threads see a word so; `marks` are bits of {@linkcode WordMark}. */
  show(key: bigint, marks: number): void;
}

/** All that is remembered of lent words. */
export interface LentState {
  /** What threads of this node wait for, and which lent words are quiet. */
  readonly desk: FutexState;
  /** The words that are served here. */
  readonly lent: Set<bigint>;
  /** The words that the directory node was asked to want back, and does not yet. */
  readonly returned: Set<bigint>;
  /** The words that are to be given back once what has begun there is done. */
  readonly wanted: Set<bigint>;
}

/** Nothing is lent. */
export function newLentState(): LentState {
  return { desk: newFutexState(), lent: new Set(), returned: new Set(), wanted: new Set() };
}

const kind = "sync";

/** The words that are lent to one node. */
export class LentWords {
  readonly #node: NodeId;
  readonly #state: LentState;
  readonly #waitsMax: number;
  readonly #desk: FutexDesk;
  protected readonly outbox: LentOutbox;

  /**
   * @param node The node.
   * @param outbox Where answers go.
   * @param limits How much is remembered.
   * @param state Where to go on from.
   * @param Desk What serves the words.
   */
  constructor(
    node: NodeId,
    outbox: LentOutbox,
    limits: FutexLimits = FUTEX_LIMITS,
    state: LentState = newLentState(),
    Desk: typeof FutexDesk = FutexDesk,
  ) {
    this.#node = node;
    this.#state = state;
    this.#waitsMax = limits.lentWaits;
    this.outbox = outbox;
    this.#desk = new Desk(
      {
        reply: (_, reply) => this.#answered(reply),
        violation: (_, reason) => {
          throw new Error(`A thread of this node ${reason}`);
        },
      },
      // Bounded by the waits for each word, and by the threads, of which each has a few notifies.
      { ...limits, lendAfter: Infinity, waiting: Infinity },
      state.desk,
    );
    if (!state.desk.members.has(node)) this.#desk.peerJoined(node);
  }

  /** The waits and notifies that are not done here. */
  get waiting(): number {
    return this.#desk.waiting;
  }

  /**
   * A thread of this node asks.
   *
   * @param request What it asks.
   * @returns Whether that is served here; otherwise the directory node is to be asked.
   */
  request(request: SyncRequest): boolean {
    const { operation, ticket } = request;
    switch (operation) {
      case SyncOperation.FutexWait:
      case SyncOperation.FutexNotify:
        if (!this.#state.lent.has(request.key)) return false;
        if (this.isFull(request)) {
          this.#return(request.key);
          return false;
        }
        this.#desk.request(this.#node, request);
        break;
      case SyncOperation.FutexStay:
        if (!this.#desk.has(this.#node, ticket)) return false;
        this.#desk.request(this.#node, request);
        break;
      case SyncOperation.Cancel:
        if (!this.#desk.has(this.#node, ticket)) return false;
        this.#desk.cancel(this.#node, ticket);
        break;
      default:
        return false;
    }
    this.#giveBackSettled();
    return true;
  }

  /**
   * The directory node says that a word is lent to this node.
   *
   * @param key The word.
   * @param request What was asked by the node's own link, and is served here now, or asked anew
   * where there is no room; `undefined` where a thread has asked by a link of its own.
   * @returns Whether it is served here.
   */
  lend(key: bigint, request?: LendableRequest): boolean {
    const { lent, returned } = this.#state;
    if (!returned.has(key)) {
      if (!lent.has(key)) this.outbox.show(key, WordMark.Lent);
      lent.add(key);
      if (request === undefined) return true;
      if (!this.isFull(request)) {
        this.#desk.request(this.#node, request);
        return true;
      }
      this.#return(key);
    }
    if (request !== undefined) this.outbox.tell(request);
    return false;
  }

  /** Whether a request is a wait more than this node may serve at a word. */
  protected isFull({ operation, key }: LendableRequest): boolean {
    return operation === SyncOperation.FutexWait && this.#desk.waitersAt(key) >= this.#waitsMax;
  }

  /** Has the directory node want a word back; what is asked there from now on is held there. */
  #return(key: bigint): void {
    const { lent, returned } = this.#state;
    this.outbox.show(key, WordMark.None);
    lent.delete(key);
    returned.add(key);
    this.outbox.tell({ kind, operation: SyncOperation.FutexReturn, ticket: 0, key });
  }

  /** A wait whose thread sleeps goes on here; its word is about to be lent. */
  adopt({ ticket, key }: FutexWaitRequest): void {
    this.#desk.adopt(this.#node, ticket, key);
  }

  /** A word is not quiet any more, or wanted back. */
  stirred(key: bigint): void {
    this.outbox.show(key, WordMark.None);
    this.#state.lent.delete(key);
    this.#state.returned.delete(key);
    this.#state.wanted.add(key);
    this.#giveBackSettled();
  }

  #giveBackSettled(): void {
    for (const key of this.#state.wanted) {
      const tickets = this.#desk.giveAway(key);
      if (tickets === undefined) continue;
      this.#state.wanted.delete(key);
      this.giveBack(key, tickets);
    }
  }

  /** Gives a word back: first its waits, for what the desk has held comes once it has heard. */
  protected giveBack(key: bigint, tickets: readonly number[]): void {
    for (const ticket of tickets) {
      this.outbox.tell({ kind, operation: SyncOperation.FutexMoved, ticket, key });
    }
    this.outbox.tell({ kind, operation: SyncOperation.FutexHeard, ticket: 0, key });
  }

  #answered(reply: SyncReply): void {
    const { status, key } = reply;
    const isLent = this.#state.lent.has(key);
    if (status === SyncStatus.Stirred) {
      // Threads of this node alone have taken it for quiet, and see at once that it is not.
      this.outbox.show(key, WordMark.Lent);
      return this.#desk.request(this.#node, {
        kind,
        operation: SyncOperation.FutexHeard,
        ticket: 0,
        key,
      });
    }
    if (status === SyncStatus.Quiet && !isLent) {
      return this.outbox.reply({ ...reply, status: SyncStatus.Notified, key: 0n });
    }
    if (status === SyncStatus.Quiet) this.outbox.show(key, WordMark.Lent | WordMark.Quiet);
    this.outbox.reply(reply);
  }
}
