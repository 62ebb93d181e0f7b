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
  assertEquals(
    absent.message,
    `Cannot load ${bench.path("absent.so")}: cannot open shared object file: ` +
      "No such file or directory. Build it there, or give the path where it is",
  );
  assertMatch(
    open("absent.so").message,
    /No such file.*\. For a file in the current folder write \.\/absent\.so$/,
  );
  assertMatch(
    open(path, { nothing: { parameters: [], result: "void" } }).message,
    /^Cannot load .*libcounter\.so: .*nothing(?!.*Build it there)/,
  );
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

/** Shared variables of templates, which GCC puts elsewhere without a word. */
const TEMPLATES: Record<string, string> = {
  "a static member of a class template":
    `template <class T> struct Cell { TDSM_SHARED static T value; };
    template <class T> T Cell<T>::value;
    TDSM_SHARED int plain;
    extern "C" int use() { return ++Cell<int>::value + ++plain; }`,
  "an inline one": `template <class T> struct Cell { TDSM_SHARED inline static T value; };
    extern "C" int use() { return ++Cell<int>::value; }`,
  "a variable template": `template <class T> TDSM_SHARED T value;
    extern "C" int use() { return ++value<int>; }`,
};

/** Whether this GCC is one that has learnt to share the variables of templates. */
async function keepsSections(bench: Bench): Promise<boolean> {
  const path = bench.path("template.s");
  const source =
    `template <class T> __attribute__((section("own"))) T value; template int value<int>;`;
  const errors = await tryBuildModule(path, source, {
    compiler: "g++",
    args: ["-S", "-std=c++17"],
    script: "",
  });
  assertEquals(errors, undefined);
  return /^\s*\.section\s+own/m.test(await Deno.readTextFile(path));
}

for (const [what, source] of Object.entries(TEMPLATES)) {
  const missing = !hasCompiler("g++");
  Deno.test({
    name: `NativeModule: ${what} that GCC does not share is refused by its name${
      missing ? " (skipped: no g++ here)" : ""
    }`,
    ignore: missing,
    fn: async () => {
      await using bench = await Bench.open();
      const path = await buildModule(bench.path("libtemplate.so"), `#include "tdsm.h"\n${source}`, {
        compiler: "g++",
        args: ["-std=c++17"],
      });
      if (await keepsSections(bench)) return;
      const error = assertThrows(() => NativeModule.open(bench.library, path, {}), TdsmError);
      assertEquals(error.code, "LibraryMismatch");
      assertMatch(error.message, /template outside of \.rdma; .* \(_Z\w*value\w*\)$/);
      assertEquals(isLoaded(bench, path), false);
    },
  });
}

Deno.test("NativeModule: what is marked in C++ is shared, and warns of nothing, static or not", async () => {
  await using bench = await Bench.open();
  const source = `#include "tdsm.h"
    TDSM_SHARED int plain;
    TDSM_SHARED static int one;
    static TDSM_SHARED int two;
    namespace { TDSM_SHARED int three; }
    struct Class { TDSM_SHARED static int four; };
    int Class::four;
    extern "C" int use() {
      TDSM_SHARED static int five;
      return ++plain + ++one + ++two + ++three + ++Class::four + ++five;
    }`;
  for (const compiler of ["g++", "zig c++"] as const) {
    if (!hasCompiler(compiler)) continue;
    const path = await buildModule(bench.path("libplain.so"), source, { compiler });
    using module = NativeModule.open(bench.library, path, {});
    assertEquals(module.section.variables, 6, compiler);
  }
});

Deno.test("NativeModule: Clang shares the variables of templates as any others", async () => {
  await using bench = await Bench.open();
  for (const [what, source] of Object.entries(TEMPLATES)) {
    const path = await buildModule(bench.path("libtemplate.so"), `#include "tdsm.h"\n${source}`, {
      compiler: "zig c++",
      args: ["-std=c++17"],
    });
    using module = NativeModule.open(bench.library, path, {});
    assertEquals(module.section.variables, source.includes("plain") ? 2 : 1, what);
  }
});

Deno.test("NativeModule: a module is named by a path or a file: URL, and has one file whatever its name", async () => {
  await using bench = await Bench.open();
  const path = await buildModule(bench.path("lib counter%41ä.so"), COUNTER_C);
  await Deno.symlink(path, bench.path("liblink.so"));
  const file = await Deno.realPath(path);
  using module = NativeModule.open(bench.library, path, {});
  const names = [
    `${bench.directory}/./x/../lib counter%41ä.so`,
    bench.path("liblink.so"),
    new URL(`file://${bench.directory}/lib%20counter%2541%C3%A4.so`),
    new URL(`file://${bench.directory}/liblink.so`),
  ];
  await Deno.mkdir(bench.path("x"));
  for (const name of names) {
    using same = NativeModule.open(bench.library, name, {});
    assertEquals([same.file, same.library], [file, module.library], String(name));
  }
  const wrong: (string | URL)[] = [
    `file://${path}`,
    "http://127.0.0.1/libcounter.so",
    new URL("http://127.0.0.1/libcounter.so"),
    new URL(`file://elsewhere${path}`),
    new URL(`file://${bench.directory}/100%.so`),
    new URL(`file://${bench.directory}/libcounter.so%00x`),
    `${path}\0x`,
    "",
  ];
  for (const name of wrong) {
    const error = assertThrows(() => NativeModule.open(bench.library, name, {}), TdsmError);
    assertEquals(error.code, "InvalidOption", String(name));
    assertMatch(error.message, /^Cannot load ".*": .*[^.]$/);
  }
});
