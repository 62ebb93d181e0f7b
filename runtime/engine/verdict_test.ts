import { assertEquals } from "@std/assert";
import { verdictOn } from "./verdict.ts";

Deno.test("verdictOn: a node that owes is given up, whichever home says so", () => {
  for (const home of [1, 3]) {
    assertEquals(verdictOn(home, { node: 2, page: 7, opponent: 0 }), {
      gone: 2,
      reason: "it owes page 7 for 15000 ms, though it lives",
    });
  }
});

Deno.test("verdictOn: of two that contradict each other the one goes that the home has named", () => {
  const { gone, reason } = verdictOn(3, { node: 2, page: 7, opponent: 4 });
  assertEquals(gone, 2);
  assertEquals(
    reason,
    "of what nodes 2 and 4 send each other for page 7 nothing has arrived for 60000 ms, so one of " +
      "the two has to go",
  );
});

Deno.test("verdictOn: the directory node stays: its opponent goes, or the home that lacks its part", () => {
  assertEquals(verdictOn(3, { node: 1, page: 7, opponent: 4 }).gone, 4);
  const { gone, reason } = verdictOn(3, { node: 1, page: 7, opponent: 0 });
  assertEquals(gone, 3);
  assertEquals(
    reason,
    "of what nodes 3 and 1 send each other for page 7 nothing has arrived for 15000 ms, so one of " +
      "the two has to go",
  );
});
