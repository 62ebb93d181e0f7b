/**
 * Messages about pages on the wire: one row a kind, with its type, the fields of the header that it
 * uses, and how these are written and read. A new kind is an interface in the union of
 * `messages.ts`, a row here, and a golden frame; encoder, decoder, checks and names follow from the
 * row.
 */

import { getU32, putU32 } from "./bytes.ts";
import { Field, Offset } from "./layout.ts";
import { Content, type Message, type NodeId } from "../protocol/coherence/messages.ts";
import type { Access, PageRun } from "../protocol/coherence/page.ts";

/** How a kind of message stands in a frame. */
export interface PageMessageRow<M> {
  /** Its type; the numbers of those that are no messages about pages are in `FrameType`. */
  readonly type: number;
  /** The fields that it uses, as the sum of {@linkcode Field} bits. */
  readonly fields: number;
  /** Writes its fields, but for the list, into a header whose fields are zero. */
  put(message: M, header: Uint8Array, start: number): void;
  /** Makes the message of a header that was checked, and of the list behind it. */
  get(header: Uint8Array, start: number, list: readonly NodeId[]): M;
}

/** A message that ends with a list of nodes. */
export type ListingMessage = Extract<Message, { readonly invalidated: readonly NodeId[] }>;

const { Access: AccessField, Content: ContentField, Run, Request, Node, List, LongRun } = Field;

/** Every kind of message about pages. */
export const PAGE_MESSAGES: {
  readonly [Kind in Message["kind"]]: PageMessageRow<Extract<Message, { readonly kind: Kind }>>;
} = {
  request: {
    type: 1,
    fields: AccessField | Run | Request,
    put(message, header, start) {
      header[start + Offset.Access] = message.access;
      putRun(header, start, message.first, message.count, message.request);
    },
    get: (header, start) => ({
      kind: "request",
      access: getAccess(header, start),
      first: getFirst(header, start),
      count: getCount(header, start),
      request: getRequest(header, start),
    }),
  },
  forward: {
    type: 2,
    fields: AccessField | Run | Request | Node | List,
    put(message, header, start) {
      header[start + Offset.Access] = message.access;
      putRun(header, start, message.first, message.count, message.request);
      putU32(header, start + Offset.Node, message.requester);
    },
    get: (header, start, invalidated) => ({
      kind: "forward",
      access: getAccess(header, start),
      first: getFirst(header, start),
      count: getCount(header, start),
      requester: getNode(header, start),
      request: getRequest(header, start),
      invalidated,
    }),
  },
  invalidate: {
    type: 3,
    fields: Run | Request | Node,
    put(message, header, start) {
      putRun(header, start, message.first, message.count, message.request);
      putU32(header, start + Offset.Node, message.requester);
    },
    get: (header, start) => ({
      kind: "invalidate",
      first: getFirst(header, start),
      count: getCount(header, start),
      requester: getNode(header, start),
      request: getRequest(header, start),
    }),
  },
  acknowledge: {
    type: 4,
    fields: Run | Request,
    put: (message, header, start) =>
      putRun(header, start, message.first, message.count, message.request),
    get: (header, start) => ({
      kind: "acknowledge",
      first: getFirst(header, start),
      count: getCount(header, start),
      request: getRequest(header, start),
    }),
  },
  grant: {
    type: 5,
    // Its node is checked with its content: it has one where the pages are lost.
    fields: AccessField | ContentField | Run | Request | Node | List,
    put(message, header, start) {
      header[start + Offset.Access] = message.access;
      header[start + Offset.Content] = message.content;
      putRun(header, start, message.first, message.count, message.request);
      putU32(header, start + Offset.Node, message.lostNode);
    },
    get: (header, start, invalidated) => ({
      kind: "grant",
      access: getAccess(header, start),
      content: getContent(header, start),
      first: getFirst(header, start),
      count: getCount(header, start),
      request: getRequest(header, start),
      invalidated,
      lostNode: getNode(header, start),
    }),
  },
  done: {
    type: 6,
    fields: ContentField | Run | Request,
    put(message, header, start) {
      header[start + Offset.Content] = message.lost ? Content.Lost : 0;
      putRun(header, start, message.first, message.count, message.request);
    },
    get: (header, start) => ({
      kind: "done",
      first: getFirst(header, start),
      count: getCount(header, start),
      request: getRequest(header, start),
      lost: getContent(header, start) === Content.Lost,
    }),
  },
  peerLost: rowOfNode("peerLost", 7),
  peerLostSeen: rowOfNode("peerLostSeen", 8),
  refused: {
    type: 9,
    fields: Run | Request | Node,
    put(message, header, start) {
      putRun(header, start, message.first, message.count, message.request);
      putU32(header, start + Offset.Node, message.requester);
    },
    get: (header, start) => ({
      kind: "refused",
      first: getFirst(header, start),
      count: getCount(header, start),
      requester: getNode(header, start),
      request: getRequest(header, start),
    }),
  },
  leave: rowOfNothing("leave", 10),
  left: rowOfNothing("left", 11),
  drop: rowOfRun("drop", 20),
  dropped: rowOfRun("dropped", 21),
  keep: rowOfRun("keep", 22),
  offload: {
    type: 23,
    fields: Run | Request,
    put: ({ first, count, awaited }, header, start) => putRun(header, start, first, count, awaited),
    get: (header, start) => ({
      kind: "offload",
      first: getFirst(header, start),
      count: getCount(header, start),
      awaited: getRequest(header, start),
    }),
  },
  adopt: rowOfRun("adopt", 24),
  locate: rowOfRun("locate", 25),
  located: rowOfRunAndNode("located", 26, LongRun),
  retire: rowOfNothing("retire", 27),
  retired: rowOfNode("retired", 28),
  drain: rowOfNode("drain", 29),
  drained: rowOfNode("drained", 30),
  inquire: rowOfNode("inquire", 31),
  holds: {
    type: 32,
    fields: AccessField | Run,
    put({ access, first, count }, header, start) {
      header[start + Offset.Access] = access;
      putPages(header, start, first, count);
    },
    get: (header, start) => ({
      kind: "holds",
      access: getAccess(header, start),
      first: getFirst(header, start),
      count: getCount(header, start),
    }),
  },
  touched: rowOfRunAndNode("touched", 33),
  reported: rowOfNode("reported", 34),
  part: rowOfNothing("part", 35),
  parted: rowOfNothing("parted", 36),
  clear: rowOfRun("clear", 37),
  cleared: rowOfRun("cleared", 38),
};

