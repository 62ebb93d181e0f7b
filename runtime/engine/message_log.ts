/**
 * What the log says of the messages about pages that a node sends and receives.
 */

import { Content, type Message } from "../protocol/coherence/messages.ts";
import { Access } from "../protocol/coherence/page.ts";

/** The level at which pages that change hands are told. */
export const PAGE_LEVEL = 4;
/** The level at which every message is told. */
export const MESSAGE_LEVEL = 5;

/**
 * The level at which a message is told.
 *
 * @param message The message.
 * @returns `PAGE_LEVEL` where pages change hands by it, else `MESSAGE_LEVEL`.
 */
export function levelOf({ kind }: Message): number {
  return kind === "grant" || kind === "invalidate" ? PAGE_LEVEL : MESSAGE_LEVEL;
}

/**
 * Says in a line what a message says.
 *
 * @param message The message.
 * @returns Its kind, and what it is about.
 */
export function describeMessage(message: Message): string {
  const words: string[] = [message.kind];
  if ("first" in message) {
    const { first, count } = message;
    words.push(count === 1 ? `of page ${first}` : `of pages ${first} to ${first + count - 1}`);
  }
  if ("access" in message) words.push(message.access === Access.Write ? "to write" : "to read");
  if (message.kind === "grant") words.push(`(${CONTENTS[message.content]})`);
  if ("requester" in message) words.push(`for node ${message.requester}`);
  if ("node" in message) words.push(`: node ${message.node}`);
  if ("request" in message) words.push(`, request ${message.request}`);
  return words.join(" ").replaceAll(" ,", ",").replaceAll(" :", ":");
}

const CONTENTS: Readonly<Record<Content, string>> = {
  [Content.Data]: "with its bytes",
  [Content.Zero]: "never written",
  [Content.Kept]: "its bytes are there",
  [Content.Lost]: "lost",
};
