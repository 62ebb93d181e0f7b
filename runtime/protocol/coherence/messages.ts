/**
 * The messages of nodes about pages, as the state machines see them. `page_messages.ts` encodes
 * them; `docs/protocol.md` defines their meaning.
 *
 * Every message of a transaction carries the number that its requester gave the request, so that
 * a message that arrives late is recognised and dropped.
 */

import type { Access } from "./page.ts";

/** A node's number in its cluster, from 1 on, never given twice. */
export type NodeId = number;

/** The empty list of nodes, shared because most messages have no nodes. */
export const NO_NODES: readonly NodeId[] = Object.freeze([]);

/** Requester → home: give me the first page, and the run's next ones that can be treated alike. */
export interface RequestMessage {
  readonly kind: "request";
  readonly access: Access;
  readonly first: number;
  readonly count: number;
  /** The requester's number for this request. */
  readonly request: number;
}

/**
 * Home → source: send these pages to the requester; for a write, keep no copy. A source that is
 * among `invalidated` stands in for one that died: it sends the bytes of the copy that it was told
 * to drop.
 */
export interface ForwardMessage {
  readonly kind: "forward";
  readonly access: Access;
  readonly first: number;
  readonly count: number;
  readonly requester: NodeId;
  readonly request: number;
  /** The nodes whose acknowledgements the requester must have before it writes. */
  readonly invalidated: readonly NodeId[];
}

/**
 * Home → sharer: drop your copies, then tell the requester. With {@linkcode CLEAR_REQUEST} no node
 * needs the bytes any more.
 */
export interface InvalidateMessage {
  readonly kind: "invalidate";
  readonly first: number;
  readonly count: number;
  readonly requester: NodeId;
  readonly request: number;
}

/** Sharer → requester: my copies are gone. */
export interface AcknowledgeMessage {
  readonly kind: "acknowledge";
  readonly first: number;
  readonly count: number;
  readonly request: number;
}

/** Where a grant's bytes come from. */
export const Content = {
  /** The bytes follow the message. */
  Data: 1,
  /** No node ever wrote these pages: they are all zeros, and no bytes follow. */
  Zero: 2,
  /** The requester has the bytes, and only lacked the right to write. */
  Kept: 3,
  /** The only copy was on a node that is gone. Nothing is granted. */
  Lost: 4,
} as const;
/** One of {@linkcode Content}. */
export type Content = typeof Content[keyof typeof Content];

/**
 * Source or home → requester: the pages, or the right to write them. The run may be shorter than
 * the requested one.
 */
export interface GrantMessage {
  readonly kind: "grant";
  /** The right that the requester has from now on; can be more than it asked for. */
  readonly access: Access;
  readonly content: Content;
  readonly first: number;
  readonly count: number;
  readonly request: number;
  /** The nodes whose acknowledgements must arrive before the grant takes effect. */
  readonly invalidated: readonly NodeId[];
  /** With `Content.Lost`, the node that had the only copy; otherwise 0. */
  readonly lostNode: NodeId;
}

/**
 * Whether a grant that the home itself sends ends its transaction, without a `done`. It does if no
 * other node takes part, because the home's next message to the requester arrives behind the grant.
 */
export function isFinal(
  { content, invalidated }: Pick<GrantMessage, "content" | "invalidated">,
): boolean {
  return content !== Content.Lost && invalidated.length === 0;
}

/** Requester → home: the grant has taken effect, or the pages are lost; the next may start. */
export interface DoneMessage {
  readonly kind: "done";
  readonly first: number;
  readonly count: number;
  readonly request: number;
  /** Whether the requester was told that the pages are lost. */
  readonly lost: boolean;
}

/**
 * The number in the messages of a transaction that no request began: the home clears pages, and
 * is the requester itself. Requests have numbers from 1 on.
 */
export const CLEAR_REQUEST = 0;

/** Home → every node: this node is gone; expect nothing from it and send it nothing. */
export interface PeerLostMessage {
  readonly kind: "peerLost";
  readonly node: NodeId;
}

/** Every node → home: from here on no message of mine depends on the lost node. */
export interface PeerLostSeenMessage {
  readonly kind: "peerLostSeen";
  readonly node: NodeId;
}

/** Source or sharer → home: the requester died before I gave up my copy, so I keep it. */
export interface RefusedMessage {
  readonly kind: "refused";
  readonly first: number;
  readonly count: number;
  readonly requester: NodeId;
  readonly request: number;
}

