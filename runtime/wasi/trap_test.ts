import { assertEquals } from "@std/assert";
import { framesOf } from "./trap.ts";

Deno.test("framesOf: a frame has the function's name, and its index before rewriting", () => {
  const stack = [
    "RuntimeError: unreachable",
    "    at misc.wasm.deep (wasm://wasm/misc.wasm-000291b2:wasm-function[12]:0x98f)",
    "    at core::fmt::write (wasm://wasm/1c3:wasm-function[13]:0x9a0)",
    "    at wasm://wasm/000291b2:wasm-function[14]:0x9a0",
    "    at ThreadExecutor.execute (file:///runtime/wasi/worker.ts:70:17)",
  ].join("\n");
  // Of the ten functions that are imported, rewriting has added five.
  assertEquals(framesOf(stack, 10), [
    "    at deep (function 7)",
    "    at core::fmt::write (function 8)",
    "    at function 9",
  ]);
});
