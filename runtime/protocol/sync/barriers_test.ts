import { assert, assertEquals } from "@std/assert";
import { SyncRequesters } from "../../../tests/support/sync_requesters.ts";

Deno.test("Barriers: all are answered when the last arrives, and it is told so", () => {
  const cluster = new SyncRequesters().arrive(1, 1, 3).arrive(2, 1, 3);
  assertEquals(cluster.answers(), []);
  cluster.arrive(3, 1, 3);
  assertEquals(cluster.answers(), ["1.1 Done", "2.1 Done", "3.1 Last"]);
  assert(cluster.isEmpty);
});

Deno.test("Barriers: a barrier can be used again at once, with other parties too", () => {
  const cluster = new SyncRequesters().arrive(1, 1, 2).arrive(2, 1, 2).arrive(2, 2, 2).arrive(
    1,
    2,
    2,
  );
  assertEquals(cluster.answers(), ["1.1 Done", "2.1 Last", "2.2 Done", "1.2 Last"]);
  cluster.arrive(1, 3, 1).arrive(1, 4, 3);
  assertEquals(cluster.answers(), ["1.3 Last"]);
});

Deno.test("Barriers: two threads of one node are two parties", () => {
  const cluster = new SyncRequesters().arrive(1, 1, 2).arrive(1, 2, 2);
  assertEquals(cluster.answers(), ["1.1 Done", "1.2 Last"]);
});

Deno.test("Barriers: another number of parties is an error for every thread, which is told the other's", () => {
  const cluster = new SyncRequesters().arrive(1, 1, 3).arrive(2, 1, 3).arrive(3, 1, 2);
  assertEquals(cluster.answers(), [
    "1.1 PartiesMismatch 2",
    "2.1 PartiesMismatch 2",
    "3.1 PartiesMismatch 3",
  ]);
  assert(cluster.isEmpty);
});

Deno.test("Barriers: barriers with other names do not know of each other", () => {
  const cluster = new SyncRequesters().arrive(1, 1, 2, "a").arrive(2, 1, 3, "b").arrive(
    3,
    1,
    2,
    "a",
  );
  assertEquals(cluster.answers(), ["1.1 Done", "3.1 Last"]);
  assertEquals(cluster.synchronizer.usage.barriers, 1);
});

Deno.test("Barriers: a node that dies or a thread that cancels has not arrived", () => {
  const cluster = new SyncRequesters().arrive(1, 1, 3).arrive(2, 1, 3).lose(2).cancel(1, 1);
  assertEquals(cluster.answers(), ["1.1 Cancelled"]);
  assert(cluster.isEmpty);
  cluster.arrive(1, 2, 2).arrive(3, 1, 2);
  assertEquals(cluster.answers(), ["1.2 Done", "3.1 Last"]);
});

Deno.test("Barriers: a barrier for which there is no room is refused", () => {
  const cluster = new SyncRequesters(3, { objects: 1, waiting: 9 }).arrive(1, 1, 2, "a");
  cluster.arrive(2, 1, 2, "b").arrive(3, 1, 1, "b").arrive(2, 2, 2, "a");
  assertEquals(cluster.answers(), ["2.1 LimitExceeded", "3.1 Last", "1.1 Done", "2.2 Last"]);
});