/** Node → directory node: which node is the home of these pages, which are of one chunk? */
export interface LocateMessage {
  readonly kind: "locate";
  readonly first: number;
  readonly count: number;
}

/** Directory node → node: this node is the home of their chunk. */
export interface LocatedMessage {
  readonly kind: "located";
  readonly first: number;
  readonly count: number;
  readonly node: NodeId;
}

/** Home → directory node: I begin no transaction any more, and none is under way here. */
export interface RetireMessage {
  readonly kind: "retire";
}

/** Directory node → every node: this node is no home any more, I am in its place. */
export interface RetiredMessage {
  readonly kind: "retired";
  readonly node: NodeId;
}

/** Node → every node: say so when you do nothing any more that this home has asked you for. */
export interface DrainMessage {
  readonly kind: "drain";
  readonly node: NodeId;
}

/** Every node → node: from here on nothing comes from me that this home has asked me for. */
export interface DrainedMessage {
  readonly kind: "drained";
  readonly node: NodeId;
}

/** Home → party of a transaction: say `peerLostSeen` when you have heard that this node is gone. */
export interface InquireMessage {
  readonly kind: "inquire";
  readonly node: NodeId;
}

/** Node → directory node: I have copies of these pages, whose home has moved. */
export interface HoldsMessage {
  readonly kind: "holds";
  readonly access: Access;
  readonly first: number;
  readonly count: number;
}

/**
 * A home that has moved → directory node: these pages were touched; this node is their owner, or
 * they were lost with it.
 */
export interface TouchedMessage {
  readonly kind: "touched";
  readonly first: number;
  readonly count: number;
  readonly node: NodeId;
}

/** Node → directory node: that is all that I have of the pages of this home, which has moved. */
export interface ReportedMessage {
  readonly kind: "reported";
  readonly node: NodeId;
}

/** Home → leaving node: nothing of my pages depends on you; say `parted` when you count on none. */
export interface PartMessage {
  readonly kind: "part";
}

/** Leaving node → home: from here on my copies of your pages are none, whatever comes. */
export interface PartedMessage {
  readonly kind: "parted";
}

/** Node → home: forget my copies of these pages, which no thread here reads any more. */
export interface DropMessage {
  readonly kind: "drop";
  readonly first: number;
  readonly count: number;
}

/** Home → node: your copies are forgotten, and no node will ask for their bytes. */
export interface DroppedMessage {
  readonly kind: "dropped";
  readonly first: number;
  readonly count: number;
}

/** Home → node: no other node has these pages, so you keep them. */
export interface KeepMessage {
  readonly kind: "keep";
  readonly first: number;
  readonly count: number;
}

/** Node → home: I need the room of these only copies; find another node for them. */
export interface OffloadMessage {
  readonly kind: "offload";
  readonly first: number;
  readonly count: number;
  /** For the room of how many of them threads wait now. */
  readonly awaited: number;
}

/** Home → node: request these pages to write, if you have room; another node needs its room. */
export interface AdoptMessage {
  readonly kind: "adopt";
  readonly first: number;
  readonly count: number;
}

/** Directory node → home: clear these pages, which are of one chunk. */
export interface ClearMessage {
  readonly kind: "clear";
  readonly first: number;
  readonly count: number;
}

/** Home → directory node: these pages, which you told me to clear, are as if never touched. */
export interface ClearedMessage {
  readonly kind: "cleared";
  readonly first: number;
  readonly count: number;
}

/** Leaving node → home: I make no more requests; take the pages that only I have. */
export interface LeaveMessage {
  readonly kind: "leave";
}

/** Home → leaving node: nothing depends on you any more. */
export interface LeftMessage {
  readonly kind: "left";
}

/** A message about pages. */
export type Message =
  | RequestMessage
  | ForwardMessage
  | InvalidateMessage
  | AcknowledgeMessage
  | GrantMessage
  | DoneMessage
  | PeerLostMessage
  | PeerLostSeenMessage
  | RefusedMessage
  | LocateMessage
  | LocatedMessage
  | RetireMessage
  | RetiredMessage
  | DrainMessage
  | DrainedMessage
  | InquireMessage
  | HoldsMessage
  | TouchedMessage
  | ReportedMessage
  | PartMessage
  | PartedMessage
  | DropMessage
  | DroppedMessage
  | KeepMessage
  | OffloadMessage
  | AdoptMessage
  | ClearMessage
  | ClearedMessage
  | LeaveMessage
  | LeftMessage;

/** The node that hosts the directory is the first to join. */
export const DIRECTORY_NODE: NodeId = 1;
