import { assert, assertEquals } from "@std/assert";
import { SyncRequesters } from "../../../tests/support/sync_requesters.ts";
import {
  CALL_SLOTS_MAX,
  FUTEX_LEND_AFTER,
  FUTEX_LEND_AFTER_MAX,
  FUTEX_LENT_WAITS_MAX,
  FUTEX_QUIET_SLOTS,
  FUTEX_RUNS_MAX,
  SYNC_WAITING_MAX,
} from "../../limits.ts";
import { quietSlot } from "./futexes.ts";
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
  const other = 0x404n;
  const cluster = new SyncRequesters().futexNotify(2, 1, 1).futexNotify(2, 2, 1, other);
  assertEquals(cluster.answers(), ["2.1 Quiet 8", "2.0 Stirred 8", "2.2 Notified"]);
  cluster.futexHeard(2).futexNotify(2, 3, 1, other);
  assertEquals(cluster.answers(), ["2.3 Quiet 404"]);
});

Deno.test("quietSlot: words at the beginnings of pages have slots of their own", () => {
  for (const bytes of [4, 64, 4096, 65536, 2 ** 21, 2 ** 30]) {
    const slots = Array.from({ length: FUTEX_QUIET_SLOTS }, (_, at) => quietSlot(at * bytes));
    assertEquals(new Set(slots).size, FUTEX_QUIET_SLOTS, `${bytes} bytes`);
  }
  const cluster = new SyncRequesters().futexNotify(2, 1, 1, 0x1000n).futexNotify(2, 2, 1, 0x2000n);
  assertEquals(cluster.answers(), ["2.1 Quiet 1000", "2.2 Quiet 2000"]);
});

Deno.test("quietSlot: the slot tells the lowest byte of a word's number, wherever the word is", () => {
  for (let bit = 8; bit < 38; bit++) {
    const first = 4 * 2 ** bit * (1 + 2 ** -Math.min(bit - 8, 20));
    assert(Number.isInteger(first / 1024));
    const slots = Array.from({ length: 256 }, (_, low) => quietSlot(BigInt(first + 4 * low)));
    assertEquals(new Set(slots).size, 256, `from byte ${first} on`);
  }
});

