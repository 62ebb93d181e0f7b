/**
 * The messages about links that threads of a node have to the directory node for themselves, as
 * control messages: their lines of its `SHAPES`.
 */

import { CALL_SLOTS_MAX } from "../limits.ts";
import type { NodeId } from "../protocol/coherence/messages.ts";
import { integer, node, type Shapes, u64 } from "./control_fields.ts";

/** Node → directory, as the first message of a connection: this one is for a thread of mine. */
export interface ThreadHelloControl {
  readonly kind: "threadHello";
  /** The protocol that the node speaks. */
  readonly protocolVersion: number;
  /** The cluster, as its directory numbered it. */
  readonly session: bigint;
  /** The node, which is a member of the cluster. */
  readonly node: NodeId;
  /** Its number of the thread, from 1 on; no other link of the node has it. */
  readonly thread: number;
}

/**
 * Directory → node, on the node's own link: that thread's link has ended, and everything that it
 * has brought was acted on.
 */
export interface ThreadGoneControl {
  readonly kind: "threadGone";
  /** The node's number of the thread, which another link may have from here on. */
  readonly thread: number;
}

/** A message about the link of a thread. */
export type ThreadControl = ThreadHelloControl | ThreadGoneControl;

const thread = integer(1, CALL_SLOTS_MAX);

/** How each field is read and written. */
export const THREAD_SHAPES: Shapes<ThreadControl> = {
  threadHello: { protocolVersion: integer(0, 0xff), session: u64, node, thread },
  threadGone: { thread },
};
