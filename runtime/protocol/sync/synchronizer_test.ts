import { assert, assertEquals } from "@std/assert";
import { SyncRequesters } from "../../../tests/support/sync_requesters.ts";
import {
  CALL_SLOTS_MAX,
  PLACE_NODES_TOLD_MAX,
  PLACES_TOLD_MAX,
  SYNC_WAITING_MAX,
  TICKET_MAX,
} from "../../limits.ts";
import { firstTicketOf, NODE_TICKET_MAX, THREAD_TICKETS, threadOf } from "./messages.ts";

Deno.test("Synchronizer: a request that waits can be cancelled, wherever in the queue, and others keep their places", () => {
  for (const [cancelled, left] of [[1, [2, 3]], [2, [1, 3]], [3, [1, 2]]] as const) {
    const cluster = new SyncRequesters().acquire(2, 1).acquire(2, 2).acquire(2, 3);
    cluster.cancel(2, cancelled).release(1, 1, 2);
    const expected = [`2.${cancelled} Cancelled`, ...left.map((ticket) => `2.${ticket} Done`)];
    assertEquals(cluster.answers(), [...expected, "1.1 Done"]);
    assert(cluster.isEmpty);
  }
});

Deno.test("Synchronizer: what was granted cannot be cancelled, nor what was never asked for", () => {
  const cluster = new SyncRequesters().acquire(2, 1).release(1, 1).lock(2, 2).lock(3, 2);
  assertEquals(cluster.answers(), ["2.1 Done", "1.1 Done", "2.2 Done"]);
  cluster.cancel(2, 1).cancel(2, 2).cancel(2, 99).cancel(1, 2);
  assertEquals(cluster.answers(), []);
  cluster.unlock(2, 3, 2);
  assertEquals(cluster.answers(), ["3.2 Done", "2.3 Done"]);
});

Deno.test("Synchronizer: nothing is said to a node that is gone, and nothing that it says counts", () => {
  const cluster = new SyncRequesters().lose(2).release(2, 1).acquire(2, 2).lock(2, 3).arrive(
    2,
    4,
    1,
  );
  cluster.cancel(2, 2).unlock(2, 5, 3).makeSemaphore(2, 6, 1).lose(2);
  assertEquals(cluster.answers(), []);
  assertEquals(cluster.violations(), []);
  assert(cluster.isEmpty);
});

Deno.test("Synchronizer: a ticket names one request at a time, until it is answered or unlocked", () => {
  const cluster = new SyncRequesters().acquire(2, 1).tryAcquire(2, 1);
  assertEquals(cluster.violations(), ["2: request under ticket 1, which is in use"]);
  cluster.lock(3, 1).lock(3, 1);
  assertEquals(cluster.violations(), ["3: request under ticket 1, which is in use"]);
  assertEquals(cluster.answers(), ["3.1 Done"]);
  cluster.unlock(3, 2, 1).release(1, 1).tryAcquire(2, 1).lock(3, 1);
  assertEquals(cluster.answers(), [
    "3.2 Done",
    "2.1 Done",
    "1.1 Done",
    "2.1 Unavailable",
    "3.1 Done",
  ]);
  assertEquals(cluster.violations(), []);
});

Deno.test("Synchronizer: one request too many does not wait, and leaves nothing behind", () => {
  const cluster = new SyncRequesters(3, { objects: 9, waiting: 2 }).acquire(1, 1).arrive(2, 1, 2);
  cluster.acquire(3, 1, 8n).arrive(3, 2, 3, "other").lock(1, 2).lock(3, 3);
  assertEquals(cluster.answers(), [
    "3.1 LimitExceeded",
    "3.2 LimitExceeded",
    "1.2 Done",
    "3.3 LimitExceeded",
  ]);
  assertEquals(cluster.synchronizer.usage, {
    semaphores: 1,
    barriers: 1,
    mutexes: 1,
    waiting: 2,
    held: 1,
    orphans: 0,
  });
  cluster.arrive(3, 4, 2).acquire(3, 5, 8n);
  assertEquals(cluster.answers(), ["2.1 Done", "3.4 Last"]);
});

Deno.test("Synchronizer: as many wait as the limit says, and no more", () => {
  const cluster = new SyncRequesters();
  for (let ticket = 1; ticket <= SYNC_WAITING_MAX + 1; ticket++) cluster.acquire(2, ticket);
  assertEquals(cluster.answers(), [`2.${SYNC_WAITING_MAX + 1} LimitExceeded`]);
  cluster.release(1, 1, SYNC_WAITING_MAX);
  assertEquals(cluster.answers().length, SYNC_WAITING_MAX + 1);
  assert(cluster.isEmpty);
});

