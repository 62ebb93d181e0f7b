/** Measures how long requests about semaphores, barriers, mutexes and words wait for an answer. */

import { WATCHED_WAITS_MAX } from "../limits.ts";
import type { NodeId } from "../protocol/coherence/messages.ts";
import {
  SyncOperation,
  type SyncReply,
  type SyncRequest,
  SyncStatus,
} from "../protocol/sync/messages.ts";

/** What is said of an earlier request, or has no answer. */
const NO_REQUESTS: ReadonlySet<SyncOperation> = new Set([
  SyncOperation.Cancel,
  SyncOperation.FutexStay,
  SyncOperation.FutexHeard,
  SyncOperation.FutexReturn,
]);

interface Waiting {
  readonly request: SyncRequest;
  readonly sinceUs: number;
}

/** The requests that wait for their answer. */
export class SyncWaits {
  /** By the node that has asked, and its ticket. */
  readonly #waiting = new Map<NodeId, Map<number, Waiting>>();
  readonly #ended: (request: SyncRequest, us: number, sinceUs: number, reply: SyncReply) => void;
  #size = 0;

  /** @param ended Gets each request that is answered, how long that took, and since when. */
  constructor(
    ended: (request: SyncRequest, us: number, sinceUs: number, reply: SyncReply) => void,
  ) {
    this.#ended = ended;
  }

  /** How many there are. */
  get size(): number {
    return this.#size;
  }

  /** A node asks. */
  asked(from: NodeId, request: SyncRequest, nowUs: number): void {
    if (NO_REQUESTS.has(request.operation) || this.#size === WATCHED_WAITS_MAX) return;
    let ofNode = this.#waiting.get(from);
    if (ofNode === undefined) this.#waiting.set(from, ofNode = new Map());
    // A ticket names another request only once its own is answered; if not, the node is at fault.
    if (!ofNode.has(request.ticket)) this.#size++;
    ofNode.set(request.ticket, { request, sinceUs: nowUs });
  }

  /** A node is answered. A wait for a word that is registered goes on. */
  answered(to: NodeId, reply: SyncReply, nowUs: number): void {
    if (reply.status === SyncStatus.Registered || reply.status === SyncStatus.Stirred) return;
    const ofNode = this.#waiting.get(to);
    const waiting = ofNode?.get(reply.ticket);
    if (waiting === undefined) return;
    ofNode!.delete(reply.ticket);
    this.#size--;
    const { request, sinceUs } = waiting;
    // It goes on at its own node.
    if (reply.status === SyncStatus.Lent || reply.status === SyncStatus.Moved) return;
    this.#ended(request, nowUs - sinceUs, sinceUs, reply);
  }

  /** A node is gone: it is answered no more. */
  peerGone(node: NodeId): void {
    this.#size -= this.#waiting.get(node)?.size ?? 0;
    this.#waiting.delete(node);
  }
}
