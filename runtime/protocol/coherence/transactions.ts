/**
 * A home's transactions: what is known of each of them. The directory moves them from one phase to
 * the next.
 */

import { Content, type ForwardMessage, type GrantMessage, type NodeId } from "./messages.ts";
import type { Access, PageRun } from "./page.ts";

/**
 * How a request is being served. A transaction is in one of these from its start until its
 * requester's `done`; the directory has one function that moves it from one to the next.
 *
 * ```text
 * forwarded ── the source dies ──▶ sourceLost ── no other node has the bytes ──▶ lost
 *     ▲                                │
 *     └─── another node has them ──────┘
 *
 * any of them, and granted ── the requester dies ──▶ aborting
 * ```
 *
 * Where the home clears pages there is no request; the transaction is `clearing` from its start
 * until its last acknowledgement.
 */
export type Phase =
  /** The source was told to send the bytes. */
  | { readonly kind: "forwarded"; readonly source: NodeId }
  /** The requester was told that it needs no bytes. */
  | { readonly kind: "granted"; readonly content: typeof Content.Zero | typeof Content.Kept }
  /** The requester was told that the pages are lost, and with which node. */
  | { readonly kind: "lost"; readonly lostNode: NodeId }
  /** The source died; the requester has not reported yet whether the bytes came in time. */
  | { readonly kind: "sourceLost"; readonly source: NodeId }
  /** The requester died; other parties have not reported yet whether they kept their copies. */
  | AbortingPhase
  /**
   * No program needs the pages. These nodes have not acknowledged yet that they have dropped
   * theirs.
   */
  | { readonly kind: "clearing"; readonly awaited: readonly NodeId[] }
  /** The pages are of a home that has moved here. These nodes have not told yet what they have. */
  | RebuildingPhase;

/** What is known of pages whose home has moved here. */
export interface RebuildingPhase {
  readonly kind: "rebuilding";
  /** The node that was their home. */
  readonly home: NodeId;
  readonly awaited: ReadonlySet<NodeId>;
}

/** What is known of a transaction whose requester died. */
export interface AbortingPhase {
  readonly kind: "aborting";
  /** What the requester was granted, if the grant reached it. */
  readonly content: Content;
  /** The node that was to send the bytes; 0 when none were sent. */
  readonly source: NodeId;
  /** The node whose loss makes the pages lost, if it comes to that. */
  readonly lostNode: NodeId;
  /** The parties that have not reported yet. */
  readonly awaited: readonly NodeId[];
  /** The nodes that kept their copies. */
  readonly refused: readonly NodeId[];
}

/** The events that move a transaction from one phase to another. */
export type TransactionEvent =
  /** A node died. */
  | { readonly kind: "peerLost"; readonly node: NodeId }
  /** A node has sent its last message about transactions with a lost node. */
  | { readonly kind: "peerLostSeen"; readonly from: NodeId; readonly node: NodeId }
  /** A node kept its copies. */
  | { readonly kind: "refused"; readonly from: NodeId };

/** A request that is being served: from its start at the home until its requester's `done`. */
export interface Transaction extends PageRun {
  readonly requester: NodeId;
  readonly request: number;
  /**
   * The right that the requester gets: on first touch, and of a page that migrates, more than it
   * asked for.
   */
  readonly access: Access;
  /** The nodes that drop their copies. */
  invalidated: readonly NodeId[];
  /** The node with which the last copy of its pages went while it was under way; 0 for none. */
  lostWith: NodeId;
  /** The nodes that kept their copies: they knew before the home that the requester is gone. */
  refused: readonly NodeId[];
  phase: Phase;
}

export const ZERO: Phase = Object.freeze({ kind: "granted", content: Content.Zero });
export const KEPT: Phase = Object.freeze({ kind: "granted", content: Content.Kept });

/** The requester's state of the pages once it is served. */
export function contentOf(phase: Phase): Content {
  switch (phase.kind) {
    case "forwarded":
    case "sourceLost":
      return Content.Data;
    case "granted":
    case "aborting":
      return phase.content;
    case "clearing":
      return Content.Zero;
    case "lost":
    case "rebuilding":
      return Content.Lost;
    default:
      return phase satisfies never;
  }
}

/** The node that sends the bytes; 0 when none are sent. */
export function sourceOf(phase: Phase): NodeId {
  return "source" in phase ? phase.source : 0;
}

/** The message to the source. */
export function forwardOf(transaction: Transaction): ForwardMessage {
  const { access, first, count, requester, request, invalidated } = transaction;
  return { kind: "forward", access, first, count, requester, request, invalidated };
}

/** The message to the requester, where it needs no bytes. */
export function grantOf(transaction: Transaction): GrantMessage {
  const { access, first, count, request, invalidated, phase } = transaction;
  const content = contentOf(phase);
  const lostNode = phase.kind === "lost" ? phase.lostNode : 0;
  return { kind: "grant", access, content, first, count, request, invalidated, lostNode };
}

/** Whether a transaction gives a node a copy, or takes one from it. */
export function involves({ requester, phase, invalidated }: Transaction, node: NodeId): boolean {
  return requester === node || sourceOf(phase) === node || invalidated.includes(node);
}

/** A list as it is, or without a node that is in it. */
export function without(nodes: readonly NodeId[], node: NodeId): readonly NodeId[] {
  return nodes.includes(node) ? nodes.filter((other) => other !== node) : nodes;
}

/** A list without two nodes. */
export function withoutBoth(nodes: readonly NodeId[], one: NodeId, two: NodeId): NodeId[] {
  return nodes.filter((node) => node !== one && node !== two);
}

/** What is known of a transaction whose requester died, after one more event. */
export function aborted(
  phase: AbortingPhase,
  requester: NodeId,
  event: TransactionEvent,
): AbortingPhase {
  const { awaited, refused, source } = phase;
  switch (event.kind) {
    case "peerLost":
      return {
        ...phase,
        awaited: without(awaited, event.node),
        lostNode: event.node === source ? source : phase.lostNode,
      };
    case "peerLostSeen":
      return event.node === requester ? { ...phase, awaited: without(awaited, event.from) } : phase;
    case "refused":
      return refused.includes(event.from) ? phase : { ...phase, refused: [...refused, event.from] };
    default:
      return event satisfies never;
  }
}
