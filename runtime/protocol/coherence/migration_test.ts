import { assertEquals } from "@std/assert";
import { afterRead, afterUpgrade, handOversLeft, UNPROVEN } from "./migration.ts";

/** Hands a page over until it has to prove itself again. */
function useUp(record: number): number {
  while (handOversLeft(record) > 0) record = afterRead(record, 1);
  return record;
}

Deno.test("handOversLeft: a page that is not known to migrate is not handed over", () => {
  assertEquals(handOversLeft(UNPROVEN), 0);
  assertEquals(afterRead(UNPROVEN, 1), UNPROVEN);
});

Deno.test("afterUpgrade: each proof in a row gives more hand-overs, up to 63, and fits into a byte", () => {
  let record = UNPROVEN;
  const given: number[] = [];
  for (let proof = 0; proof < 7; proof++) {
    record = afterUpgrade(record, 2, false);
    given.push(handOversLeft(record));
    assertEquals(record, record & 0xff);
    record = useUp(record);
    assertEquals(afterRead(record, 1), record);
  }
  assertEquals(given, [3, 7, 15, 31, 63, 63, 63]);
});

Deno.test("afterRead: what several nodes read does not migrate, nor what one writes and another reads", () => {
  const record = afterUpgrade(UNPROVEN, 2, false);
  assertEquals(afterRead(record, 2), UNPROVEN);
  assertEquals(afterUpgrade(record, 3, false), UNPROVEN);
  assertEquals(afterUpgrade(record, 2, true), UNPROVEN);
});
