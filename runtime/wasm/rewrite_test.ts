import { assert, assertEquals, assertThrows } from "@std/assert";
import {
  body,
  counted,
  custom,
  functionType,
  I32,
  number,
  ofIndices,
  ofInstructions,
  section,
  sharedMemory,
  sized,
  text,
  wasmModule,
} from "../../tests/support/wasm_module.ts";
import { Section } from "./binary.ts";
import { TdsmError } from "../errors.ts";
import { WASM_NESTING_MAX } from "../limits.ts";
import { rewriteModule, rewriteWasm } from "./rewrite.ts";

type Exports = Record<string, (...parameters: unknown[]) => unknown>;

const NO_FUNCTIONS = {
  wait32: () => 0,
  wait64: () => 0,
  notify: () => 0,
  grow: () => 0,
  size: () => 0,
};

/** An instance of a rewritten module; `tdsm` are its imports from there. */
function instance(
  bytes: Uint8Array<ArrayBuffer>,
  tdsm: WebAssembly.ModuleImports,
  others: WebAssembly.Imports = {},
): Exports {
  const module = new WebAssembly.Module(rewriteWasm(bytes));
  const imports = { ...others, tdsm: { ...NO_FUNCTIONS, ...tdsm } };
  return new WebAssembly.Instance(module, imports).exports as Exports;
}

/** What a module is refused with. */
function refusal(bytes: Uint8Array): string {
  const error = assertThrows(() => rewriteWasm(bytes), TdsmError);
  assertEquals([error.code, error.operation], ["InvalidArgument", "rewrite"]);
  const [, problem] = /^Cannot rewrite the module: ([^\n]+)$/.exec(error.message)!;
  return problem!;
}

for (const is64 of [false, true]) {
  Deno.test(`rewriteWasm: instructions become calls, addresses of ${is64 ? 64 : 32} bits`, () => {
    const calls: unknown[][] = [];
    const record = (name: string, result: unknown) => (...parameters: unknown[]) => {
      calls.push([name, ...parameters]);
      return result;
    };
    const at = (value: number): number | bigint => is64 ? BigInt(value) : value;
    const memory = new WebAssembly.Memory(
      {
        initial: at(3),
        maximum: at(3),
        shared: true,
        ...(is64 ? { address: "i64" } : {}),
      } as never,
    );
    const exports = instance(ofInstructions(is64), {
      memory,
      wait32: record("wait32", 2),
      wait64: record("wait64", 1),
      notify: record("notify", 7),
      grow: record("grow", at(1)),
      size: record("size", at(2)),
    });
    assertEquals(exports.memory as unknown, memory);
    assertEquals(exports.wait32!(at(64), -1, -1n), 2);
    assertEquals(exports.wait64!(at(72), 5n, 1_000n), 1);
    assertEquals(exports.notify!(at(80), 3), 7);
    assertEquals(exports.grow!(at(1)), at(1));
    assertEquals(exports.size!(), at(2));
    assertEquals(calls, [
      ["wait32", at(64), -1, -1n, at(8)],
      // An offset is unsigned; parameters of functions are signed.
      ["wait64", at(72), 5n, 1_000n, is64 ? 2n ** 35n : -4],
      ["notify", at(80), 3, at(0)],
      ["grow", at(1)],
      ["size"],
    ]);
  });
}

Deno.test("rewriteWasm: functions keep their meaning wherever an index names one", () => {
  const results = (exports: Exports, table: WebAssembly.Table): unknown[] => [
    exports.one!(),
    exports.add!(5),
    [0, 1, 2].map((index) => exports.indirect!(index)),
    exports.tail!(),
    exports.called!(),
    exports.filled!(),
    ((exports.global as unknown as WebAssembly.Global).value as () => unknown)(),
    (exports.started as unknown as WebAssembly.Global).value,
    (table.get(0) as () => unknown)(),
  ];
  const host = (): WebAssembly.ModuleImports => ({
    add: (value: number) => value + 100,
    table: new WebAssembly.Table({ element: "anyfunc", initial: 1 }),
  });
  const [plain, rewritten] = [host(), host()];
  const before = new WebAssembly.Instance(new WebAssembly.Module(ofIndices()), { host: plain });
  const memory = new WebAssembly.Memory({ initial: 1, maximum: 1, shared: true });
  const after = instance(ofIndices(), { memory }, { host: rewritten });
  const wanted = results(before.exports as Exports, plain.table as WebAssembly.Table);
  assertEquals(wanted, [1, 105, [1, 2, 3], 102, 4, 3, 2, 3, 2]);
  assertEquals(results(after, rewritten.table as WebAssembly.Table), wanted);
});

