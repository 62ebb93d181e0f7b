import { assertRejects } from "@std/assert";
import type { NativeRegion } from "../../ffi/native.ts";
import type { NodeThread } from "./thread.ts";
import { makeWasmMemory, type WasmMemoryOptions } from "./wasm_memory.ts";

/** Asks for a memory before a node would be asked for anything. */
function make(options: unknown): Promise<unknown> {
  return makeWasmMemory({} as NodeThread, {} as NativeRegion, options as WasmMemoryOptions);
}

const REFUSED: readonly (readonly [options: unknown, error: typeof Error, message: string])[] = [
  [
    16,
    TypeError,
    "Cannot make a WebAssembly memory with 16: give options as an object, such as " +
    "{ pages: 16, maximum: 1024 }",
  ],
  [
    { size: 16 },
    TypeError,
    "Cannot make a WebAssembly memory with the option size: use name or pages or maximum or address",
  ],
  [
    {},
    TypeError,
    "Cannot use undefined as the maximum of a WebAssembly memory, in pages of 64 KiB: give a " +
    "whole number from 1 to 65536",
  ],
  [
    { maximum: 65_537 },
    RangeError,
    "Cannot use 65537 as the maximum of a WebAssembly memory, in pages of 64 KiB: give a whole " +
    "number from 1 to 65536",
  ],
  [
    { pages: 262_145, address: "i64" },
    RangeError,
    "Cannot use 262145 as the maximum of a WebAssembly memory, in pages of 64 KiB: give a whole " +
    "number from 1 to 262144",
  ],
  [
    { pages: 3, maximum: 2 },
    RangeError,
    "Cannot use 3 as the first pages of a WebAssembly memory, of 64 KiB each: give a whole number " +
    "from 0 to 2",
  ],
  [
    { pages: 1, address: "i16" },
    RangeError,
    'Cannot use "i16" as the type of addresses: give "i32" or "i64"',
  ],
  [
    { pages: 1, name: "" },
    RangeError,
    'Cannot use "" as the name of a WebAssembly memory: give a string of 1 to 240 bytes of UTF-8',
  ],
];

Deno.test("makeWasmMemory: sizes and names that cannot be used are refused", async () => {
  for (const [options, error, message] of REFUSED) {
    await assertRejects(() => make(options), error, message);
  }
});
