/**
 * What nodes say about semaphores, barriers, mutexes and waits for words: a request to the
 * directory node, and its answer; and what they tell each other to gather a barrier by a tree.
 * `sync_frames.ts` gives them their bytes.
 *
 * The requester numbers its requests: a ticket names one until it is answered, and that of a lock
 * until it is unlocked. Most requests are answered once; a wait for a word is acknowledged before,
 * and a cancel, a stay and a heard have no answer.
 */

import { CALL_SLOTS_MAX } from "../../limits.ts";
import type { NodeId } from "../coherence/messages.ts";

/**
 * The tickets of one thread that asks by a link of its own: those from 2^31 on are parted among the
 * threads of a node, and those below are for what the node's own link carries.
 */
export const THREAD_TICKETS: number = 2 ** 31 / CALL_SLOTS_MAX;
/** The largest ticket of what a node's own link carries. */
export const NODE_TICKET_MAX: number = 2 ** 31 - 1;

/**
 * The first ticket of a thread that asks by a link of its own.
 *
 * @param thread The node's number of the thread, from 1 to `CALL_SLOTS_MAX`.
 * @returns The ticket; those of the thread are {@linkcode THREAD_TICKETS} from it on.
 */
export function firstTicketOf(thread: number): number {
  return NODE_TICKET_MAX + 1 + (thread - 1) * THREAD_TICKETS;
}

/**
 * The thread that a ticket belongs to.
 *
 * @param ticket The ticket.
 * @returns The node's number of the thread; 0 where the node's own link carries the request.
 */
export function threadOf(ticket: number): number {
  return ticket <= NODE_TICKET_MAX
    ? 0
    : 1 + Math.floor((ticket - NODE_TICKET_MAX - 1) / THREAD_TICKETS);
}

/** What a request is for. */
export const SyncOperation = {
  /** Take a permit, or wait for one. */
  Acquire: 1,
  /** Take a permit if there is one. */
  TryAcquire: 2,
  /** Give permits. */
  Release: 3,
  /** Make a semaphore with a key that no other has. */
  MakeSemaphore: 4,
  /** Arrive at a barrier, and wait until all have. */
  Arrive: 5,
  /** Lock a mutex, or wait for it. */
  Lock: 6,
  /** Lock a mutex if it is free. */
  TryLock: 7,
  /** Unlock a mutex. */
  Unlock: 8,
  /** Wait no longer. */
  Cancel: 9,
  /** Unlock a mutex whose holder has ended. */
  Abandon: 10,
  /** Wait for a word of the region to be notified. */
  FutexWait: 11,
  /** The word is as it was when it was looked at: the wait goes on. */
  FutexStay: 12,
  /** Wake waits for a word. */
  FutexNotify: 13,
  /** This node knows that a word is not quiet any more, or has given it back. */
  FutexHeard: 14,
  /** Of a word that this node gives back: a wait whose thread sleeps. */
  FutexMoved: 15,
  /** This node has no room for a further wait at a word that it was lent. */
  FutexReturn: 16,
} as const;
/** One of {@linkcode SyncOperation}. */
export type SyncOperation = typeof SyncOperation[keyof typeof SyncOperation];

/** Node → directory: take a permit. */
export interface AcquireRequest {
  readonly kind: "sync";
  readonly operation: typeof SyncOperation.Acquire | typeof SyncOperation.TryAcquire;
  readonly ticket: number;
  /** The semaphore, an unsigned number of 64 bits. */
  readonly key: bigint;
}

/** Node → directory: here are permits. */
export interface ReleaseRequest {
  readonly kind: "sync";
  readonly operation: typeof SyncOperation.Release;
  readonly ticket: number;
  /** The semaphore, an unsigned number of 64 bits. */
  readonly key: bigint;
  /** The permits, at least 1. */
  readonly count: number;
}

/** Node → directory: make a semaphore. */
export interface MakeSemaphoreRequest {
  readonly kind: "sync";
  readonly operation: typeof SyncOperation.MakeSemaphore;
  readonly ticket: number;
  /** The permits that it starts with. */
  readonly count: number;
}

