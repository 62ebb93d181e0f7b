import { assertEquals } from "@std/assert";
import { FUTEX_QUIET_SLOTS, REGION_MAX_BYTES } from "../limits.ts";
import { CallSlots } from "./call_slots.ts";

Deno.test("QuietWords: a word is quiet from when the engine says so until it says otherwise", () => {
  const slots = new CallSlots();
  const words = slots.quietWords;
  const seen = new CallSlots(slots.buffer).quietWords;
  const last = REGION_MAX_BYTES - 4;
  for (const byte of [0, 4, 4 * FUTEX_QUIET_SLOTS, last]) {
    assertEquals(seen.has(byte), false);
    words.add(BigInt(byte));
    assertEquals(seen.has(byte), true);
    assertEquals(seen.has(byte === last ? 0 : byte + 4 * FUTEX_QUIET_SLOTS), false);
    words.delete(BigInt(byte));
    assertEquals(seen.has(byte), false);
  }
});

Deno.test("QuietWords: it is beside all else that threads share", () => {
  const slots = new CallSlots();
  for (let slot = 0; slot < FUTEX_QUIET_SLOTS; slot++) slots.quietWords.add(BigInt(4 * slot));
  assertEquals([slots.count, slots.threads, slots.peers, slots.ended], [0, 0, [], false]);
  assertEquals(slots.rings(0).calls.pop(), undefined);
  assertEquals(slots.link(63), undefined);
});
