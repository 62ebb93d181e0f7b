import { assertEquals } from "@std/assert";
import { LIBRARY, moduleOf } from "../../tests/support/c_library.ts";
import { rewriteModule } from "../wasm/rewrite.ts";
import { MAIN_THREAD } from "./placement.ts";
import { framesOf, trapText } from "./trap.ts";

Deno.test("framesOf: a frame has the function's name, and its index before rewriting", () => {
  const stack = [
    "RuntimeError: unreachable",
    "    at misc.wasm.deep (wasm://wasm/misc.wasm-000291b2:wasm-function[12]:0x98f)",
    "    at core::fmt::write (wasm://wasm/1c3:wasm-function[13]:0x9a0)",
    "    at wasm://wasm/000291b2:wasm-function[14]:0x9a0",
    "    at ThreadExecutor.execute (file:///runtime/wasi/worker.ts:70:17)",
  ].join("\n");
  // Of the ten functions that are imported, rewriting has added five.
  assertEquals(framesOf(stack, { imported: 10, added: 5 }), [
    "    at deep (function 7)",
    "    at core::fmt::write (function 8)",
    "    at function 9",
  ]);
});

Deno.test("trapText: a function's index is that before rewriting, whether lifted functions add imports or not", () => {
  const place = { thread: MAIN_THREAD, node: 1, started: true };
  for (const lift of [false, true]) {
    const module = new WebAssembly.Module(rewriteModule(moduleOf(LIBRARY), { lift }).bytes);
    const error = new Error("unreachable");
    const first = WebAssembly.Module.imports(module).filter(({ kind }) =>
      kind === "function"
    ).length;
    error.stack = `    at work (wasm://wasm/1c3:wasm-function[${first + 2}]:0x9a0)`;
    const text = "The main thread, on node 1, has trapped: unreachable\n    at work (function 2)";
    assertEquals(trapText(error, place, module), text);
  }
});
