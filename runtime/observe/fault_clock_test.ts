import { assertEquals } from "@std/assert";
import { WATCHED_FAULTS_MAX } from "../limits.ts";
import { Access, PageState } from "../protocol/coherence/page.ts";
import { FaultClock, type ServedFault } from "./fault_clock.ts";

const { Read, Write } = Access;
const { Invalid, Shared, Exclusive } = PageState;

function newClock(): { clock: FaultClock; served: ServedFault[] } {
  const served: ServedFault[] = [];
  return { clock: new FaultClock((fault) => void served.push(fault)), served };
}

Deno.test("FaultClock: a fault lasts until its page is mapped, and is of a kind", () => {
  const { clock, served } = newClock();
  clock.fault(3, Read, Invalid, 100);
  clock.fault(4, Write, Invalid, 101);
  clock.fault(9, Write, Shared, 102);
  clock.fault(10, Read, Exclusive, 103);
  clock.operated({ kind: "evict", first: 0, count: 20 }, 110);
  assertEquals(served, []);
  clock.operated({ kind: "install", first: 2, count: 2, writable: false }, 120);
  clock.operated({ kind: "installZero", first: 4, count: 1 }, 121);
  clock.operated({ kind: "unprotect", first: 9, count: 1 }, 122);
  clock.operated({ kind: "install", first: 10, count: 1, writable: true }, 123);
  clock.operated({ kind: "install", first: 0, count: 20, writable: true }, 200);
  assertEquals(served, [
    { page: 3, kind: "read", sinceUs: 100, us: 20 },
    { page: 4, kind: "zero", sinceUs: 101, us: 20 },
    { page: 9, kind: "upgrade", sinceUs: 102, us: 20 },
    { page: 10, kind: "stale", sinceUs: 103, us: 20 },
  ]);
});

Deno.test("FaultClock: a write is not served by a page that may only be read", () => {
  const { clock, served } = newClock();
  clock.fault(1, Read, Invalid, 0);
  clock.fault(1, Write, Invalid, 5);
  clock.operated({ kind: "install", first: 1, count: 1, writable: false }, 10);
  assertEquals(served, []);
  clock.operated({ kind: "unprotect", first: 1, count: 1 }, 30);
  assertEquals(served, [{ page: 1, kind: "read", sinceUs: 0, us: 30 }]);
});

Deno.test("FaultClock: faults that are never served are bounded", () => {
  const { clock, served } = newClock();
  for (let page = 0; page <= WATCHED_FAULTS_MAX; page++) clock.fault(page, Read, Invalid, page);
  const count = WATCHED_FAULTS_MAX + 1;
  clock.operated({ kind: "install", first: 0, count, writable: true }, count);
  assertEquals(served.length, WATCHED_FAULTS_MAX);
});