/** Node → directory: I have arrived. */
export interface ArriveRequest {
  readonly kind: "sync";
  readonly operation: typeof SyncOperation.Arrive;
  readonly ticket: number;
  /** The barrier; 1 to 255 bytes of UTF-8. */
  readonly name: string;
  /** The parties, at least 1: how many arrivals it takes. */
  readonly count: number;
}

/** Node → directory: I want the mutex. */
export interface LockRequest {
  readonly kind: "sync";
  readonly operation: typeof SyncOperation.Lock | typeof SyncOperation.TryLock;
  readonly ticket: number;
  /** The mutex; 1 to 255 bytes of UTF-8. */
  readonly name: string;
}

/**
 * Node → directory: I am done with the mutex; or, of `Abandon`, the thread that holds it has ended,
 * so what the mutex protects may be half done.
 */
export interface UnlockRequest {
  readonly kind: "sync";
  readonly operation: typeof SyncOperation.Unlock | typeof SyncOperation.Abandon;
  readonly ticket: number;
  /** The ticket of the request that locked it; with the node, it names the holder. */
  readonly lock: number;
}

/**
 * Node → directory: do not wait for what this ticket asked for. The answer is that of the ticket:
 * `Cancelled` if it still waited; otherwise what was answered before, which is on its way.
 */
export interface CancelRequest {
  readonly kind: "sync";
  readonly operation: typeof SyncOperation.Cancel;
  /** The ticket of the request to cancel; a cancel has none of its own. */
  readonly ticket: number;
}

/**
 * Node → directory: a thread would wait for a word. The first answer is `Registered`, with which
 * the request goes on.
 */
export interface FutexWaitRequest {
  readonly kind: "sync";
  readonly operation: typeof SyncOperation.FutexWait;
  readonly ticket: number;
  /** The first byte of the word in the region. */
  readonly key: bigint;
}

/** Node → directory: the thread has looked, and waits. It has no answer of its own. */
export interface FutexStayRequest {
  readonly kind: "sync";
  readonly operation: typeof SyncOperation.FutexStay;
  /** The ticket of the wait. */
  readonly ticket: number;
}

/** Node → directory: wake those that wait for a word. */
export interface FutexNotifyRequest {
  readonly kind: "sync";
  readonly operation: typeof SyncOperation.FutexNotify;
  readonly ticket: number;
  /** The first byte of the word in the region. */
  readonly key: bigint;
  /** How many at most, at least 1. */
  readonly count: number;
}

/**
 * Node → directory: a thread waits for the word, and has looked. The word was lent to this node,
 * which gives it back; the request goes on at the directory node.
 */
export interface FutexMovedRequest {
  readonly kind: "sync";
  readonly operation: typeof SyncOperation.FutexMoved;
  /** The ticket of the wait. */
  readonly ticket: number;
  /** The first byte of the word in the region. */
  readonly key: bigint;
}

/**
 * Node → directory: none of my threads takes that word for quiet any more, and I serve nothing
 * there; or, of `FutexReturn`, want that word back from me, as more of my threads wait there than I
 * may serve. It has no answer.
 */
export interface FutexHeardRequest {
  readonly kind: "sync";
  readonly operation: typeof SyncOperation.FutexHeard | typeof SyncOperation.FutexReturn;
  /** 0: it is about no request. */
  readonly ticket: number;
  /** The first byte of the word in the region. */
  readonly key: bigint;
}

/** A request about words of the region. */
export type FutexRequest =
  | FutexWaitRequest
  | FutexStayRequest
  | FutexNotifyRequest
  | FutexMovedRequest
  | FutexHeardRequest;

/** A request to the directory node. */
export type SyncRequest =
  | FutexRequest
  | AcquireRequest
  | ReleaseRequest
  | MakeSemaphoreRequest
  | ArriveRequest
  | LockRequest
  | UnlockRequest
  | CancelRequest;