Deno.test("rewriteWasm: names follow their functions; what points into the code is left out", () => {
  const module = new WebAssembly.Module(rewriteWasm(ofIndices()));
  const [names] = WebAssembly.Module.customSections(module, "name");
  // Its own functions come behind the one that it imports and the five that are added.
  assertEquals([...new Uint8Array(names!)], [
    ...[0, ...sized(text("indices"))],
    ...[1, ...sized(counted([0, ...text("add")], [6, ...text("one")], [7, ...text("two")]))],
    ...[2, ...sized(counted([9, ...counted([0, ...text("index")])]))],
  ]);
  assertEquals(WebAssembly.Module.customSections(module, "producers").length, 1);
  assertEquals(WebAssembly.Module.customSections(module, ".debug_info").length, 0);
});

Deno.test("rewriteWasm: names that cannot be read are left out, as an engine does", () => {
  const bytes = wasmModule(sharedMemory(1, 1), custom("name", [1, 9, 1]));
  assert(WebAssembly.validate(bytes));
  const module = new WebAssembly.Module(rewriteWasm(bytes));
  assertEquals(WebAssembly.Module.customSections(module, "name").length, 0);
});

Deno.test("rewriteModule: says which memory is imported, and of which type", () => {
  const own = rewriteModule(wasmModule(sharedMemory(2, 300)));
  const type = { pages: 2n, maximum: 300n, shared: true, is64: false };
  assertEquals(own.memory, { module: "tdsm", name: "memory", ...type });
  const memory = [...text("env"), ...text("mem"), 2, 7, 1, ...number(70_000)];
  const others = rewriteModule(wasmModule(section(Section.Import, memory)));
  const wide = { pages: 1n, maximum: 70_000n, shared: true, is64: true };
  assertEquals(others.memory, { module: "env", name: "mem", ...wide });
  const imports = WebAssembly.Module.imports(new WebAssembly.Module(others.bytes));
  assertEquals(imports.filter(({ kind }) => kind === "memory").length, 1);
});

Deno.test("rewriteModule: a module without shared memory is rewritten where that is wanted", () => {
  const bytes = wasmModule(
    section(Section.Type, functionType([], [I32])),
    section(Section.Function, [0]),
    section(Section.Memory, [0, 1]),
    section(Section.Code, body(0x3f, 0)),
  );
  const { memory, bytes: rewritten } = rewriteModule(bytes, { anyMemory: true });
  assertEquals([memory?.shared, memory?.maximum], [false, undefined]);
  assert(WebAssembly.validate(rewritten));
});

const MEMORY = sharedMemory(1, 2);
const LARGE = number(65_537);

