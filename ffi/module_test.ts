import { assert, assertEquals, assertMatch, assertNotEquals, assertThrows } from "@std/assert";
import { TdsmError } from "../runtime/errors.ts";
import { findZig } from "../zig/build.ts";
import { buildModule, type Compiler, hasCompiler } from "../zig/testdata/build_module.ts";
import {
  Bench,
  COUNTER,
  COUNTER_C,
  COUNTER_ZIG,
  GIB,
  int32At,
  isLoaded,
  KIB,
  MIB,
} from "../zig/testdata/module_bench.ts";
import { NativeModule } from "./module.ts";
import { NativeRegion } from "./native.ts";

for (const compiler of ["zig", "zig cc", "gcc", "g++"] as const satisfies Compiler[]) {
  const missing = !hasCompiler(compiler);
  Deno.test({
    name: `NativeModule: one variable, built by ${compiler}, is the region's${
      missing ? ` (skipped: no ${compiler} here)` : ""
    }`,
    ignore: missing,
    fn: async () => {
      await using bench = await Bench.open();
      const source = compiler === "g++"
        ? COUNTER_C.replaceAll(/int (counter|bump)/g, 'extern "C" int $1').replace(
          'TDSM_SHARED extern "C" int counter;',
          'extern "C" { TDSM_SHARED int counter; }',
        )
        : compiler === "zig"
        ? COUNTER_ZIG
        : COUNTER_C;
      const path = await buildModule(bench.path("libcounter.so"), source, { compiler });
      using module = NativeModule.open(bench.library, path, COUNTER);
      assertEquals(module.section.size, 4 * KIB);
      assert(module.section.variables >= 1);
      module.mapOnto(bench.region, 8 * 4 * KIB);
      const offset = Number(
        BigInt(Deno.UnsafePointer.value(module.symbols.counter)) - module.section.address,
      );
      new DataView(bench.region.alias().buffer).setInt32(8 * 4 * KIB + offset, 41, true);
      const { value, faults } = await bench.serve(module.symbols.bump());
      assertEquals({ value, faults }, { value: 42, faults: [[8, 1]] });
      assertEquals(int32At(bench.region.window(), 8 * 4 * KIB + offset), 42);
      assertEquals(int32At(module.memory, offset), 42);
    },
  });
}

/** The commands that the first lines of an example give; a line that ends with \ goes on. */
async function buildCommands(example: URL): Promise<string[][]> {
  const source = await Deno.readTextFile(example);
  const lines = source.split("\n\n", 1)[0]!.replaceAll(" \\\n//!  ", "").split("\n");
  return lines.map((line) => line.replace(/^\/\/! /, ""))
    .filter((line) => /^(gcc|zig) /.test(line)).map((line) => line.split(" "));
}

for (const example of ["counter.c", "counter.zig"]) {
  Deno.test(`NativeModule: examples/native/${example} is built by the commands in it, and works`, async () => {
    const commands = await buildCommands(new URL(`../examples/native/${example}`, import.meta.url));
    assertEquals(commands.length, example === "counter.c" ? 2 : 1);
    for (const [compiler, ...args] of commands) {
      if (!hasCompiler(compiler as Compiler)) continue;
      await using bench = await Bench.open(128 * MIB, 64 * KIB);
      const path = bench.path("libcounter.so");
      const { success, stderr } = await new Deno.Command(
        compiler === "zig" ? await findZig() : compiler!,
        {
          args: args.map((word) => word.replace("libcounter.so", path)),
          cwd: new URL("..", import.meta.url),
        },
      ).output();
      assert(success, new TextDecoder().decode(stderr));
      using module = NativeModule.open(bench.library, path, {
        bump: { parameters: [], result: "i32", nonblocking: true },
        fill: { parameters: ["f64"], result: "void", nonblocking: true },
        look_up: { parameters: ["i32"], result: "f64", nonblocking: true },
      });
      assert(module.section.size > 64 * MIB);
      module.mapOnto(bench.region, 0);
      await bench.serve(module.symbols.bump());
      assertEquals((await bench.serve(module.symbols.bump())).value, 2);
      await bench.serve(module.symbols.fill(0.5));
      assertEquals(
        (await bench.serve(module.symbols.look_up((1 << 23) - 1))).value,
        (2 ** 23 - 1) / 2,
      );
    }
  });
}