/** How a request ended. */
export const SyncStatus = {
  /** As it should: acquired, released, locked, unlocked; or all have arrived. */
  Done: 1,
  /** The semaphore was made; the answer has its key. */
  Made: 2,
  /** All have arrived, and this was the last. */
  Last: 3,
  /** Locked, but the node or thread that held it before is gone, and did not unlock it. */
  Abandoned: 4,
  /** There is no permit, or the mutex is not free. */
  Unavailable: 5,
  /** Cancelled while it waited. */
  Cancelled: 6,
  /** Nothing was released: the semaphore would have more permits than it can count. */
  Overflow: 7,
  /** Others arrived at this barrier with another number of parties, which the answer has. */
  PartiesMismatch: 8,
  /** Nothing was unlocked: that lock is not held. */
  NotHolder: 9,
  /** The directory has no room for it. */
  LimitExceeded: 10,
  /**
   * The barrier cannot be completed: a node is gone that takes part in it, which the answer names.
   */
  PeerLost: 11,
  /** The wait for a word is registered: look at the word. */
  Registered: 12,
  /** So many waits for the word were woken. */
  Notified: 13,
  /** The same, and no wait is left: the word is quiet until this node is told otherwise. */
  Quiet: 14,
  /**
   * The answer to no request: a word is not quiet any more, or is wanted back, which the node has
   * to confirm.
   */
  Stirred: 15,
  /**
   * The word is lent to this node, which serves this request and all later ones by itself. It is
   * the answer to no request where a thread has asked by a link of its own.
   */
  Lent: 16,
  /** This wait goes on at its node, to which the word is about to be lent. */
  Moved: 17,
} as const;
/** One of {@linkcode SyncStatus}. */
export type SyncStatus = typeof SyncStatus[keyof typeof SyncStatus];

/** Directory → node: how a request ended. */
export interface SyncReply {
  readonly kind: "syncReply";
  readonly ticket: number;
  readonly status: SyncStatus;
  /**
   * With `PartiesMismatch`, the parties that others count; with `PeerLost`, the node; with
   * `Notified` and `Quiet`, the waits that were woken; otherwise 0.
   */
  readonly count: number;
  /** With `Made`, the key; with `Quiet`, `Stirred`, `Lent` and `Moved`, the word; otherwise 0. */
  readonly key: bigint;
}

/**
 * Directory → node: from here on arrivals at a barrier are gathered by a tree of nodes, and this is
 * the place of the node in the tree. It comes before the answers of the round that it follows.
 */
export interface BarrierTreeMessage {
  readonly kind: "barrierTree";
  /** The number of the tree, from 1 on; a later tree of the cluster has a greater one. */
  readonly tree: number;
  /** The barrier; 1 to 255 bytes of UTF-8. */
  readonly name: string;
  /** The parties of the barrier. */
  readonly parties: number;
  /** How many of them are threads of this node. */
  readonly arrivals: number;
  /** Whether the last of this node's arrivals is answered with `Last`. */
  readonly leads: boolean;
  /** The node to which this node reports. */
  readonly parent: NodeId;
  /** The nodes that report to this node, the one with the most nodes below it first. */
  readonly children: readonly NodeId[];
}

/** What is said in a tree. */
export const GatherStep = {
  /** Node → parent: all my threads, and those of the nodes below me, have arrived. */
  Gathered: 1,
  /** Parent → node: all have arrived everywhere. */
  Released: 2,
  /** Node → directory: arrivals here cannot be gathered, or have waited for long. */
  Recall: 3,
  /**
   * Directory → node: the tree is no more, and this generation is not complete, while those before
   * are.
   */
  Dissolved: 4,
} as const;
/** One of {@linkcode GatherStep}. */
export type GatherStep = typeof GatherStep[keyof typeof GatherStep];

/** A message of nodes of a barrier's tree. */
export interface GatherMessage {
  readonly kind: "gather";
  readonly step: GatherStep;
  /** The number of the tree. */
  readonly tree: number;
  /** Which use of the tree it is about, from 0 on. */
  readonly generation: number;
}

/** A message of synchronisation in a frame of its own. */
export type SyncMessage = SyncRequest | SyncReply | GatherMessage;
