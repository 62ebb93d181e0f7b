import { assertEquals } from "@std/assert";
import { formatBytes, formatCount, formatDuration, formatPages } from "./format.ts";

Deno.test("formatCount, formatBytes and formatDuration: numbers have at most three digits, and a unit where they are large", () => {
  const counts = [0, 0.01, 0.44, 1, 9.94, 9.96, 17.4, 999, 999.6, 12_345, 2 ** 53];
  const texts = ["0", "0", "0.4", "1", "9.9", "10", "17", "999", "1.0k", "12k", "9007T"];
  assertEquals(counts.map(formatCount), texts);
  assertEquals([0, 1023, 1536, 2 ** 40].map(formatBytes), ["0 B", "1023 B", "1.5 KiB", "1 TiB"]);
  assertEquals([12, 1500, 2.5e6].map(formatDuration), ["12 µs", "1.5 ms", "2.5 s"]);
});

Deno.test("formatPages: pages are named by the first and the last", () => {
  assertEquals([formatPages(7, 1), formatPages(7, 3)], ["page 7", "pages 7–9"]);
});