Deno.test("Synchronizer: a node makes no more than its share, and others as much as they need", () => {
  const cluster = new SyncRequesters(3, { objectsOfNode: 3 });
  cluster.release(2, 1, 1, 1n).lock(2, 2).arrive(2, 3, 2).answers();
  cluster.release(2, 4, 1, 2n).lock(2, 5, "b").arrive(2, 6, 2, "b").makeSemaphore(2, 7, 1);
  const refused = [4, 5, 6, 7].map((ticket) => `2.${ticket} LimitExceeded`);
  assertEquals(cluster.answers(), refused);
  cluster.release(2, 8, 1, 1n).release(3, 1, 1, 2n).lock(3, 2, "b").arrive(3, 3, 2);
  assertEquals(cluster.answers(), ["2.8 Done", "3.1 Done", "3.2 Done", "2.3 Done", "3.3 Last"]);
});

Deno.test("Synchronizer: nodes that make all there may be leave others what they are assured of", () => {
  const cluster = new SyncRequesters(3, { objects: 2, objectsAssured: 1 });
  cluster.release(1, 1, 1, 1n).release(1, 2, 1, 2n).release(1, 3, 1, 3n).release(2, 1, 1, 4n);
  cluster.release(2, 2, 1, 5n);
  assertEquals(cluster.answers(), [
    "1.1 Done",
    "1.2 Done",
    "1.3 LimitExceeded",
    "2.1 Done",
    "2.2 LimitExceeded",
  ]);
});

Deno.test("Synchronizer: a node that has all places in the queues leaves others those that they are assured of", () => {
  const cluster = new SyncRequesters(2, { waiting: 2, waitingAssured: 1 });
  cluster.acquire(1, 1).acquire(1, 2).acquire(1, 3).acquire(2, 1).acquire(2, 2);
  assertEquals(cluster.answers(), ["1.3 LimitExceeded", "2.2 LimitExceeded"]);
});

Deno.test("Synchronizer: what a node has made is given back when it is gone, to those that use it first of all", () => {
  const cluster = new SyncRequesters(4);
  // A semaphore and a mutex that others wait for; one of each that none uses.
  cluster.acquire(2, 1, 1n).acquire(3, 1, 1n).lock(2, 2, "a").lock(3, 2, "a");
  cluster.release(2, 3, 2, 2n).lock(2, 4, "b").answers();
  assertEquals([2, 3].map((node) => cluster.synchronizer.madeBy(node)), [4, 0]);
  cluster.lose(2);
  assertEquals(cluster.answers(), ["3.2 Abandoned"]);
  assertEquals([2, 3].map((node) => cluster.synchronizer.madeBy(node)), [0, 2]);
  assertEquals(cluster.synchronizer.usage.orphans, 2);
  // Permits that a node gave before it went are there still, and what is used belongs to its user.
  cluster.tryAcquire(4, 1, 2n).lock(4, 2, "b");
  assertEquals(cluster.answers(), ["4.1 Done", "4.2 Abandoned"]);
  assertEquals(cluster.synchronizer.madeBy(4), 2);
  assertEquals(cluster.synchronizer.usage.orphans, 0);
});

Deno.test("Synchronizer: of what nobody uses since its maker went, the oldest is forgotten where there is too much", () => {
  const cluster = new SyncRequesters(3, { orphans: 2 });
  cluster.release(2, 1, 1, 1n).release(3, 1, 1, 2n).lose(2).release(3, 2, 1, 3n).lose(3);
  assertEquals(cluster.synchronizer.usage.orphans, 2);
  cluster.answers();
  cluster.tryAcquire(1, 1, 1n).tryAcquire(1, 2, 2n).tryAcquire(1, 3, 3n);
  assertEquals(cluster.answers(), ["1.1 Unavailable", "1.2 Done", "1.3 Done"]);
  assert(cluster.isEmpty);
});

Deno.test("Synchronizer: where every thread of every node waits, it is told once, after a while", () => {
  const cluster = new SyncRequesters(3, { stuckBeats: 3 });
  cluster.arrive(2, 1, 4).acquire(3, 1).beat(9);
  // The thread of node 1 may come yet.
  assertEquals(cluster.stuck(), []);
  cluster.arrive(1, 1, 4).beat(2);
  assertEquals(cluster.stuck(), []);
  const barriers = [{ name: "phase", parties: 4, arrived: [2, 1] }];
  cluster.beat();
  assertEquals(cluster.stuck(), [{ barriers, others: 1 }]);
  cluster.beat(9);
  assertEquals(cluster.stuck(), []);
  // Whatever is asked, the wait begins anew.
  cluster.tryAcquire(1, 2).beat(2);
  assertEquals(cluster.stuck(), []);
  cluster.beat();
  assertEquals(cluster.stuck(), [{ barriers, others: 1 }]);
});

