import { assert, assertEquals } from "@std/assert";
import { SyncRequesters } from "../../../tests/support/sync_requesters.ts";
import { SEMAPHORE_COUNT_MAX } from "../../limits.ts";
import { SEMAPHORE_KEY_MADE_MIN } from "./semaphores.ts";

Deno.test("Semaphores: a semaphore that no thread touched has no permits", () => {
  const cluster = new SyncRequesters().tryAcquire(1, 1).acquire(2, 1);
  assertEquals(cluster.answers(), ["1.1 Unavailable"]);
  assertEquals(cluster.synchronizer.usage.waiting, 1);
});

Deno.test("Semaphores: permits go to the requests that wait first, in the order in which they came", () => {
  const cluster = new SyncRequesters().acquire(3, 1).acquire(2, 1).acquire(3, 2).release(1, 9, 2);
  assertEquals(cluster.answers(), ["3.1 Done", "2.1 Done", "1.9 Done"]);
  cluster.tryAcquire(2, 2).release(1, 10, 3);
  assertEquals(cluster.answers(), ["2.2 Unavailable", "3.2 Done", "1.10 Done"]);
  assertEquals(cluster.synchronizer.permits(7n), 2);
});

Deno.test("Semaphores: permits are kept until they are acquired, and then nothing is", () => {
  const cluster = new SyncRequesters().release(1, 1, 2).acquire(2, 1).tryAcquire(2, 2).tryAcquire(
    2,
    3,
  );
  assertEquals(cluster.answers(), ["1.1 Done", "2.1 Done", "2.2 Done", "2.3 Unavailable"]);
  assert(cluster.isEmpty);
});

Deno.test("Semaphores: keys of 64 bits are told apart", () => {
  const cluster = new SyncRequesters().release(1, 1, 1, 1n).release(1, 2, 1, 1n + (1n << 32n));
  cluster.release(1, 3, 1, (1n << 64n) - 1n).acquire(2, 1, 1n).tryAcquire(2, 2, 1n);
  assertEquals(cluster.answers().slice(3), ["2.1 Done", "2.2 Unavailable"]);
  assertEquals(cluster.synchronizer.usage.semaphores, 2);
});

Deno.test("Semaphores: what would overflow is refused, and nothing of it is given", () => {
  const cluster = new SyncRequesters().release(1, 1, SEMAPHORE_COUNT_MAX).release(1, 2);
  assertEquals(cluster.answers(), ["1.1 Done", "1.2 Overflow"]);
  assertEquals(cluster.synchronizer.permits(7n), SEMAPHORE_COUNT_MAX);
  cluster.acquire(2, 1).release(1, 3).release(1, 4, SEMAPHORE_COUNT_MAX);
  assertEquals(cluster.answers(), ["2.1 Done", "1.3 Done", "1.4 Overflow"]);
});

Deno.test("Semaphores: permits for requests that wait do not count towards an overflow", () => {
  const cluster = new SyncRequesters().acquire(2, 1).release(1, 1, SEMAPHORE_COUNT_MAX).release(
    1,
    2,
  );
  assertEquals(cluster.answers(), ["2.1 Done", "1.1 Done", "1.2 Done"]);
  assertEquals(cluster.synchronizer.permits(7n), SEMAPHORE_COUNT_MAX);
});

Deno.test("Semaphores: a made semaphore has a key that no other has", () => {
  const taken = SEMAPHORE_KEY_MADE_MIN + 1n;
  const cluster = new SyncRequesters().release(1, 1, 1, taken).makeSemaphore(1, 2, 0);
  cluster.makeSemaphore(2, 3, 5).makeSemaphore(2, 4, 0).makeSemaphore(3, 5, 0);
  assertEquals(cluster.answers().slice(1), [
    "1.2 Made 8000000000000000",
    "2.3 Made 8000000000000002",
    "2.4 Made 8000000000000003",
    "3.5 Made 8000000000000004",
  ]);
  assertEquals(cluster.synchronizer.permits(SEMAPHORE_KEY_MADE_MIN + 2n), 5);
  assertEquals(cluster.synchronizer.usage.semaphores, 2);
});

Deno.test("Semaphores: a node that dies while it waits takes no permit with it", () => {
  const cluster = new SyncRequesters().acquire(2, 1).acquire(3, 1).acquire(2, 2).lose(2).release(
    1,
    1,
    2,
  );
  assertEquals(cluster.answers(), ["3.1 Done", "1.1 Done"]);
  assertEquals(cluster.synchronizer.permits(7n), 1);
});

Deno.test("Semaphores: permits of a node that dies are not given back", () => {
  const cluster = new SyncRequesters().release(1, 1).acquire(2, 1).lose(2).tryAcquire(1, 2);
  assertEquals(cluster.answers(), ["1.1 Done", "2.1 Done", "1.2 Unavailable"]);
  assert(cluster.isEmpty);
});

Deno.test("Semaphores: a semaphore for which there is no room is refused, one in use is not", () => {
  const cluster = new SyncRequesters(3, { objects: 1, waiting: 9 }).release(1, 1, 1, 1n);
  cluster.release(1, 2, 1, 2n).acquire(2, 3, 2n).makeSemaphore(1, 4, 1).release(1, 5, 1, 1n);
  assertEquals(cluster.answers(), [
    "1.1 Done",
    "1.2 LimitExceeded",
    "2.3 LimitExceeded",
    "1.4 LimitExceeded",
    "1.5 Done",
  ]);
});