Deno.test("NativeModule: a thread that native code started faults and is served", async () => {
  await using bench = await Bench.open();
  const path = await buildModule(
    bench.path("libthread.so"),
    `#include <pthread.h>
    #include "tdsm.h"
    TDSM_SHARED long cells[4096];
    static void *fill(void *base) {
      for (int i = 0; i < 4096; i++) cells[i] = (long)base + i;
      return 0;
    }
    long run(void) {
      pthread_t thread;
      long sum = 0;
      if (pthread_create(&thread, 0, fill, (void *)1000) != 0) return -1;
      pthread_join(thread, 0);
      for (int i = 0; i < 4096; i++) sum += cells[i];
      return sum;
    }`,
    { args: ["-lc"] },
  );
  using module = NativeModule.open(bench.library, path, {
    run: { parameters: [], result: "i64", nonblocking: true },
  });
  module.mapOnto(bench.region, MIB);
  const { value, faults } = await bench.serve(module.symbols.run());
  assertEquals(value, BigInt(4096 * 1000 + 4095 * 4096 / 2));
  assertEquals(faults.map(([page]) => page), [256, 257, 258, 259, 260, 261, 262, 263]);
});

Deno.test("NativeModule: 1 GiB of shared variables takes no file and no memory of that size", async () => {
  await using bench = await Bench.open(2 * GIB, 2 * MIB);
  const path = await buildModule(
    bench.path("liblarge.so"),
    `#include "tdsm.h"
    TDSM_SHARED static unsigned char large[1 << 30];
    int poke(unsigned at, int value) { large[at] = value; return large[at] + large[at / 2]; }`,
  );
  assert((await Deno.stat(path)).size < MIB);
  using module = NativeModule.open(bench.library, path, {
    poke: { parameters: ["u32", "i32"], result: "i32", nonblocking: true },
  });
  assertEquals([module.section.size, module.section.variables], [GIB, 1]);
  module.mapOnto(bench.region, GIB);
  const { value, faults } = await bench.serve(module.symbols.poke(GIB - 1, 77));
  assertEquals({ value, faults }, { value: 77, faults: [[1023, 1], [767, 1]] });
  assertEquals(bench.region.alias()[2 * GIB - 1], 77);
});

Deno.test("NativeModule: a logical page larger than the section serves it too", async () => {
  await using bench = await Bench.open(MIB, 64 * KIB);
  const path = await buildModule(bench.path("libcounter.so"), COUNTER_C);
  using module = NativeModule.open(bench.library, path, COUNTER);
  assertEquals(module.regionBytes(64 * KIB), 64 * KIB);
  module.mapOnto(bench.region, 5 * 64 * KIB);
  assertEquals(await bench.serve(module.symbols.bump()), { value: 1, faults: [[5, 1]] });
  bench.region.evict(5, 1);
  assertEquals(await bench.serve(module.symbols.bump()), { value: 2, faults: [[5, 1]] });
  for (const [at, reason] of [[4 * KIB, /start on a page/], [MIB, /end within/]] as const) {
    const path = await buildModule(bench.path(`lib${at}.so`), COUNTER_C);
    using misplaced = NativeModule.open(bench.library, path, COUNTER);
    const error = assertThrows(() => misplaced.mapOnto(bench.region, at), TdsmError);
    assertEquals(error.code, "InvalidOption");
    assertMatch(error.message, reason);
  }
});

