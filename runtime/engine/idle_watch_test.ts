import { assertEquals } from "@std/assert";
import { ManualTimers } from "../../tests/support/manual_timers.ts";
import { IDLE_STEP_MS } from "../limits.ts";
import { IdleWatch } from "./idle_watch.ts";

Deno.test("IdleWatch gives dead bytes back only where nothing has happened since it last looked", () => {
  using timers = new ManualTimers(IDLE_STEP_MS);
  let [events, dead, given] = [0, 0, 0];
  {
    using watch = new IdleWatch({
      events: () => events,
      pagesDead: () => dead,
      idle: () => given++,
    });
    watch.beat();
    assertEquals([given, timers.count(IDLE_STEP_MS)], [0, 0], "there are none, and nothing to do");
    [events, dead] = [1, 9];
    watch.beat();
    assertEquals(given, 0, "something has happened");
    watch.beat();
    assertEquals([given, timers.count(IDLE_STEP_MS)], [1, 1]);
    watch.beat();
    timers.fire(IDLE_STEP_MS);
    assertEquals(given, 2, "soon again, as long as there are some");
    events++;
    timers.fire(IDLE_STEP_MS);
    assertEquals([given, timers.count(IDLE_STEP_MS)], [2, 0]);
    watch.beat();
    dead = 0;
    timers.fire(IDLE_STEP_MS);
    assertEquals([given, timers.count(IDLE_STEP_MS)], [3, 0]);
    dead = 1;
    watch.beat();
  }
  assertEquals(timers.count(IDLE_STEP_MS), 0);
});
