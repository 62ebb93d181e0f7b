import { assertEquals } from "@std/assert";
import { Lanes } from "./lanes.ts";

Deno.test("Lanes: spans that overlap are on different lanes, as few as there can be", () => {
  const lanes = new Lanes(2);
  assertEquals(lanes.place(0, 10), 0);
  assertEquals(lanes.place(5, 12), 1);
  assertEquals(lanes.place(10, 13), 0);
  assertEquals(lanes.place(11, 14), undefined);
  assertEquals(lanes.place(13, 15), 0);
});
