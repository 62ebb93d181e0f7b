import { assertEquals } from "@std/assert";
import { Lease } from "./lease.ts";

Deno.test("Lease: an answer counts from when its ping was sent", () => {
  const lease = new Lease(10, 100);
  assertEquals([lease.isOver(109.9), lease.isOver(110)], [false, true]);
  lease.pinged(1, 103);
  lease.pinged(2, 106);
  lease.answered(1);
  assertEquals(lease.endMs, 113);
  lease.answered(2);
  assertEquals(lease.endMs, 116);
});

Deno.test("Lease: an answer to a later ping is one to all before it, and an older one changes nothing", () => {
  const lease = new Lease(10, 0);
  for (const number of [1, 2, 3]) lease.pinged(number, number);
  lease.answered(2);
  assertEquals(lease.endMs, 12);
  for (const old of [0, 1, 2]) lease.answered(old);
  assertEquals(lease.endMs, 12);
  lease.answered(3);
  assertEquals(lease.endMs, 13);
});

Deno.test("Lease: an answer to a ping that is older than the lease is long gives no time", () => {
  const lease = new Lease(10, 0);
  lease.pinged(1, 1);
  lease.pinged(2, 11);
  lease.answered(1);
  assertEquals(lease.endMs, 10);
  lease.answered(2);
  assertEquals(lease.endMs, 21);
});
