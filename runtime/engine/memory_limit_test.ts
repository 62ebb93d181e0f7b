import { assertEquals, assertThrows } from "@std/assert";
import { TdsmError } from "../errors.ts";
import type { MemoryLimit } from "../settings/types.ts";
import { memoryPages, partOfMemory } from "./memory_limit.ts";

const MIB = 2 ** 20;
const region = { size: 1024 * MIB, pageSize: 4096, runPages: 128 };

/** The limit of a node on a machine of so many MiB, in MiB. */
function limitOn(machineMiB: number, asked?: MemoryLimit): number {
  const available = { bytes: machineMiB * MIB, boundBy: "this machine" };
  return memoryPages({ asked, available, region }) * region.pageSize / MIB;
}

Deno.test("memoryPages: without a limit most of the memory, and less where little is left", () => {
  assertEquals(limitOn(1000), 800);
  assertEquals(limitOn(300), 172);
  // 128 MiB are more than a fifth up to here.
  assertEquals(limitOn(640), 512);
  assertEquals(limitOn(100_000), 1024, "no more than the region has");
});

Deno.test("partOfMemory: several nodes take together what one alone would, and keep as much for each process", () => {
  assertEquals(partOfMemory(8000 * MIB, 4), 1600 * MIB);
  assertEquals(partOfMemory(1000 * MIB, 4), (250 - 128) * MIB);
  assertEquals(partOfMemory(1000 * MIB, 100), 36 * MIB, "what a node needs");
});

Deno.test("memoryPages: a limit in bytes, and as a share", () => {
  assertEquals(limitOn(300, { bytes: 200 * MIB }), 200);
  assertEquals(limitOn(300, { percent: 50 }), 150);
  assertEquals(limitOn(300, { bytes: 200 * MIB + 4095 }), 200, "whole pages");
  const unknown = { asked: undefined, available: undefined, region };
  assertEquals(memoryPages(unknown), 1024 * MIB / 4096);
});

Deno.test("memoryPages: a process that is too small for the default keeps what a node needs", () => {
  assertEquals(limitOn(100) * MIB / 4096, 2 * 128 + 16);
  const small = { asked: { bytes: 4096 }, available: undefined, region: { ...region, size: 8192 } };
  assertEquals(
    assertThrows(() => memoryPages(small), TdsmError).code,
    "InvalidOption",
    "two pages are needed",
  );
  assertEquals(memoryPages({ ...small, asked: { bytes: 8192 } }), 2, "all that there are");
});

Deno.test("memoryPages: less than a node needs is refused, with what it needs", () => {
  const error: TdsmError = assertThrows(() => limitOn(1000, { bytes: MIB }), TdsmError);
  assertEquals(error.code, "InvalidOption");
  const rest = "a node needs room for two runs of 128 pages of 4KiB and 16 pages more. " +
    "Set --memory-limit (MEMORY_LIMIT) to 1088KiB or more, or have the directory node set a lower " +
    "--run-pages";
  assertEquals(error.message, `Cannot keep pages in 1MiB: ${rest}`);
  const share: TdsmError = assertThrows(() => limitOn(1000, { percent: 0.1 }), TdsmError);
  assertEquals(
    share.message,
    `Cannot keep pages in 0.1% of the 1000MiB of this machine: ${rest}`,
  );
});