Deno.test("NativeModule: two at once with variables of the same name do not meet", async () => {
  await using bench = await Bench.open();
  const [one, two] = ["libone.so", "libtwo.so"].map((name) => bench.path(name)) as [string, string];
  await Promise.all([
    buildModule(one, COUNTER_C),
    buildModule(two, COUNTER_ZIG, { compiler: "zig" }),
  ]);
  using first = NativeModule.open(bench.library, one, COUNTER);
  using second = NativeModule.open(bench.library, two, COUNTER);
  assertNotEquals(first.section.address, second.section.address);
  first.mapOnto(bench.region, 4 * KIB);
  second.mapOnto(bench.region, 8 * KIB);
  await bench.serve(first.symbols.bump());
  await bench.serve(first.symbols.bump());
  assertEquals(await bench.serve(second.symbols.bump()), { value: 1, faults: [[2, 2]] });
  assertEquals([int32At(first.memory, 0), int32At(second.memory, 0)], [2, 1]);
});

Deno.test("NativeModule: opened twice it has one place, which stays until the last is disposed of", async () => {
  await using bench = await Bench.open();
  const path = await buildModule(bench.path("libcounter.so"), COUNTER_C);
  const first = NativeModule.open(bench.library, path, COUNTER);
  first.mapOnto(bench.region, 4 * KIB);
  await bench.serve(first.symbols.bump());
  const second = NativeModule.open(bench.library, path, COUNTER);
  assertEquals(second.section, first.section);
  using other = NativeRegion.open(bench.library, { size: MIB, pageSize: 4 * KIB });
  for (const [region, at] of [[bench.region, 8 * KIB], [other, 4 * KIB]] as const) {
    const error = assertThrows(() => second.mapOnto(region, at), TdsmError);
    assertEquals(error.code, "InvalidOption");
    assertMatch(error.message, /already, with another node or under another name/);
  }
  second.mapOnto(bench.region, 4 * KIB);
  first[Symbol.dispose]();
  assertEquals(await bench.serve(second.symbols.bump()), { value: 2, faults: [] });
  second[Symbol.dispose]();
});

Deno.test("NativeModule: once disposed of it is unloaded, its views are empty, the region is whole", async () => {
  await using bench = await Bench.open();
  const path = await buildModule(bench.path("libcounter.so"), COUNTER_C);
  for (let round = 1; round <= 3; round++) {
    const module = NativeModule.open(bench.library, path, COUNTER);
    module.mapOnto(bench.region, 4 * KIB);
    const { value } = await bench.serve(module.symbols.bump());
    // The region keeps what the module of the round before left there.
    assertEquals(value, round);
    const { memory } = module;
    assertEquals(isLoaded(bench, path), true);
    module[Symbol.dispose]();
    module[Symbol.dispose]();
    assertEquals(isLoaded(bench, path), false);
    assertEquals(memory.length, 0);
    for (const use of [() => module.symbols, () => module.memory]) {
      assertEquals(assertThrows(use, TdsmError).code, "NodeClosed");
    }
    bench.region.evict(1, 1);
  }
  assertEquals(int32At(bench.region.alias(), 4 * KIB), 3);
});

Deno.test("NativeModule: it survives its region, and can be mapped onto the next one", async () => {
  await using bench = await Bench.open();
  const path = await buildModule(bench.path("libcounter.so"), COUNTER_C);
  const short = NativeRegion.open(bench.library, { size: MIB, pageSize: 4 * KIB });
  const left = NativeModule.open(bench.library, path, COUNTER);
  left.mapOnto(short, 0);
  short[Symbol.dispose]();
  // Blank memory of this process: no engine serves it, and none has to.
  assertEquals(int32At(left.memory, 0), 0);
  using next = NativeModule.open(bench.library, path, COUNTER);
  next.mapOnto(bench.region, 4 * KIB);
  left[Symbol.dispose]();
  assertEquals(await bench.serve(next.symbols.bump()), { value: 1, faults: [[1, 1]] });
});

