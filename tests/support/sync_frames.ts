/**
 * The messages of the frames of synchronisation in `frames.txt`.
 */

import {
  GatherStep,
  type SyncMessage,
  SyncOperation,
  type SyncReply,
  SyncStatus,
} from "../../runtime/protocol/sync/messages.ts";

const kind = "sync";

function reply(ticket: number, status: SyncStatus, count = 0, key = 0n): SyncReply {
  return { kind: "syncReply", ticket, status, count, key };
}

/** Every operation, every status and every step. */
export const SYNC_MESSAGES: readonly (readonly [label: string, message: SyncMessage])[] = [
  ["acquire", { kind, operation: SyncOperation.Acquire, ticket: 0x0102_0304, key: 7n }],
  ["try to acquire", {
    kind,
    operation: SyncOperation.TryAcquire,
    ticket: 2,
    key: 0xfedc_ba98_7654_3210n,
  }],
  ["release", { kind, operation: SyncOperation.Release, ticket: 3, key: 7n, count: 0x7fff_ffff }],
  ["make a semaphore", { kind, operation: SyncOperation.MakeSemaphore, ticket: 4, count: 0 }],
  ["arrive", { kind, operation: SyncOperation.Arrive, ticket: 5, name: "phase", count: 3 }],
  ["lock", { kind, operation: SyncOperation.Lock, ticket: 6, name: "Zähler" }],
  ["try to lock", { kind, operation: SyncOperation.TryLock, ticket: 0xffff_ffff, name: "x" }],
  ["unlock", { kind, operation: SyncOperation.Unlock, ticket: 8, lock: 6 }],
  ["cancel", { kind, operation: SyncOperation.Cancel, ticket: 5 }],
  ["abandon", { kind, operation: SyncOperation.Abandon, ticket: 9, lock: 6 }],
  ["wait for a word", {
    kind,
    operation: SyncOperation.FutexWait,
    ticket: 10,
    key: 0xff_ffff_fffcn,
  }],
  ["stay", { kind, operation: SyncOperation.FutexStay, ticket: 10 }],
  ["notify", {
    kind,
    operation: SyncOperation.FutexNotify,
    ticket: 11,
    key: 8n,
    count: 0x7fff_ffff,
  }],
  ["heard", { kind, operation: SyncOperation.FutexHeard, ticket: 0, key: 8n }],
  ["moved", { kind, operation: SyncOperation.FutexMoved, ticket: 10, key: 8n }],
  ["return", { kind, operation: SyncOperation.FutexReturn, ticket: 0, key: 8n }],
  ["reply: done", reply(0x0102_0305, SyncStatus.Done)],
  ["reply: made", reply(2, SyncStatus.Made, 0, (1n << 63n) + 1n)],
  ["reply: last", reply(3, SyncStatus.Last)],
  ["reply: abandoned", reply(4, SyncStatus.Abandoned)],
  ["reply: unavailable", reply(5, SyncStatus.Unavailable)],
  ["reply: cancelled", reply(6, SyncStatus.Cancelled)],
  ["reply: overflow", reply(7, SyncStatus.Overflow)],
  ["reply: parties mismatch", reply(8, SyncStatus.PartiesMismatch, 4)],
  ["reply: not holder", reply(9, SyncStatus.NotHolder)],
  ["reply: limit exceeded", reply(10, SyncStatus.LimitExceeded)],
  ["reply: peer lost", reply(11, SyncStatus.PeerLost, 3)],
  ["reply: registered", reply(10, SyncStatus.Registered)],
  ["reply: notified", reply(11, SyncStatus.Notified, 2)],
  ["reply: quiet", reply(11, SyncStatus.Quiet, 0, 8n)],
  ["reply: stirred", reply(0, SyncStatus.Stirred, 0, 8n)],
  ["reply: lent", reply(11, SyncStatus.Lent, 0, 8n)],
  ["reply: moved", reply(10, SyncStatus.Moved, 0, 8n)],
  ["gathered", { kind: "gather", step: GatherStep.Gathered, tree: 1, generation: 0 }],
  ["released", {
    kind: "gather",
    step: GatherStep.Released,
    tree: 0x0102_0304,
    generation: 0xffff_ffff,
  }],
  ["recall", { kind: "gather", step: GatherStep.Recall, tree: 7, generation: 2 }],
  ["dissolved", { kind: "gather", step: GatherStep.Dissolved, tree: 7, generation: 3 }],
];
