/** What the home knows of a request that is being served. */

import { Content, type ForwardMessage, type GrantMessage, type NodeId } from "./messages.ts";
import type { Access, PageRun } from "./page.ts";

/** A request that is being served: from its start at the home until its requester's `done`. */
export interface Transaction extends PageRun {
  readonly requester: NodeId;
  readonly request: number;
  /** What the requester will have; on first touch, and of a page that migrates, more than it asked for. */
  readonly access: Access;
  content: Content;
  /** The node that sends the bytes; 0 when none are sent. */
  source: NodeId;
  /** The nodes that drop their copies. */
  invalidated: NodeId[];
  /** The node whose loss makes the pages lost, if it comes to that. */
  lostNode: NodeId;
  /** A party died: holders must be checked when this ends. */
  disturbed: boolean;
  /** The source that died; its requester has yet to tell whether the bytes came in time. */
  lostSource: NodeId;
  /** The requester died; these nodes have yet to tell whether they kept their copies. */
  aborting: NodeId[] | undefined;
  /** The nodes that kept their copies because the requester died. */
  refused: NodeId[];
}

/** A transaction that begins, of which nothing is known yet but who asks for what. */
export function begun(
  requester: NodeId,
  request: number,
  access: Access,
  { first, count }: PageRun,
): Transaction {
  return {
    requester,
    request,
    access,
    content: Content.Data,
    first,
    count,
    source: 0,
    invalidated: [],
    lostNode: 0,
    disturbed: false,
    lostSource: 0,
    aborting: undefined,
    refused: [],
  };
}

/** What the source is told. */
export function forwardOf(transaction: Transaction): ForwardMessage {
  const { access, first, count, requester, request, invalidated } = transaction;
  return { kind: "forward", access, first, count, requester, request, invalidated };
}

/** What the requester is told where it needs no bytes. */
export function grantOf(transaction: Transaction): GrantMessage {
  const { access, content, first, count, request, invalidated, lostNode } = transaction;
  return { kind: "grant", access, content, first, count, request, invalidated, lostNode };
}

/** Whether a transaction is to give something to a node, or to take it. */
export function involves(
  { requester, source, invalidated }: Transaction,
  node: NodeId,
): boolean {
  return requester === node || source === node || invalidated.includes(node);
}