Deno.test("Synchronizer: nothing is told where a second thread of a node, or a new node, is at work", () => {
  const cluster = new SyncRequesters(2, { stuckBeats: 1 });
  cluster.synchronizer.setThreads(2, 2);
  cluster.arrive(1, 1, 3).arrive(2, 1, 3).beat(2);
  assertEquals(cluster.stuck(), []);
  cluster.synchronizer.setThreads(2, 1);
  cluster.synchronizer.peerJoined(3);
  cluster.beat();
  assertEquals(cluster.stuck(), []);
  cluster.leave(3).beat();
  assertEquals(cluster.stuck().length, 1);
});

Deno.test("Synchronizer: nothing is told where threads wait for permits and mutexes alone", () => {
  const cluster = new SyncRequesters(2, { stuckBeats: 1 });
  cluster.acquire(1, 1).lock(2, 1).lock(2, 2).beat(3);
  assertEquals(cluster.stuck(), []);
});

Deno.test("threadOf: each thread that asks by a link of its own has tickets of its own, and the node has the rest", () => {
  assertEquals([0, 1, NODE_TICKET_MAX].map(threadOf), [0, 0, 0]);
  for (let thread = 1; thread <= CALL_SLOTS_MAX; thread++) {
    const first = firstTicketOf(thread);
    assertEquals([first - 1, first, first + THREAD_TICKETS - 1].map(threadOf), [
      thread - 1,
      thread,
      thread,
    ]);
  }
  assertEquals(threadOf(TICKET_MAX), CALL_SLOTS_MAX);
});

Deno.test("Synchronizer: a thread whose link has ended loses its places, and its mutex goes on as abandoned", () => {
  const [one, two] = [firstTicketOf(1), firstTicketOf(2)];
  const cluster = new SyncRequesters().lock(2, one).lock(2, two).lock(3, 1);
  cluster.acquire(2, one + 1).acquire(2, two + 1).arrive(2, one + 2, 2).answers();
  cluster.endThread(2, 1);
  assertEquals(cluster.answers(), [`2.${two} Abandoned`]);
  // The permit goes to the thread that is left, and the barrier has nobody.
  cluster.release(3, 2).arrive(3, 3, 2);
  assertEquals(cluster.answers(), [`2.${two + 1} Done`, "3.2 Done"]);
  cluster.cancel(3, 3).unlock(2, two + 2, two).unlock(3, 4, 1);
  assertEquals(cluster.answers(), ["3.3 Cancelled", "3.1 Done", `2.${two + 2} Done`, "3.4 Done"]);
  assert(cluster.isEmpty);
});

Deno.test("Synchronizer: the end of a thread's link means nothing where its node is gone", () => {
  const cluster = new SyncRequesters().lock(2, firstTicketOf(1)).lock(3, 1).lose(2);
  assertEquals(cluster.answers(), [`2.${firstTicketOf(1)} Done`, "3.1 Abandoned"]);
  cluster.endThread(2, 1).unlock(3, 2, 1);
  assertEquals(cluster.answers(), ["3.2 Done"]);
  assert(cluster.isEmpty);
});

Deno.test("Synchronizer: shows where requests wait and what is locked, the place with most waits first", () => {
  const cluster = new SyncRequesters(4).lock(1, 1).lock(2, 1).lock(3, 1).arrive(4, 1, 3).lock(
    4,
    2,
    "free",
  );
  cluster.acquire(1, 2, 9n).futexWait(2, 2);
  const place = { holder: 0, parties: 0, count: 1 };
  assertEquals(cluster.synchronizer.places, [
    { kind: "mutex", name: "cells", holder: 1, parties: 0, count: 2, waiting: [2, 3] },
    { ...place, kind: "semaphore", name: "9", waiting: [1] },
    { ...place, kind: "barrier", name: "phase", parties: 3, waiting: [4] },
    { ...place, kind: "word", name: "8", waiting: [2] },
    { ...place, kind: "mutex", name: "free", holder: 4, count: 0, waiting: [] },
  ]);
  cluster.lose(1).lose(2).lose(3).lose(4);
  assertEquals(cluster.synchronizer.places, []);
});

Deno.test("Synchronizer: shows so many places, and the first nodes at each", () => {
  const cluster = new SyncRequesters(1);
  for (let ticket = 1; ticket <= PLACES_TOLD_MAX + 8; ticket++) {
    cluster.arrive(1, ticket, 99, `b${Math.min(ticket, PLACES_TOLD_MAX + 1)}`);
  }
  for (let index = 0; index < PLACE_NODES_TOLD_MAX + 1; index++) cluster.acquire(1, 200 + index);
  const { places } = cluster.synchronizer;
  assertEquals(places.length, PLACES_TOLD_MAX);
  assertEquals(places.slice(0, 2).map(({ count, waiting }) => [count, waiting.length]), [
    [PLACE_NODES_TOLD_MAX + 1, PLACE_NODES_TOLD_MAX],
    [8, 8],
  ]);
});
