/** The kinds of messages about pages. */

import type { Message } from "../../runtime/protocol/coherence/messages.ts";

/** Every kind, in the order of their types on the wire. */
export const MESSAGE_KINDS: readonly Message["kind"][] = [
  "request",
  "forward",
  "invalidate",
  "acknowledge",
  "grant",
  "done",
  "peerLost",
  "peerLostSeen",
  "refused",
  "leave",
  "left",
];