Deno.test("NativeModule: it may not be used before it is mapped, nor mapped twice", async () => {
  await using bench = await Bench.open();
  const path = await buildModule(bench.path("libcounter.so"), COUNTER_C);
  using module = NativeModule.open(bench.library, path, COUNTER);
  assertThrows(() => module.symbols, Error, "before it is mapped");
  assertThrows(() => module.memory, Error, "before it is mapped");
  module.mapOnto(bench.region, 0);
  assertThrows(() => module.mapOnto(bench.region, 0), Error, "it is mapped");
});

Deno.test("NativeModule: the layout tells versions apart, and not builds of one version", async () => {
  await using bench = await Bench.open();
  const versions = {
    base: COUNTER_C,
    again: `/* other code */ ${COUNTER_C.replace("+ 1", "+ 1 + 0")}`,
    renamed: COUNTER_C.replaceAll("counter", "kounter"),
    wider: COUNTER_C.replace("int counter", "long counter"),
    moved: COUNTER_C.replace("int counter;", "int before, counter;") +
      "\nvoid *p(void) { return &before; }",
    statics: COUNTER_C + `
      TDSM_SHARED static int a; TDSM_SHARED static int b;
      int *pa(void) { return &a; } int *pb(void) { return &b; }`,
    staticsSwapped: COUNTER_C + `
      TDSM_SHARED static int b; TDSM_SHARED static int a;
      int *pb(void) { return &b; } int *pa(void) { return &a; }`,
    larger: COUNTER_C + "\nTDSM_SHARED char more[4096];",
  };
  const sections = await Promise.all(
    Object.entries(versions).map(async ([name, source]) => {
      const path = await buildModule(bench.path(`lib${name}.so`), source);
      using module = NativeModule.open(bench.library, path, {});
      return [name, module.section] as const;
    }),
  );
  const { base, again, larger, ...others } = Object.fromEntries(sections);
  assertEquals(again!.layoutHash, base!.layoutHash);
  const hashes = [base!, larger!, ...Object.values(others)].map(({ layoutHash }) => layoutHash);
  assertEquals(new Set(hashes).size, 7);

  using module = NativeModule.open(bench.library, bench.path("libbase.so"), {});
  module.requireLayout(again!);
  const renamed = assertThrows(() => module.requireLayout(others["renamed"]!), TdsmError);
  assertEquals(renamed.code, "LibraryMismatch");
  assertMatch(renamed.message, /other names, places or sizes here \(layout [0-9a-f]{16}\)/);
  assertMatch(
    assertThrows(() => module.requireLayout(larger!), TdsmError).message,
    /has 4096 bytes here and 8192 bytes on other nodes/,
  );

  // Without the full symbol table exported variables count all the same.
  const path = await buildModule(bench.path("libstripped.so"), COUNTER_C, { args: ["-s"] });
  using stripped = NativeModule.open(bench.library, path, {});
  assertEquals(stripped.section.layoutHash, base!.layoutHash);
});

Deno.test("NativeModule: --allow-ffi is all it needs, and a relative path will do", async () => {
  await using bench = await Bench.open();
  await buildModule(bench.path("libcounter.so"), COUNTER_C);
  const here = new URL(".", import.meta.url).href;
  await Deno.writeTextFile(
    bench.path("main.ts"),
    `import { openLibrary } from "${here}library.ts";
    import { NativeModule } from "${here}module.ts";
    import { NativeRegion } from "${here}native.ts";
    using library = openLibrary();
    using region = NativeRegion.open(library, { size: 2 ** 20, pageSize: 4096 });
    using module = NativeModule.open(library, "./libcounter.so", {
      bump: { parameters: [], result: "i32" },
    });
    module.mapOnto(region, 4096);
    region.install(1, 1, true);
    console.log(module.symbols.bump(), module.symbols.bump(), module.memory[0]);`,
  );
  const run = async (...permissions: string[]): Promise<string> => {
    const { stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: ["run", "--no-config", "--no-prompt", ...permissions, "main.ts"],
      cwd: bench.directory,
      env: { NO_COLOR: "1" },
    }).output();
    return new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr);
  };
  assertEquals(await run("--allow-ffi"), "1 2 2\n");
});
