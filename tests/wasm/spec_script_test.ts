import { assertEquals, assertThrows } from "@std/assert";
import { rewriteModule } from "../../runtime/wasm/rewrite.ts";
import { body, functionType, I32, section, text, wasmModule } from "../support/wasm_module.ts";
import { Section } from "../../runtime/wasm/binary.ts";
import { noCount, runScript } from "./spec_script.ts";

/** A module of which `answer` returns what its function 0 does: 42 and the size of its memory. */
const MODULE = wasmModule(
  section(Section.Type, functionType([], [I32])),
  section(Section.Function, [0], [0]),
  section(Section.Memory, [0, 3]),
  section(Section.Export, [...text("answer"), 0, 1]),
  section(Section.Code, body(0x41, 42, 0x3f, 0, 0x6a), body(0x10, 0)),
);
const COMMANDS = [
  { type: "module", line: 1, filename: "0.wasm" },
  { type: "assert_return", line: 2, action: { type: "invoke", field: "answer", args: [] } },
  { type: "assert_malformed", line: 3, filename: "1.wasm", module_type: "binary" },
];

/** Writes a script into a folder that is removed in the end. */
function writeScript(): Disposable & { readonly path: string } {
  const folder = Deno.makeTempDirSync();
  const path = `${folder}/script.json`;
  Deno.writeTextFileSync(path, JSON.stringify({ commands: COMMANDS }));
  Deno.writeFileSync(`${folder}/0.wasm`, MODULE);
  Deno.writeFileSync(`${folder}/1.wasm`, MODULE.slice(0, -1));
  return { path, [Symbol.dispose]: () => Deno.removeSync(folder, { recursive: true }) };
}

Deno.test("spec scripts: both runs of a script come to the same", () => {
  using script = writeScript();
  const count = noCount();
  runScript(script.path, count);
  assertEquals(count, { modules: 1, refused: 1, steps: 1, unseen: 0, several: 0 });
});

Deno.test("spec scripts: a rewriting that changes what a module does is found", () => {
  using script = writeScript();
  const wrong: typeof rewriteModule = (bytes, options) => {
    const module = rewriteModule(bytes, options);
    const { bytes: rewritten } = module;
    rewritten[rewritten.lastIndexOf(42)] = 43;
    return module;
  };
  const run = () => runScript(script.path, noCount(), wrong);
  assertThrows(run, Error, "line 2, assert_return: 45, rewritten 46");
});
