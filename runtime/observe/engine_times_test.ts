import { assertEquals } from "@std/assert";
import { EngineClock } from "./engine_times.ts";

Deno.test("EngineClock divides all of the time", () => {
  const clock = new EngineClock();
  const times = { lookedUs: 100, ranUs: 1100, waitedUs: 30 };
  const divided = clock.divide(times, 5000);
  assertEquals(divided, { working: 1000, polling: 100, waiting: 30, asleep: 3870 });
});

Deno.test("EngineClock tells of no time less than before", () => {
  const clock = new EngineClock();
  clock.divide({ lookedUs: 100, ranUs: 1100, waitedUs: 30 }, 5000);
  // Another thread had the core for most of a look.
  const divided = clock.divide({ lookedUs: 600, ranUs: 1150, waitedUs: 480 }, 5500);
  assertEquals(divided, { working: 1000, polling: 600, waiting: 480, asleep: 3870 });
});