Deno.test("FutexDesk: it is known who has used a word last, of the words that are asked about", () => {
  const others = (cluster: SyncRequesters, count: number): void => {
    for (let at = 0; at < count; at++) cluster.futexWait(3, 1, 16n + BigInt(4 * at)).cancel(3, 1);
    cluster.answers();
  };
  const known = almostLent();
  others(known, FUTEX_RUNS_MAX / 2 - 1);
  assertEquals(known.futexWait(2, 1).answers(), ["2.1 Lent 8"]);
  const forgotten = almostLent();
  others(forgotten, FUTEX_RUNS_MAX);
  assertEquals(forgotten.futexWait(2, 1).answers(), ["2.1 Registered"]);
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

/** A cluster in which a node has asked about a word so often that the next request lends it. */
function almostLent(node = 2, key = 8n): SyncRequesters {
  const cluster = new SyncRequesters();
  askOften(cluster, node, FUTEX_LEND_AFTER - 1, key);
  return cluster;
}

/** Has a node ask so often in a row, each time in vain. */
function askOften(cluster: SyncRequesters, node: number, times: number, key = 8n): void {
  const ticket = firstTicketOf(1);
  for (let time = 0; time < times; time++) cluster.futexNotify(node, ticket, 1, key);
  cluster.answers();
}

Deno.test("FutexDesk: a word that one node uses is lent to it, whichever link asks", () => {
  const cluster = almostLent().futexWait(2, 1);
  assertEquals(cluster.answers(), ["2.1 Lent 8"]);
  cluster.futexNotify(2, 2, ALL).futexWait(2, firstTicketOf(3));
  assertEquals(cluster.answers(), ["2.2 Lent 8", `2.${firstTicketOf(3)} Lent 8`]);
  assert(cluster.isEmpty);
  // Where a thread's own link lends it, the node's link tells the node.
  const ticket = firstTicketOf(1);
  const told = almostLent().futexWait(2, ticket);
  assertEquals(told.answers(), ["2.0 Lent 8", `2.${ticket} Lent 8`]);
  // Requests of the directory node's own threads cost no message as it is.
  assertEquals(almostLent(1).futexWait(1, 1).answers(), ["1.1 Registered"]);
});

Deno.test("FutexDesk: a notify by a thread's own link is served by the desk, and wants a word back", () => {
  const ticket = firstTicketOf(1);
  const cluster = almostLent().futexNotify(2, ticket, 1).futexNotify(2, ticket, 1);
  assertEquals(cluster.answers(), [`2.${ticket} Notified`, `2.${ticket} Notified`]);
  cluster.futexWait(2, 1).futexNotify(2, ticket, 1);
  assertEquals(cluster.answers(), ["2.1 Lent 8", "2.0 Stirred 8"]);
  cluster.futexMoved(2, 1).futexHeard(2);
  assertEquals(cluster.answers(), ["2.1 Done", `2.${ticket} Notified 1`]);
});

Deno.test("FutexDesk: a word is lent with the waits that sleep there, or not at all", () => {
  const cluster = new SyncRequesters().futexWait(2, 1).futexStay(2, 1).futexWait(2, 2);
  cluster.futexWait(2, 3).futexNotify(2, 4, 1);
  // Threads 2 and 3 have yet to look.
  assertEquals(cluster.answers().slice(3), ["2.1 Done", "2.4 Notified 1"]);
  cluster.futexStay(2, 2).cancel(2, 3).futexNotify(2, 5, 1);
  assertEquals(cluster.answers(), ["2.3 Cancelled", "2.2 Moved 8", "2.5 Lent 8"]);
  assert(cluster.isEmpty);
});

Deno.test("FutexDesk: the waits go to the node in their order, ahead of the word", () => {
  const cluster = new SyncRequesters().futexWait(2, 1).futexStay(2, 1).futexWait(2, 2);
  cluster.futexStay(2, 2).futexWait(2, 3).futexStay(2, 3);
  cluster.answers();
  cluster.futexNotify(2, 4, 1);
  assertEquals(cluster.answers(), ["2.1 Moved 8", "2.2 Moved 8", "2.3 Moved 8", "2.4 Lent 8"]);
  assert(cluster.isEmpty);
  // A wait by a thread's own link cannot go: the node's engine knows nothing of it.
  const other = new SyncRequesters().futexWait(2, firstTicketOf(1)).futexStay(2, firstTicketOf(1));
  askOften(other, 2, 1);
  for (let ticket = 1; ticket <= FUTEX_LEND_AFTER; ticket++) other.futexWait(2, ticket);
  assertEquals(other.answers()[0], "2.1 Registered");
});

Deno.test("FutexDesk: what others ask is held until the word is back with its waits", () => {
  const cluster = almostLent().futexWait(2, 1);
  cluster.futexNotify(3, 1, 1).futexWait(3, 2).futexNotify(1, 1, ALL).futexNotify(2, 9, 1);
  assertEquals(cluster.answers(), ["2.1 Lent 8", "2.0 Stirred 8"]);
  cluster.futexMoved(2, 1).futexMoved(2, 5);
  assertEquals(cluster.answers(), []);
  cluster.futexHeard(2);
  // The first notify wakes the first wait, and the others wait until thread 3.2 has looked.
  assertEquals(cluster.answers(), ["3.2 Registered", "2.1 Done", "3.1 Notified 1", "2.5 Done"]);
  cluster.cancel(3, 2);
  assertEquals(cluster.answers(), ["3.2 Cancelled", "1.1 Notified 1", "2.9 Quiet 8"]);
  assert(cluster.isEmpty);
  assertEquals(cluster.violations(), []);
});

Deno.test("FutexDesk: what is held can be given up, and its node or thread can go", () => {
  const thread = firstTicketOf(7);
  const cluster = almostLent().futexWait(2, 1).futexWait(3, 1).futexWait(3, thread);
  cluster.futexNotify(3, 2, 1).futexWait(1, 1);
  cluster.answers();
  cluster.cancel(1, 1).endThread(3, 7);
  assertEquals(cluster.answers(), ["1.1 Cancelled"]);
  cluster.lose(3).futexMoved(2, 1).futexHeard(2);
  // The notify of the node that is gone is done all the same.
  assertEquals(cluster.answers(), ["2.1 Done"]);
  assert(cluster.isEmpty);
});

Deno.test("FutexDesk: a node that is gone has no word any more", () => {
  for (const asked of [false, true]) {
    const cluster = almostLent().futexWait(2, 1);
    if (asked) cluster.futexNotify(3, 1, 1).futexMoved(2, 1);
    cluster.answers();
    cluster.lose(2);
    assertEquals(cluster.answers(), asked ? ["3.1 Quiet 8"] : []);
    cluster.futexWait(1, 1);
    if (!asked) assertEquals(cluster.answers(), ["1.1 Registered"]);
  }
});

Deno.test("FutexDesk: a word that was wanted back is lent only after twice as many requests", () => {
  const cluster = new SyncRequesters();
  let needed = FUTEX_LEND_AFTER;
  for (let time = 0; time < 12; time++) {
    askOften(cluster, 2, needed - 1);
    cluster.futexNotify(2, 1, 1);
    assertEquals(cluster.answers(), ["2.1 Lent 8"], `after ${needed}`);
    cluster.futexNotify(3, firstTicketOf(1), 1).futexHeard(2);
    cluster.answers();
    needed = Math.min(2 * needed, FUTEX_LEND_AFTER_MAX);
    // One less is not enough.
    askOften(cluster, 2, needed - 2);
    cluster.futexNotify(2, firstTicketOf(1), 1);
    assertEquals(cluster.answers(), [`2.${firstTicketOf(1)} Notified`]);
    cluster.futexNotify(3, firstTicketOf(1), 1);
    cluster.answers();
  }
  assertEquals(needed, FUTEX_LEND_AFTER_MAX);
});

Deno.test("FutexDesk: a word is not lent while it is quiet for another node", () => {
  const cluster = new SyncRequesters().futexNotify(3, 1, 1);
  askOften(cluster, 2, FUTEX_LEND_AFTER);
  cluster.futexWait(2, 1);
  assertEquals(cluster.answers(), ["3.0 Stirred 8"]);
  cluster.futexWait(2, 2).futexHeard(3);
  assertEquals(cluster.answers(), ["2.1 Registered", "2.2 Registered"]);
  // For the node itself it may be.
  const own = almostLent().futexNotify(2, 1, 1);
  assertEquals(own.answers(), ["2.1 Lent 8"]);
  const quiet = new SyncRequesters().futexNotify(2, 1, 1);
  askOften(quiet, 2, FUTEX_LEND_AFTER - 2);
  assertEquals(quiet.futexWait(2, 1).answers(), ["2.1 Lent 8"]);
});

Deno.test("FutexDesk: a lent word is wanted back where its slot is needed", () => {
  const other = 0x404n;
  const cluster = almostLent().futexWait(2, 1).futexNotify(2, 2, 1, other);
  assertEquals(cluster.answers(), ["2.1 Lent 8", "2.0 Stirred 8", "2.2 Notified"]);
  cluster.futexMoved(2, 1).futexHeard(2).futexNotify(2, 3, 1, other).futexNotify(3, 1, 1);
  assertEquals(cluster.answers(), ["2.3 Quiet 404", "2.1 Done", "3.1 Notified 1"]);
});

Deno.test("FutexDesk: a wait that is moved unasked is a breach, and so is a ticket in use", () => {
  const cluster = almostLent().futexMoved(2, 9).futexWait(2, 1).futexMoved(2, 1);
  cluster.futexNotify(1, 1, 1).futexMoved(3, 1).futexMoved(2, 1, 16n).futexMoved(2, 1);
  cluster.futexMoved(2, 1).futexHeard(2).futexHeard(2);
  assertEquals(cluster.violations(), [
    "2: moves a wait for word 8, unasked",
    "2: moves a wait for word 8, unasked",
    "3: moves a wait for word 8, unasked",
    "2: moves a wait for word 16, unasked",
    "2: request under ticket 1, which is in use",
    "2: has heard of word 8, untold",
  ]);
});

Deno.test("FutexDesk: a wait that sleeps is moved back whatever room there is, and then no word is lent", () => {
  const cluster = almostLent().futexWait(2, 1);
  for (let ticket = 0; ticket < SYNC_WAITING_MAX; ticket++) cluster.futexWait(1, ticket, 16n);
  cluster.futexWait(3, 1);
  cluster.answers();
  for (let ticket = 1; ticket <= FUTEX_LENT_WAITS_MAX; ticket++) cluster.futexMoved(2, ticket);
  cluster.futexHeard(2);
  assertEquals(cluster.answers(), ["3.1 Registered"]);
  cluster.futexNotify(3, 2, FUTEX_LENT_WAITS_MAX);
  assertEquals(cluster.answers().at(-1), `3.2 Notified ${FUTEX_LENT_WAITS_MAX}`);
  askOften(cluster, 2, FUTEX_LEND_AFTER - 1, 24n);
  cluster.futexWait(2, 1, 24n).cancel(1, 0).cancel(3, 1).cancel(2, 1);
  assertEquals(cluster.answers()[0], "2.1 Registered");
  assertEquals(cluster.futexWait(2, 2, 24n).answers(), ["2.2 Lent 18"]);
  assertEquals(cluster.violations(), []);
});

Deno.test("FutexDesk: to move more waits than a node may serve at a word is a breach", () => {
  const cluster = almostLent().futexWait(2, 1).futexNotify(3, 1, 1);
  for (let ticket = 1; ticket <= FUTEX_LENT_WAITS_MAX; ticket++) cluster.futexMoved(2, ticket);
  assertEquals(cluster.violations(), []);
  cluster.futexMoved(2, 1000);
  assertEquals(cluster.violations(), ["2: moves more waits for word 8 than it may have"]);
});

Deno.test("FutexDesk: a word with as many waits as a node may serve is not lent", () => {
  const cluster = new SyncRequesters();
  for (let ticket = 1; ticket <= FUTEX_LENT_WAITS_MAX; ticket++) {
    cluster.futexWait(2, ticket).futexStay(2, ticket).futexWait(3, 1).cancel(3, 1);
  }
  for (let time = 1; time < FUTEX_LEND_AFTER; time++) cluster.futexWait(2, 1000).cancel(2, 1000);
  cluster.answers();
  assertEquals(cluster.futexWait(2, 1000).answers(), ["2.1000 Registered"]);
  cluster.cancel(2, 1000).cancel(2, 1);
  cluster.answers();
  assertEquals(cluster.futexWait(2, 1001).answers().at(-1), "2.1001 Lent 8");
});

Deno.test("FutexDesk: a node may return a word, and what it asks from then on is held", () => {
  const cluster = almostLent().futexWait(2, 1).futexReturn(2).futexWait(2, 2).futexReturn(2);
  assertEquals(cluster.answers(), ["2.1 Lent 8", "2.0 Stirred 8"]);
  cluster.futexMoved(2, 1).futexHeard(2);
  assertEquals(cluster.answers(), ["2.2 Registered"]);
  cluster.futexReturn(2).futexReturn(3, 16n);
  assertEquals(cluster.violations(), [
    "2: returns word 8, and has it not",
    "3: returns word 16, and has it not",
  ]);
});
