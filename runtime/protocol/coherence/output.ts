/**
 * The actions that a step of the protocol asks its driver to carry out.
 *
 * The contract, which every driver keeps:
 * 1. all `operations`, in order;
 * 2. then all `messages`, in order for each destination. The bytes of a grant with `Content.Data`
 *    are read from the alias then, not before, and stay unchanged until the requester has them;
 * 3. then what is discarded, each page once the bytes of every grant of it that was sent before
 *    have left this node, and not at all if the page is installed, or bytes arrive for it, before
 *    that;
 * 4. then the `events`.
 */

import type { Message, NodeId } from "./messages.ts";

/** Something to do to pages in every window of this node. All are idempotent. */
export type PageOperation =
  /**
   * Map what the alias has, write-protected unless `writable`. Wakes threads that faulted there.
   */
  | { readonly kind: "install"; first: number; count: number; writable: boolean }
  /** The same, after the alias was filled with zeros. */
  | { readonly kind: "installZero"; first: number; count: number }
  /** Allow writing to pages that are mapped. Wakes. */
  | { readonly kind: "unprotect"; first: number; count: number }
  /** Forbid writing; when it returns no more write gets through. */
  | { readonly kind: "protect"; first: number; count: number }
  /** Unmap; when it returns no more access gets through. The alias keeps its bytes. */
  | { readonly kind: "evict"; first: number; count: number }
  /** Give the memory of the alias back, when the contract says; no window maps it. */
  | { readonly kind: "discard"; first: number; count: number };

/** A message and the node that it is for. */
export interface Envelope {
  readonly to: NodeId;
  readonly message: Message;
}

/** An event for the driver, or the program. */
export type EngineEvent =
  /** A thread here waits for a page whose only copy was on a node that is gone. */
  | { readonly kind: "pageLost"; readonly page: number; readonly node: NodeId }
  /**
   * There is a page that a thread here waits for, and no room for it; or, without a page, there is
   * no room elsewhere for the pages of this node, which wants to leave. Either has been so for
   * long.
   */
  | { readonly kind: "memoryExhausted"; readonly page: number | undefined }
  /** A peer broke the protocol, so no message of it can be trusted. */
  | { readonly kind: "violation"; readonly node: NodeId; readonly reason: string }
  /** The home tells that a node is gone: close its connection, drop what is queued for it. */
  | { readonly kind: "peerGone"; readonly node: NodeId }
  /**
   * At the home: no node has these pages any more, and the next that touches one of them gets
   * zeros.
   */
  | { readonly kind: "cleared"; readonly first: number; readonly count: number }
  /** At the directory node: another home says that of its pages. */
  | { readonly kind: "clearedElsewhere"; readonly first: number; readonly count: number }
  /** At the directory node: a node has left, and has been told so. */
  | { readonly kind: "nodeLeft"; readonly node: NodeId }
  /** This node has left: no other node needs it any more. */
  | { readonly kind: "left" };

/** The result of one step; valid until the next step of the same engine. */
export interface Output {
  readonly operations: readonly PageOperation[];
  readonly messages: readonly Envelope[];
  readonly events: readonly EngineEvent[];
}

/** Stands for lists of a step that are empty: nothing is ever put into it. */
const NOTHING: never[] = [];

/** Collects the actions of the cache and the directory during a step. */
export class Outbox {
  operations: PageOperation[] = NOTHING;
  messages: Envelope[] = NOTHING;
  events: EngineEvent[] = NOTHING;

  // Most steps have one operation, one message and no event, and a list that begins as empty makes
  // room for many with the first.

  /** Begins a step. */
  clear(): void {
    this.operations = this.messages = this.events = NOTHING;
  }

  operate(operation: PageOperation): void {
    if (this.operations.length === 0) this.operations = [operation];
    else this.operations.push(operation);
  }

  send(to: NodeId, message: Message): void {
    if (this.messages.length === 0) this.messages = [{ to, message }];
    else this.messages.push({ to, message });
  }

  tell(event: EngineEvent): void {
    if (this.events.length === 0) this.events = [event];
    else this.events.push(event);
  }
}
