/**
 * Counts messages by kind, and by whether they arrive.
 */

import {
  CLEAR_REQUEST,
  Content,
  type Message,
  type NodeId,
} from "../../../runtime/protocol/coherence/messages.ts";
import { Access } from "../../../runtime/protocol/coherence/page.ts";
import type { TableShape } from "./coverage.ts";

const MESSAGES = [
  "request R",
  "request W",
  "forward R",
  "forward W",
  "stand-in W",
  "invalidate",
  "acknowledge",
  "clear",
  "acknowledge clear",
  "order to clear",
  "cleared",
  "grant data R",
  "grant data W",
  "grant zero",
  "grant kept",
  "grant lost",
  "done",
  "done, lost",
  "peerLost",
  "peerLostSeen",
  "refused",
  "locate",
  "located",
  "retire",
  "retired",
  "drain",
  "drained",
  "inquire",
  "holds",
  "touched",
  "reported",
  "part",
  "parted",
  "drop",
  "dropped",
  "keep",
  "offload",
  "adopt",
  "leave",
  "left",
] as const;

const FATES = ["sent", "arrives", "at a leaver", "of the gone", "to the gone", "cut"] as const;

/** A message by its kind and what it is about. */
export type MessageName = typeof MESSAGES[number];
/** What becomes of it. */
export type MessageFate = typeof FATES[number];

/**
 * A message that leaves its node, and what becomes of it. It may arrive when its sender is gone, or
 * when its receiver wants to leave; it is lost with either end of its connection.
 */
export const MESSAGE_SHAPE: TableShape<MessageName, MessageFate> = {
  title: "message",
  rows: MESSAGES,
  columns: FATES,
  never: [
    {
      why: "it is for the directory node, which is the last to go",
      rows: ["cleared", "locate", "retire", "holds", "touched", "reported"],
      columns: ["at a leaver", "to the gone"],
    },
    {
      why: "only the directory node says so",
      rows: ["order to clear", "peerLost", "located", "retired"],
      columns: ["of the gone"],
    },
  ],
  rare: [
    {
      why: "it is for the home, and few of those that are not the directory node go",
      rows: [
        "request R",
        "request W",
        "done",
        "done, lost",
        "peerLostSeen",
        "refused",
        "acknowledge clear",
        "drop",
        "offload",
        "leave",
      ],
      columns: ["at a leaver", "to the gone"],
    },
    {
      why: "only the home says so, and few of those that are not the directory node go",
      rows: [
        "forward R",
        "forward W",
        "stand-in W",
        "invalidate",
        "clear",
        "grant zero",
        "grant kept",
        "grant lost",
        "dropped",
        "keep",
        "adopt",
        "left",
      ],
      columns: ["of the gone"],
    },
    {
      why: "few homes move, and little is said then",
      rows: [
        "order to clear",
        "cleared",
        "locate",
        "located",
        "retire",
        "retired",
        "drain",
        "drained",
        "inquire",
        "holds",
        "touched",
        "reported",
        "part",
        "parted",
      ],
      columns: ["at a leaver", "of the gone", "to the gone", "cut"],
    },
  ],
};

/**
 * @param message A message.
 * @param to The receiving node.
 * @returns The name of its row.
 */
export function messageName(message: Message, to: NodeId): MessageName {
  switch (message.kind) {
    case "request":
      return message.access === Access.Read ? "request R" : "request W";
    case "forward":
      if (message.access === Access.Read) return "forward R";
      return message.invalidated.includes(to) ? "stand-in W" : "forward W";
    case "grant":
      if (message.content === Content.Zero) return "grant zero";
      if (message.content === Content.Kept) return "grant kept";
      if (message.content === Content.Lost) return "grant lost";
      return message.access === Access.Read ? "grant data R" : "grant data W";
    case "invalidate":
      return message.request === CLEAR_REQUEST ? "clear" : "invalidate";
    case "acknowledge":
      return message.request === CLEAR_REQUEST ? "acknowledge clear" : "acknowledge";
    case "clear":
      return "order to clear";
    case "done":
      return message.lost ? "done, lost" : "done";
    default:
      return message.kind;
  }
}
