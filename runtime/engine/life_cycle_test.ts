import { assertEquals } from "@std/assert";
import { StallClock } from "./life_cycle.ts";
import { ManualTimers } from "../../tests/support/test_cluster.ts";

const STALL_MS = 1234;

Deno.test("StallClock: what moves may take any time, what stands still is found out once", () => {
  using timers = new ManualTimers(STALL_MS);
  let [come, stalls] = [7, 0];
  using _clock = new StallClock(STALL_MS, () => come, () => stalls++);
  for (let time = 0; time < 1000; time++) {
    come++;
    timers.fire(STALL_MS);
  }
  assertEquals([stalls, timers.count(STALL_MS)], [0, 1]);
  timers.fire(STALL_MS);
  assertEquals([stalls, timers.count(STALL_MS)], [1, 0]);
});

Deno.test("StallClock: what never moves is found out at the first look", () => {
  using timers = new ManualTimers(STALL_MS);
  let stalls = 0;
  using _clock = new StallClock(STALL_MS, () => 0, () => stalls++);
  timers.fire(STALL_MS);
  assertEquals(stalls, 1);
});

Deno.test("StallClock: nobody is told after its end", () => {
  using timers = new ManualTimers(STALL_MS);
  let stalls = 0;
  {
    using _clock = new StallClock(STALL_MS, () => 0, () => stalls++);
  }
  assertEquals([stalls, timers.count(STALL_MS)], [0, 0]);
});
