import { assertEquals, assertNotEquals } from "@std/assert";
import { openLibrary } from "../../ffi/library.ts";
import { crc32c } from "./crc32c.ts";

Deno.test("crc32c: the sum of the standard's vector, and of nothing", () => {
  assertEquals(crc32c(new TextEncoder().encode("123456789")), 0xe306_9283);
  assertEquals(crc32c(new Uint8Array()), 0);
});

Deno.test("crc32c: is the same here and in the library, whatever the length and the place", () => {
  using library = openLibrary();
  const bytes = crypto.getRandomValues(new Uint8Array(20_000));
  for (const length of [0, 1, 7, 8, 9, 32, 40, 4_079, 4_096, 4_097, 12_288, 19_000]) {
    for (const start of [0, 1, 5]) {
      const part = bytes.subarray(start, start + length);
      const expected = crc32c(bytes, start, start + length);
      assertEquals(crc32c(part), expected);
      assertEquals(library.symbols.tdsm_crc32c(part, length, 0), length === 0 ? 0 : expected);
    }
  }
});

Deno.test("crc32c: changes with every bit", () => {
  const bytes = crypto.getRandomValues(new Uint8Array(44));
  const before = crc32c(bytes);
  for (let bit = 0; bit < 8 * bytes.length; bit++) {
    bytes[bit >> 3]! ^= 1 << (bit & 7);
    assertNotEquals(crc32c(bytes), before);
    bytes[bit >> 3]! ^= 1 << (bit & 7);
  }
});
