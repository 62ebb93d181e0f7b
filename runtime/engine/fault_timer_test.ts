import { assertEquals } from "@std/assert";
import { LOOKED_AT_MS, TIMED_REQUESTS_MAX } from "../limits.ts";
import { FaultTimer } from "./fault_timer.ts";

Deno.test("FaultTimer times requests while somebody looks, and none otherwise", () => {
  let now = 0;
  const timer = new FaultTimer(() => now);
  const wait = (request: number, us: number) => {
    timer.requested(request);
    now += us;
    timer.served(request);
  };
  wait(1, 30);
  assertEquals(timer.look().filter((count) => count > 0), []);
  wait(2, 30);
  wait(3, 40);
  // What was requested before somebody looked has no beginning.
  timer.served(9);
  const counts = timer.look();
  assertEquals([counts[5], counts[6], counts.reduce((sum, count) => sum + count)], [1, 1, 2]);
  now += LOOKED_AT_MS * 1000 + 1;
  wait(4, 30);
  wait(5, 30);
  assertEquals(timer.look(), counts);
});

Deno.test("FaultTimer: a request that is made anew began when it was made first", () => {
  let now = 0;
  const timer = new FaultTimer(() => now);
  timer.look();
  timer.requested(1);
  now = 20;
  timer.requestedAnew(1, 2);
  timer.requestedAnew(7, 8);
  now = 30;
  for (const request of [1, 2, 8]) timer.served(request);
  const counts = timer.look();
  assertEquals([counts[5], counts.reduce((sum, count) => sum + count)], [1, 1]);
});

Deno.test("FaultTimer remembers no more requests than its limit", () => {
  let now = 0;
  const timer = new FaultTimer(() => now++);
  timer.look();
  for (let request = 0; request <= TIMED_REQUESTS_MAX; request++) timer.requested(request);
  timer.served(TIMED_REQUESTS_MAX);
  assertEquals(timer.look().filter((count) => count > 0), []);
  timer.served(0);
  assertEquals(timer.look().filter((count) => count > 0), [1]);
});