/** The row of a kind that has no field. */
function rowOfNothing<Kind>(kind: Kind, type: number): PageMessageRow<{ readonly kind: Kind }> {
  return { type, fields: 0, put() {}, get: () => ({ kind }) };
}

/** The row of a kind that has nothing but a node. */
function rowOfNode<Kind>(
  kind: Kind,
  type: number,
): PageMessageRow<{ readonly kind: Kind; readonly node: NodeId }> {
  return {
    type,
    fields: Node,
    put: ({ node }, header, start) => putU32(header, start + Offset.Node, node),
    get: (header, start) => ({ kind, node: getNode(header, start) }),
  };
}

/** The row of a kind that has a run of pages and a node, and maybe another field. */
function rowOfRunAndNode<Kind>(
  kind: Kind,
  type: number,
  field = 0,
): PageMessageRow<PageRun & { readonly kind: Kind; readonly node: NodeId }> {
  return {
    type,
    fields: Run | Node | field,
    put({ first, count, node }, header, start) {
      putPages(header, start, first, count);
      putU32(header, start + Offset.Node, node);
    },
    get: (header, start) => ({
      kind,
      first: getFirst(header, start),
      count: getCount(header, start),
      node: getNode(header, start),
    }),
  };
}

/** The row of a kind that has nothing but a run of pages. */
function rowOfRun<Kind>(
  kind: Kind,
  type: number,
): PageMessageRow<PageRun & { readonly kind: Kind }> {
  return {
    type,
    fields: Run,
    put: ({ first, count }, header, start) => putPages(header, start, first, count),
    get: (header, start) => ({
      kind,
      first: getFirst(header, start),
      count: getCount(header, start),
    }),
  };
}

/** The rows by type; nothing where a type is none of a message about pages. */
export const PAGE_MESSAGES_BY_TYPE: readonly (PageMessageRow<Message> | undefined)[] = byType();

function byType(): (PageMessageRow<Message> | undefined)[] {
  const rows: (PageMessageRow<Message> | undefined)[] = Array(256).fill(undefined);
  for (const row of Object.values(PAGE_MESSAGES)) rows[row.type] = row;
  return rows;
}

function putRun(
  header: Uint8Array,
  start: number,
  first: number,
  count: number,
  request: number,
): void {
  putPages(header, start, first, count);
  putU32(header, start + Offset.Request, request);
}

function putPages(header: Uint8Array, start: number, first: number, count: number): void {
  putU32(header, start + Offset.First, first);
  putU32(header, start + Offset.Count, count);
}

function getAccess(header: Uint8Array, start: number): Access {
  return header[start + Offset.Access]! as Access;
}

function getContent(header: Uint8Array, start: number): Content {
  return header[start + Offset.Content]! as Content;
}

function getFirst(header: Uint8Array, start: number): number {
  return getU32(header, start + Offset.First);
}

function getCount(header: Uint8Array, start: number): number {
  return getU32(header, start + Offset.Count);
}

function getRequest(header: Uint8Array, start: number): number {
  return getU32(header, start + Offset.Request);
}

function getNode(header: Uint8Array, start: number): NodeId {
  return getU32(header, start + Offset.Node);
}
