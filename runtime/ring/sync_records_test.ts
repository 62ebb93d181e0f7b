import { assertEquals, assertThrows } from "@std/assert";
import { BARRIER_PARTIES_MAX, SEMAPHORE_COUNT_MAX } from "../limits.ts";
import { SyncOperation, type SyncReply, SyncStatus } from "../protocol/sync/messages.ts";
import { Call } from "./calls.ts";
import { CallSlots } from "./call_slots.ts";
import { newBody, type RecordBody, type RingRecord } from "./ring.ts";
import {
  syncAnswer,
  syncAnswerFields,
  syncBody,
  type SyncDemand,
  syncRequest,
} from "./sync_records.ts";

const KEYS = [0n, 7n, 2n ** 32n, 2n ** 63n, 2n ** 64n - 1n];
const NAMES = ["x", "größe", "\ufeffmarked", "é".repeat(127) + "x"];

/** What comes out of a ring for what goes in. */
function cross(body: RecordBody): RingRecord {
  const { calls } = new CallSlots().rings(0);
  calls.push(9, body);
  return calls.pop()!;
}

/** A few requests of each operation. */
const DEMANDS: Readonly<Record<SyncDemand["operation"], readonly SyncDemand[]>> = {
  [SyncOperation.Acquire]: KEYS.map((key) => ({ operation: SyncOperation.Acquire, key })),
  [SyncOperation.TryAcquire]: KEYS.map((key) => ({ operation: SyncOperation.TryAcquire, key })),
  [SyncOperation.Release]: KEYS.map((key) => ({
    operation: SyncOperation.Release,
    key,
    count: SEMAPHORE_COUNT_MAX,
  })),
  [SyncOperation.MakeSemaphore]: [0, 1, SEMAPHORE_COUNT_MAX].map((count) => ({
    operation: SyncOperation.MakeSemaphore,
    count,
  })),
  [SyncOperation.Arrive]: NAMES.map((name) => ({
    operation: SyncOperation.Arrive,
    name,
    count: BARRIER_PARTIES_MAX,
  })),
  [SyncOperation.Lock]: NAMES.map((name) => ({ operation: SyncOperation.Lock, name })),
  [SyncOperation.TryLock]: NAMES.map((name) => ({ operation: SyncOperation.TryLock, name })),
  [SyncOperation.FutexWait]: KEYS.map((key) => ({ operation: SyncOperation.FutexWait, key })),
  [SyncOperation.FutexNotify]: KEYS.map((key) => ({
    operation: SyncOperation.FutexNotify,
    key,
    count: SEMAPHORE_COUNT_MAX,
  })),
  [SyncOperation.Abandon]: [{ operation: SyncOperation.Abandon, lock: 7 }],
  [SyncOperation.Unlock]: [1, 0xffff_ffff].map((lock) => ({
    operation: SyncOperation.Unlock,
    lock,
  })),
};

Deno.test("syncBody: a request of each operation crosses the ring as it was, and gets its ticket behind it", () => {
  const unanswered: SyncOperation[] = [
    SyncOperation.Cancel,
    SyncOperation.FutexStay,
    SyncOperation.FutexHeard,
    SyncOperation.FutexMoved,
    SyncOperation.FutexReturn,
  ];
  const operations = Object.values(SyncOperation).filter((code) => !unanswered.includes(code));
  assertEquals(Object.keys(DEMANDS).map(Number), operations);
  for (const demand of Object.values(DEMANDS).flat()) {
    const record = cross(syncBody(demand));
    assertEquals([record.kind, record.call], [Call.Sync, 9]);
    const expected: unknown = { kind: "sync", ticket: 77, ...demand };
    assertEquals(syncRequest(record, 77), expected);
  }
});

Deno.test("syncRequest: an operation that a thread cannot ask for is a fault of the runtime", () => {
  for (const code of [0, SyncOperation.Cancel, SyncOperation.FutexStay, SyncOperation.FutexMoved]) {
    assertThrows(() => syncRequest(newBody(Call.Sync, { code }), 1), Error, `operation ${code}`);
  }
});

Deno.test("syncAnswer: an answer of each status crosses the ring as it was", () => {
  for (const status of Object.values(SyncStatus)) {
    for (const key of KEYS) {
      const answer = { status, count: BARRIER_PARTIES_MAX, ticket: 0xffff_ffff, key };
      const reply: SyncReply = { kind: "syncReply", ...answer };
      assertEquals(syncAnswer(cross(newBody(0, syncAnswerFields(reply)))), answer);
    }
  }
});
