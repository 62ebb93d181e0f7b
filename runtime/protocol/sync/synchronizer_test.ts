import { assert, assertEquals } from "@std/assert";
import { SyncRequesters } from "../../../tests/support/sync_requesters.ts";
import { SYNC_WAITING_MAX } from "../../limits.ts";

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
