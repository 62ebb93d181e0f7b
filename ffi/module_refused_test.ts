import { assert, assertEquals, assertMatch, assertRejects, assertThrows } from "@std/assert";
import { TdsmError } from "../runtime/errors.ts";
import {
  buildModule,
  type Compiler,
  hasCompiler,
  tryBuildModule,
} from "../zig/testdata/build_module.ts";
import { Bench, COUNTER_C, isLoaded, KIB } from "../zig/testdata/module_bench.ts";
import { NativeModule } from "./module.ts";

/** Modules that cannot share their variables. */
const REFUSED: Record<string, {
  source: string;
  script?: string;
  message: RegExp;
}> = {
  "no shared variable": {
    source: "int counter;",
    message: /no variable is in its \.rdma section/,
  },
  "no linker script": {
    source: COUNTER_C,
    script: "",
    message: /has no \.rdma section; .*TDSM_SHARED.*-T rdma\.ld/,
  },
  "a section that is not on pages of its own": {
    source: '__attribute__((section(".rdma"))) int counter;',
    script: "",
    message: /not on pages of its own; link it with `-T rdma\.ld`/,
  },
  "a constructor that writes to a variable": {
    source: `${COUNTER_C}
      TDSM_SHARED static char cells[1 << 20];
      __attribute__((constructor)) static void start(void) { *(volatile char *)&cells[70001] = 1; }
      char *all(void) { return cells; }`,
    message: /has a value before it is shared;.* \(byte 7\d\d\d\d of \.rdma\)$/,
  },
  "an initial value that the linker kept": {
    source: '__attribute__((section(".rdma"))) int counter[3000] = { [2999] = 256 };',
    script: "SECTIONS { .rdma : ALIGN(4096) { *(.rdma) . = ALIGN(4096); } } INSERT AFTER .data;",
    message: /has a value before it is shared;.* \(byte 11997 of \.rdma\)$/,
  },
};

for (
  const [reason, { source, script, message }] of Object.entries(REFUSED)
) {
  Deno.test(`NativeModule: ${reason} is refused`, async () => {
    await using bench = await Bench.open();
    let scriptOption: { script?: string } = {};
    if (script !== undefined) {
      if (script !== "") await Deno.writeTextFile(bench.path("own.ld"), script);
      scriptOption = { script: script === "" ? "" : bench.path("own.ld") };
    }
    const path = await buildModule(bench.path("libbad.so"), source, scriptOption);
    const error = assertThrows(() => NativeModule.open(bench.library, path, {}), TdsmError);
    assertEquals(error.code, "LibraryMismatch");
    assertMatch(error.message, message);
    assert(error.message.startsWith(`Cannot share the variables of ${path}: `));
    // Refused, it is not kept loaded either.
    assertEquals(isLoaded(bench, path), false);
  });
}

Deno.test("NativeModule: compilers refuse an initial value", async () => {
  await using bench = await Bench.open();
  const sources = {
    "zig": 'export var counter: i32 linksection(".bss.rdma") = 5;',
    "zig cc": '#include "tdsm.h"\nTDSM_SHARED int counter = 5;',
    "gcc": '#include "tdsm.h"\nTDSM_SHARED int counter = 5;',
  };
  for (const [compiler, source] of Object.entries(sources) as [Compiler, string][]) {
    if (!hasCompiler(compiler)) continue;
    const errors = await tryBuildModule(bench.path("libbad.so"), source, { compiler });
    assertMatch(errors ?? "it was built", /non-zero bytes|only zero initializers/, compiler);
  }
});

Deno.test("NativeModule: one that is not there, lacks a symbol, is not loaded or is no text is refused", async () => {
  await using bench = await Bench.open();
  const path = await buildModule(bench.path("libcounter.so"), COUNTER_C);
  const open = (at: string, symbols = {}): TdsmError =>
    assertThrows(() => NativeModule.open(bench.library, at, symbols), TdsmError);
  const absent = open(bench.path("absent.so"));
  assertEquals(absent.code, "LibraryNotFound");
  assertMatch(absent.message, /^Cannot load .*absent\.so: .*No such file/);
  assertMatch(open(path, { nothing: { parameters: [], result: "void" } }).message, /nothing/);
  const find = (at: string): TdsmError =>
    assertThrows(() => NativeModule.find(bench.library, at), TdsmError);
  assertEquals(find(path).code, "LibraryNotFound");
  assertEquals(find("a\0b").code, "InvalidOption");
  // Loaded by another it is found.
  const dynamic = Deno.dlopen(path, {});
  assertEquals(NativeModule.find(bench.library, path).size, 4 * KIB);
  using module = NativeModule.open(bench.library, new URL(`file://${path}`), {});
  assertEquals([module.path, module.section.size], [path, 4 * KIB]);
  module[Symbol.dispose]();
  dynamic.close();
  assertEquals(find(path).code, "LibraryNotFound");
});

Deno.test("NativeModule: a file that took the place of the loaded one is not taken for it", async () => {
  await using bench = await Bench.open();
  const path = await buildModule(bench.path("libcounter.so"), COUNTER_C);
  const fresh = await buildModule(
    bench.path("libfresh.so"),
    COUNTER_C + "\nTDSM_SHARED int more;",
  );
  const dynamic = Deno.dlopen(path, {});
  await Deno.rename(fresh, path);
  const changed = assertThrows(() => NativeModule.find(bench.library, path), TdsmError);
  assertMatch(changed.message, /is not the one that was loaded; start the program again$/);
  await Deno.remove(path);
  const gone = assertThrows(() => NativeModule.find(bench.library, path), TdsmError);
  assertEquals([gone.code, gone.errno], ["SystemCallFailed", 2]);
  assertMatch(gone.message, /cannot be read \(ENOENT\)$/);
  dynamic.close();
});

Deno.test("NativeModule: the bound on open modules is kept, and given back", async () => {
  await using bench = await Bench.open();
  const path = await buildModule(bench.path("libcounter.so"), COUNTER_C);
  const open: NativeModule<Record<string, never>>[] = [];
  const copy = async (index: number): Promise<NativeModule<Record<string, never>>> => {
    const own = bench.path(`lib${index}.so`);
    await Deno.copyFile(path, own);
    return NativeModule.open(bench.library, own, {});
  };
  for (let index = 0; index < 64; index++) open.push(await copy(index));
  const error = await assertRejects(() => copy(64), TdsmError);
  assertEquals(error.code, "LimitExceeded");
  open.pop()![Symbol.dispose]();
  open.push(await copy(64));
  // The main window is one of a region's 64.
  for (const [index, module] of open.slice(0, 63).entries()) {
    module.mapOnto(bench.region, index * 4 * KIB);
  }
  const full = assertThrows(() => open[63]!.mapOnto(bench.region, 4 * KIB), TdsmError);
  assertEquals(full.code, "LimitExceeded");
  for (const module of open) module[Symbol.dispose]();
});
