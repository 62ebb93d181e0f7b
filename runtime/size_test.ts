import { assertEquals, assertThrows } from "@std/assert";
import { formatSize, parseSize, readableSize, roughSize } from "./size.ts";

Deno.test("parseSize reads bytes and every binary unit", () => {
  assertEquals(parseSize("4096"), 4096);
  assertEquals(parseSize("17B"), 17);
  assertEquals(parseSize("4KiB"), 4096);
  assertEquals(parseSize("64MiB"), 67_108_864);
  assertEquals(parseSize("2 GiB"), 2_147_483_648);
  assertEquals(parseSize(" 1TiB "), 1_099_511_627_776);
});

Deno.test("parseSize refuses decimal and loose units, and says what to write", () => {
  for (const unit of ["MB", "mb", "M", "mib", "Mib"]) {
    assertThrows(
      () => parseSize(`64${unit}`),
      RangeError,
      `must be in B, KiB, MiB, GiB or TiB, not in ${unit}; write 64MiB`,
    );
  }
  assertThrows(() => parseSize("64KB"), RangeError, "write 64KiB");
  assertThrows(() => parseSize("64parsec"), RangeError, "not in parsec");
});

Deno.test("parseSize refuses what is no whole number", () => {
  for (const text of ["", "MiB", "-1", "1.5GiB", "0x10", "1e3KiB", "64MiB!"]) {
    assertThrows(() => parseSize(text), RangeError, "must be");
  }
  assertThrows(() => parseSize("9007199254740993"), RangeError, "less than 2^53");
  assertThrows(() => parseSize("8192TiB"), RangeError, "less than 2^53");
});

Deno.test("formatSize takes the largest unit that leaves a whole number", () => {
  assertEquals(formatSize(0), "0B");
  assertEquals(formatSize(4097), "4097B");
  assertEquals(formatSize(67_108_864), "64MiB");
  assertEquals(formatSize(1536 * 1024), "1536KiB");
  assertEquals(formatSize(2048 * 1024 ** 4), "2048TiB");
});

Deno.test("parseSize reads back what formatSize wrote", () => {
  for (const bytes of [0, 1, 1023, 1024, 4096, 12_288, 2 ** 30, 2 ** 40, 2 ** 40 + 4096]) {
    assertEquals(parseSize(formatSize(bytes)), bytes);
  }
});

Deno.test("readableSize is exact where that is short", () => {
  assertEquals(readableSize(65_540 * 1024), "65540KiB");
  assertEquals(readableSize(8_000_000_000), "7.5GiB");
  assertEquals(readableSize(2 ** 30), "1GiB");
});

Deno.test("roughSize has a digit behind the point where there is room", () => {
  const sizes: [bytes: number, text: string][] = [
    [0, "0B"],
    [1023, "1023B"],
    [1024, "1KiB"],
    [4097, "4.0KiB"],
    [67_108_864, "64MiB"],
    [1_500_000_000, "1.4GiB"],
    [671_088_641, "640MiB"],
    [2 ** 53 - 1, "8192TiB"],
  ];
  for (const [bytes, text] of sizes) assertEquals(roughSize(bytes), text);
});
