import { assertEquals } from "@std/assert";
import { describe } from "./progress.ts";

/** How so many of 200 things are described that took so many milliseconds. */
function after(done: number, ms: number): string {
  const format = (amount: number): string => `${amount.toFixed(1)} things`;
  return describe("counting", { total: 200, done: () => done, format }, ms);
}

Deno.test("progress has the share that is done, the rate and the time that is left", () => {
  assertEquals(after(0, 1_000), "counting ░░░░░░░░░░░░░░░░   0 %");
  assertEquals(after(50, 1_000), "counting ████░░░░░░░░░░░░  25 %, 50.0 things/s, 3 s left");
  assertEquals(after(2, 1_000), "counting ░░░░░░░░░░░░░░░░   1 %, 2.0 things/s, 1 min 39 s left");
  assertEquals(after(200, 4_000), "counting ████████████████ 100 %, 50.0 things/s, 0 s left");
  // Nodes count by and large.
  assertEquals(after(210, 4_000), after(200, 4_000));
});
