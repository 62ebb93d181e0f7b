/**
 * All messages between nodes, as one union: a message passes unchanged from the part that makes it
 * to the part that acts on it. Its `kind` identifies the family as well, so the five families must
 * not have a kind in common.
 */

import type { AllocatorControl } from "../protocol/allocation/messages.ts";
import type { Message } from "../protocol/coherence/messages.ts";
import type { BarrierTreeMessage, SyncMessage } from "../protocol/sync/messages.ts";
import type { Control, RoomElsewhereControl } from "./control.ts";
import type { DebtControl } from "./debt_control.ts";
import { PAGE_MESSAGES } from "./page_messages.ts";
import type { PingMessage } from "./ping_frames.ts";
import type { RpcMessage } from "./rpc_frames.ts";
import type { StatsControl, StatsRequestControl } from "./status_control.ts";

/** A message from one node to another. */
export type PeerMessage = Message | SyncMessage | RpcMessage | PingMessage | Control;

/** A message that the engine of a member acts on. The other ones are about membership. */
export type EngineMessage =
  | Message
  | SyncMessage
  | RpcMessage
  | AllocatorControl
  | BarrierTreeMessage
  | StatsRequestControl
  | StatsControl
  | RoomElsewhereControl
  | DebtControl;

/**
 * Whether a message is about pages.
 *
 * @param message Any message between nodes.
 * @returns Whether it is one that the coherence protocol takes.
 */
export function isPageMessage(message: PeerMessage): message is Message {
  return message.kind in PAGE_MESSAGES;
}

/** What follows most messages. */
export const NO_BYTES: Uint8Array = new Uint8Array(0);
