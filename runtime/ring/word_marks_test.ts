import { assertEquals } from "@std/assert";
import { FUTEX_QUIET_SLOTS, REGION_MAX_BYTES } from "../limits.ts";
import { WordMark } from "../protocol/sync/lent_words.ts";
import { CallSlots } from "./call_slots.ts";

Deno.test("WordMarks: a word is quiet or lent from when the engine says so until it says otherwise", () => {
  const slots = new CallSlots();
  const words = slots.wordMarks;
  const seen = new CallSlots(slots.buffer).wordMarks;
  const last = REGION_MAX_BYTES - 4;
  for (const byte of [4, 8, 4 * FUTEX_QUIET_SLOTS + 4, last]) {
    assertEquals(seen.of(byte), WordMark.None);
    for (const marks of [WordMark.Quiet, WordMark.Quiet | WordMark.Lent, WordMark.Lent]) {
      words.show(BigInt(byte), marks);
      assertEquals(seen.of(byte), marks);
      // One of the same slot, but for the last word.
      const other = byte === last ? 0 : byte + 4 * FUTEX_QUIET_SLOTS - 4;
      assertEquals(seen.of(other), WordMark.None);
    }
    words.show(BigInt(byte), WordMark.None);
    assertEquals(seen.of(byte), WordMark.None);
  }
});

Deno.test("WordMarks: words at the beginnings of pages can be quiet beside each other", () => {
  const { wordMarks } = new CallSlots();
  const bytes = Array.from({ length: FUTEX_QUIET_SLOTS }, (_, page) => 4096 * page);
  for (const byte of bytes) wordMarks.show(BigInt(byte), WordMark.Quiet);
  assertEquals(bytes.filter((byte) => wordMarks.of(byte) !== WordMark.Quiet), []);
});

Deno.test("WordMarks: it is beside all else that threads share", () => {
  const slots = new CallSlots();
  const marks = WordMark.Quiet | WordMark.Lent;
  const last = BigInt(REGION_MAX_BYTES - 4 * FUTEX_QUIET_SLOTS);
  for (let slot = 0; slot < FUTEX_QUIET_SLOTS; slot++) {
    slots.wordMarks.show(last + BigInt(4 * slot), marks);
  }
  assertEquals([slots.count, slots.threads, slots.peers, slots.ended], [0, 0, [], false]);
  assertEquals(slots.rings(0).calls.pop(), undefined);
  assertEquals(slots.link(63), undefined);
});
