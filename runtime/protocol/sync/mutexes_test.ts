import { assert, assertEquals } from "@std/assert";
import { SyncRequesters } from "../../../tests/support/sync_requesters.ts";

Deno.test("Mutexes: a mutex goes from one to the next, first come first served", () => {
  const cluster = new SyncRequesters().lock(1, 1).lock(3, 1).lock(2, 1).tryLock(2, 2);
  assertEquals(cluster.answers(), ["1.1 Done", "2.2 Unavailable"]);
  cluster.unlock(1, 2, 1);
  assertEquals(cluster.answers(), ["3.1 Done", "1.2 Done"]);
  cluster.unlock(3, 2, 1).unlock(2, 3, 1).tryLock(1, 3).unlock(1, 4, 3);
  assertEquals(cluster.answers(), ["2.1 Done", "3.2 Done", "2.3 Done", "1.3 Done", "1.4 Done"]);
  assert(cluster.isEmpty);
});

Deno.test("Mutexes: only its holder unlocks a mutex: not another node, nor another thread, nor twice", () => {
  const cluster = new SyncRequesters().lock(1, 1).lock(1, 2).unlock(2, 1, 1).unlock(1, 3, 2);
  assertEquals(cluster.answers(), ["1.1 Done", "2.1 NotHolder", "1.3 NotHolder"]);
  cluster.unlock(1, 4, 1).unlock(1, 5, 1);
  assertEquals(cluster.answers(), ["1.2 Done", "1.4 Done", "1.5 NotHolder"]);
});

Deno.test("Mutexes: the next holder is told that the last one is gone, and none after it", () => {
  const cluster = new SyncRequesters().lock(2, 1).lock(1, 1).lock(3, 1).lose(2);
  assertEquals(cluster.answers(), ["2.1 Done", "1.1 Abandoned"]);
  cluster.unlock(1, 2, 1);
  assertEquals(cluster.answers(), ["3.1 Done", "1.2 Done"]);
});

Deno.test("Mutexes: that a mutex is abandoned is remembered until a thread locks it", () => {
  for (const operation of ["lock", "tryLock"] as const) {
    const cluster = new SyncRequesters().lock(2, 1).lose(2);
    assertEquals(cluster.synchronizer.usage.mutexes, 1);
    cluster[operation](1, 1).unlock(1, 2, 1)[operation](1, 3).unlock(1, 4, 3);
    assertEquals(cluster.answers().slice(1), [
      "1.1 Abandoned",
      "1.2 Done",
      "1.3 Done",
      "1.4 Done",
    ]);
    assert(cluster.isEmpty);
  }
});

Deno.test("Mutexes: a node that dies does not inherit what it held itself", () => {
  const cluster = new SyncRequesters().lock(2, 1).lock(2, 2).lock(2, 3, "b").lock(3, 1, "b").lock(
    2,
    4,
  );
  cluster.lose(2);
  assertEquals(cluster.answers(), ["2.1 Done", "2.3 Done", "3.1 Abandoned"]);
  assertEquals(cluster.synchronizer.usage, {
    semaphores: 0,
    barriers: 0,
    mutexes: 2,
    waiting: 0,
    held: 1,
    orphans: 1,
  });
});

Deno.test("Mutexes: a node that dies while it waits for a mutex does not get it", () => {
  const cluster = new SyncRequesters().lock(1, 1).lock(2, 1).lock(3, 1).lose(2).unlock(1, 2, 1);
  assertEquals(cluster.answers(), ["1.1 Done", "3.1 Done", "1.2 Done"]);
});

Deno.test("Mutexes: a mutex for which there is no room is refused", () => {
  const cluster = new SyncRequesters(3, { objects: 1, waiting: 9 }).lock(1, 1, "a").lock(2, 1, "b");
  cluster.tryLock(2, 2, "b").unlock(1, 2, 1).lock(2, 3, "b");
  assertEquals(cluster.answers(), [
    "1.1 Done",
    "2.1 LimitExceeded",
    "2.2 LimitExceeded",
    "1.2 Done",
    "2.3 Done",
  ]);
});