/** Modules that are refused, and the line that says so. */
const REFUSED: readonly (readonly [name: string, bytes: Uint8Array, problem: string])[] = [
  [
    "nothing",
    new Uint8Array(),
    "the bytes are no WebAssembly in the binary format (there are none, not 00 61 73 6d)",
  ],
  [
    "the text format",
    new TextEncoder().encode("(module (memory 1 1 shared))"),
    "the bytes are no WebAssembly in the binary format (it begins with 28 6d 6f 64, not 00 61 73 6d)",
  ],
  [
    "a component",
    Uint8Array.of(0, 0x61, 0x73, 0x6d, 0x0d, 0, 1, 0),
    "it is a component; give a core module",
  ],
  [
    "another version",
    Uint8Array.of(0, 0x61, 0x73, 0x6d, 2, 0, 0, 0),
    "it is of version 02 00 00 00, not 01 00 00 00",
  ],
  [
    "no memory",
    wasmModule(),
    "it has no memory that threads share; build it with threads, as for wasm32-wasip1-threads",
  ],
  [
    "a memory that is not shared",
    wasmModule(section(Section.Memory, [1, 1, 2])),
    "its memory is not shared; build it with threads, as for wasm32-wasip1-threads",
  ],
  [
    "a shared memory without maximum",
    wasmModule(section(Section.Memory, [2, 1])),
    "its memory is shared, but has no maximum",
  ],
  [
    "a memory that begins beyond its maximum",
    wasmModule(sharedMemory(3, 2)),
    "its memory begins with 3 pages, more than its maximum",
  ],
  [
    "too large a maximum",
    wasmModule(section(Section.Memory, [3, 1, ...LARGE])),
    "its memory has up to 65537 pages, and 32 bits address 65536 at most",
  ],
  [
    "two memories",
    wasmModule(
      section(Section.Import, [...text("a"), ...text("b"), 2, 3, 1, 1]),
      section(Section.Memory, [3, 1, 1]),
    ),
    "it has 2 memories, but the region can be one memory only",
  ],
  [
    "an access to a second memory",
    wasmModule(MEMORY, section(Section.Code, body(0x41, 0, 0x28, 0x42, 1, 0, 0x1a))),
    "byte 23 uses memory 1, but the region can be one memory only",
  ],
  [
    "a module that is rewritten already",
    rewriteWasm(wasmModule(MEMORY)),
    'it imports "wait32" from "tdsm": it is rewritten already',
  ],
  [
    "an object file",
    wasmModule(MEMORY, custom("linking", [2])),
    "it is an object file (it has the section linking); link it first",
  ],
  [
    "an instruction that is not known",
    wasmModule(MEMORY, section(Section.Code, body(0xfd, 0x9a, 0x01))),
    "byte 19 (fd 9a 01) begins an instruction that is not known",
  ],
  [
    "an instruction far behind a prefix",
    wasmModule(MEMORY, section(Section.Code, body(0xfe, 0x80, 0x80, 0x80, 0x04))),
    "byte 19 (fe 80 80 80 04) begins an instruction that is not known",
  ],
  [
    "a type that is not known",
    wasmModule(section(Section.Type, [0x61]), MEMORY),
    "byte 11 (61) begins a type that is not known",
  ],
  [
    "a number of more than 32 bits",
    wasmModule([Section.Type, 0xff, 0xff, 0xff, 0xff, 0x1f]),
    "the number that ends at byte 13 has more than 32 bits",
  ],
  [
    "a signed number of more than 32 bits",
    wasmModule(MEMORY, section(Section.Code, body(0x41, 0xff, 0xff, 0xff, 0xff, 0x3f))),
    "the number that ends at byte 24 has more than 32 bits",
  ],
  [
    "a function that is not valid, and whose name has two lines",
    wasmModule(
      section(Section.Type, functionType([], [I32])),
      section(Section.Function, [0]),
      MEMORY,
      section(Section.Code, body()),
      custom("name", [1, ...sized(counted([0, ...text("one\ntwo")]))]),
    ),
    'it is not valid (WebAssembly.Module(): Compiling function #0:"one two" failed: ' +
    "expected 1 elements on the stack for fallthru, found 0 @+30)",
  ],
  [
    "a section of a kind that is not known",
    wasmModule([14, 0]),
    "the section at byte 8 is of a kind that is not known (14)",
  ],
  [
    "a section in the wrong place",
    wasmModule(section(Section.Function), section(Section.Type)),
    "the section at byte 11 (1) is not in its place",
  ],
  [
    "two sections of a kind",
    wasmModule(MEMORY, MEMORY),
    "the section at byte 14 (5) is not in its place",
  ],
  [
    "more than belongs into a section",
    wasmModule([Section.Type, ...sized([0, 9])]),
    "the section at byte 8 has more than belongs there, from byte 11 on",
  ],
  [
    "more than belongs into a function",
    wasmModule(MEMORY, section(Section.Code, sized([0, 0x0b, 0x0b]))),
    "the function at byte 17 has more than belongs there, from byte 20 on",
  ],
  [
    "a function that does not end",
    wasmModule(MEMORY, section(Section.Code, sized([0, 0x01]))),
    "the function at byte 17 ends too early, at byte 20; look whether the file is whole",
  ],
  [
    "a name that is not UTF-8",
    wasmModule(section(Section.Import, [1, 0xff, ...text("b"), 0, 0]), MEMORY),
    "the name at byte 12 is not UTF-8",
  ],
  [
    "blocks without end",
    wasmModule(
      MEMORY,
      section(
        Section.Code,
        sized([0, ...new Array(WASM_NESTING_MAX).fill([0x02, 0x40]).flat()]),
      ),
    ),
    `the block at byte ${23 + 2 * (WASM_NESTING_MAX - 1)} is nested more than 65536 deep`,
  ],
];

for (const [name, bytes, problem] of REFUSED) {
  Deno.test(`rewriteWasm: refuses ${name}`, () => assertEquals(refusal(bytes), problem));
}

Deno.test("rewriteWasm: refuses what is no bytes", () => {
  assertThrows(
    () => rewriteWasm(wasmModule().buffer as unknown as Uint8Array),
    TypeError,
    "Cannot rewrite an object: give the module's bytes as a Uint8Array",
  );
});

Deno.test("rewriteWasm: a module that is cut anywhere is refused, or has lost whole sections", () => {
  const bytes = ofIndices();
  const whole = new Set<number>();
  for (let at = 8; at < bytes.length; at += 2 + bytes[at + 1]!) {
    // Up to the end of the memory there is none.
    if (at > bytes.indexOf(Section.Memory, 8)) whole.add(at);
  }
  let refused = 0;
  for (let length = 0; length < bytes.length; length++) {
    try {
      rewriteWasm(bytes.slice(0, length));
      assert(whole.has(length), `cut at byte ${length}`);
    } catch (error) {
      assert(error instanceof TdsmError && !error.message.includes("\n"), `at byte ${length}`);
      refused++;
    }
  }
  assert(refused > bytes.length - 20);
});
