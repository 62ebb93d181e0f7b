import { assertEquals } from "@std/assert";
import { ManualTimers } from "../../tests/support/manual_timers.ts";
import { IDLE_LOOK_MS, IDLE_STEP_MS } from "../limits.ts";
import { IdleWatch } from "./idle_watch.ts";

Deno.test("IdleWatch gives dead bytes back only where nothing has happened since it last looked", () => {
  using timers = new ManualTimers(IDLE_LOOK_MS, IDLE_STEP_MS);
  let [events, dead, given] = [0, 0, 0];
  {
    using _watch = new IdleWatch({
      events: () => events,
      pagesDead: () => dead,
      idle: () => given++,
    });
    timers.fire(IDLE_LOOK_MS);
    assertEquals(given, 0, "there are none");
    [events, dead] = [1, 9];
    timers.fire(IDLE_LOOK_MS);
    assertEquals(given, 0, "something has happened");
    timers.fire(IDLE_LOOK_MS);
    assertEquals([given, timers.count(IDLE_LOOK_MS)], [1, 0]);
    timers.fire(IDLE_STEP_MS);
    assertEquals(given, 2, "soon again, as long as there are some");
    events++;
    timers.fire(IDLE_STEP_MS);
    assertEquals([given, timers.count(IDLE_STEP_MS)], [2, 0]);
    timers.fire(IDLE_LOOK_MS);
    dead = 0;
    timers.fire(IDLE_STEP_MS);
    assertEquals([given, timers.count(IDLE_LOOK_MS)], [3, 1]);
  }
  assertEquals([timers.count(IDLE_LOOK_MS), timers.count(IDLE_STEP_MS)], [0, 0]);
});
