import { assert, assertEquals } from "@std/assert";
import { SyncRequesters } from "../../../tests/support/sync_requesters.ts";
import { CALL_SLOTS_MAX, FUTEX_QUIET_SLOTS, SYNC_WAITING_MAX } from "../../limits.ts";
import { firstTicketOf } from "./messages.ts";

const ALL = 2 ** 31 - 1;

Deno.test("FutexDesk: a wait is acknowledged, and woken once its thread has looked", () => {
  const cluster = new SyncRequesters().futexWait(2, 1).futexWait(3, 1);
  assertEquals(cluster.answers(), ["2.1 Registered", "3.1 Registered"]);
  cluster.futexStay(2, 1).futexStay(3, 1).futexNotify(1, 1, 1);
  assertEquals(cluster.answers(), ["2.1 Done", "1.1 Notified 1"]);
  cluster.futexNotify(1, 1, ALL);
  assertEquals(cluster.answers(), ["3.1 Done", "1.1 Notified 1"]);
  assert(cluster.isEmpty);
});

Deno.test("FutexDesk: a notify waits for threads that have yet to look, and passes over those that go", () => {
  const cluster = new SyncRequesters().futexWait(2, 1).futexWait(3, 1).futexStay(3, 1);
  cluster.answers();
  cluster.futexNotify(1, 1, 1).futexWait(1, 2);
  assertEquals(cluster.answers(), ["1.2 Registered"]);
  // The first has found its word changed: the notify is the second's, not that of the last.
  cluster.futexStay(1, 2).cancel(2, 1);
  assertEquals(cluster.answers(), ["2.1 Cancelled", "3.1 Done", "1.1 Notified 1"]);
  cluster.futexNotify(2, 2, ALL);
  assertEquals(cluster.answers(), ["1.2 Done", "2.2 Notified 1"]);
});

Deno.test("FutexDesk: a wait that came behind a notify is not woken by it", () => {
  const cluster = new SyncRequesters().futexWait(2, 1).futexNotify(1, 1, ALL).futexWait(3, 1);
  cluster.futexStay(3, 1).futexStay(2, 1);
  assertEquals(cluster.answers(), [
    "2.1 Registered",
    "3.1 Registered",
    "2.1 Done",
    "1.1 Notified 1",
  ]);
  cluster.cancel(3, 1);
  assertEquals(cluster.answers(), ["3.1 Cancelled"]);
  assert(cluster.isEmpty);
});

Deno.test("FutexDesk: before a wait is acknowledged, nodes hear that the word is not quiet", () => {
  const cluster = new SyncRequesters().futexNotify(2, 1, 1).futexNotify(3, 1, 1);
  assertEquals(cluster.answers(), ["2.1 Quiet 8", "3.1 Quiet 8"]);
  cluster.futexWait(1, 1);
  assertEquals(cluster.answers(), ["2.0 Stirred 8", "3.0 Stirred 8"]);
  cluster.futexHeard(3).futexWait(1, 2);
  assertEquals(cluster.answers(), []);
  cluster.futexHeard(2);
  assertEquals(cluster.answers(), ["1.1 Registered", "1.2 Registered"]);
  cluster.futexHeard(2);
  assertEquals(cluster.violations(), ["2: has heard of word 8, untold"]);
});

Deno.test("FutexDesk: a node that is gone need not hear, and its waits pass notifies on", () => {
  const cluster = new SyncRequesters().futexNotify(2, 1, 1).futexWait(3, 1).futexWait(1, 1);
  assertEquals(cluster.answers(), ["2.1 Quiet 8", "2.0 Stirred 8"]);
  cluster.lose(2);
  assertEquals(cluster.answers(), ["3.1 Registered", "1.1 Registered"]);
  cluster.futexStay(1, 1).futexNotify(1, 2, 1);
  assertEquals(cluster.answers(), []);
  cluster.leave(3);
  assertEquals(cluster.answers(), ["1.1 Done", "1.2 Notified 1"]);
});

Deno.test("FutexDesk: the notify of a node that is gone is done all the same", () => {
  const cluster = new SyncRequesters().futexWait(2, 1).futexWait(2, 2).futexStay(2, 2);
  cluster.futexNotify(3, 1, ALL).lose(3);
  assertEquals(cluster.answers(), ["2.1 Registered", "2.2 Registered"]);
  cluster.cancel(2, 1);
  assertEquals(cluster.answers(), ["2.1 Cancelled", "2.2 Done"]);
  assert(cluster.isEmpty);
});

Deno.test("FutexDesk: a word whose slot is taken is not quiet until the slot is free", () => {
  const other = 8n + BigInt(4 * FUTEX_QUIET_SLOTS);
  const cluster = new SyncRequesters().futexNotify(2, 1, 1).futexNotify(2, 2, 1, other);
  assertEquals(cluster.answers(), ["2.1 Quiet 8", "2.0 Stirred 8", "2.2 Notified"]);
  cluster.futexHeard(2).futexNotify(2, 3, 1, other);
  assertEquals(cluster.answers(), ["2.3 Quiet 408"]);
});

Deno.test("FutexDesk: by the link of a thread no word becomes quiet, and its end takes its waits away", () => {
  const ticket = firstTicketOf(1);
  const cluster = new SyncRequesters().futexNotify(2, ticket, 1).futexWait(2, ticket);
  assertEquals(cluster.answers(), [`2.${ticket} Notified`, `2.${ticket} Registered`]);
  cluster.endThread(2, 1);
  assertEquals(cluster.answers(), []);
  assert(cluster.isEmpty);
});

Deno.test("FutexDesk: tickets are checked, and a stay without a look is a breach", () => {
  const cluster = new SyncRequesters().futexWait(2, 1).futexWait(2, 1).futexNotify(2, 1, 1);
  cluster.acquire(2, 1).futexStay(2, 1).futexStay(2, 1).futexStay(2, 9);
  const inUse = "2: request under ticket 1, which is in use";
  assertEquals(cluster.violations(), [
    ...[inUse, inUse, inUse],
    "2: stays under ticket 1, and did not look",
    "2: stays under ticket 9, and did not look",
  ]);
});

Deno.test("FutexDesk: so many waits are remembered, of each node some", () => {
  const cluster = new SyncRequesters(2);
  for (let ticket = 0; ticket < SYNC_WAITING_MAX; ticket++) cluster.futexWait(1, ticket);
  cluster.answers();
  for (let ticket = 0; ticket < CALL_SLOTS_MAX; ticket++) cluster.futexWait(2, ticket);
  assertEquals(cluster.answers().at(-1), `2.${CALL_SLOTS_MAX - 1} Registered`);
  cluster.futexWait(2, CALL_SLOTS_MAX).futexNotify(1, SYNC_WAITING_MAX, 1);
  assertEquals(cluster.answers(), [
    `2.${CALL_SLOTS_MAX} LimitExceeded`,
    `1.${SYNC_WAITING_MAX} LimitExceeded`,
  ]);
});
