/** What native code of the program is told of its node, so that it can use the node by `tdsm.h`. */

import type { TdsmLibrary } from "../../ffi/library.ts";
import { publishProgram } from "../../ffi/program.ts";
import {
  BARRIER_TREE_NODES,
  CALL_RING_BYTES,
  CALL_SLOTS_MAX,
  CALL_SYNC_MAX_MS,
  DESK_SILENCE_MAX_MS,
  ENDED_LOOK_MS,
  FUTEX_QUIET_SLOTS,
  FUTEX_SPIN_LOOKS,
  FUTEX_SPIN_MAX_US,
  FUTEX_SPIN_MIN_US,
  NATIVE_POSTS_MAX,
  SLOT_LOOK_MS,
  SLOT_WAIT_MAX_MS,
  THREAD_LINK_AFTER,
  THREAD_LINK_UNANSWERED_MAX,
  TICKET_MAX,
} from "../limits.ts";
import { firstTicketOf, THREAD_TICKETS } from "../protocol/sync/messages.ts";
import { CALL_PLACES, type CallSlots } from "../ring/call_slots.ts";
import { THREAD_FRAME_VERSION } from "../ring/thread_link.ts";

/** In place of the rank of a node that no launcher has started. */
const NO_RANK = 0xffff_ffff;

/** A node, as native code sees it. */
export interface NativeNode {
  /** The node's id. */
  readonly id: number;
  /** Its place among the nodes that a launcher has started. */
  readonly rank: number | undefined;
  /** How many nodes were started together. */
  readonly nodeCount: number;
}

/**
 * Lets native code on any thread of this process use a node, until the node is closed.
 *
 * @param library The library.
 * @param handle The library's number for the region.
 * @param slots The memory of the node's threads.
 * @param node The node.
 * @throws {TdsmError} `LimitExceeded` when the process has too many nodes.
 */
export function offerToNative(
  library: TdsmLibrary,
  handle: number,
  slots: CallSlots,
  { id, rank, nodeCount }: NativeNode,
): void {
  publishProgram(library, handle, slots.buffer, {
    id,
    rank: rank ?? NO_RANK,
    node_count: nodeCount,
    slots: CALL_SLOTS_MAX,
    ring_bytes: CALL_RING_BYTES,
    quiet_slots: FUTEX_QUIET_SLOTS,
    call_max: TICKET_MAX,
    posts_max: NATIVE_POSTS_MAX,
    slot_wait_ms: SLOT_WAIT_MAX_MS,
    slot_look_ms: SLOT_LOOK_MS,
    call_max_ms: CALL_SYNC_MAX_MS,
    ended_look_ms: ENDED_LOOK_MS,
    desk_silence_ms: DESK_SILENCE_MAX_MS,
    spin_max_us: FUTEX_SPIN_MAX_US,
    spin_min_us: FUTEX_SPIN_MIN_US,
    spin_looks: FUTEX_SPIN_LOOKS,
    link_after: THREAD_LINK_AFTER,
    tree_nodes: BARRIER_TREE_NODES,
    link_unanswered_max: THREAD_LINK_UNANSWERED_MAX,
    link_first: firstTicketOf(1),
    link_tickets: THREAD_TICKETS,
    protocol_version: THREAD_FRAME_VERSION,
    ...CALL_PLACES,
  });
}
