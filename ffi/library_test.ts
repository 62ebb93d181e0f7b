import { fileURLToPath } from "node:url";
import { assert, assertEquals, assertInstanceOf, assertMatch, assertThrows } from "@std/assert";
import { TdsmError } from "../runtime/errors.ts";
import { STATUSES } from "./abi.ts";
import { builtLibraryPath, openLibrary } from "./library.ts";
import { symbols } from "./symbols.ts";

const module = new URL("./library.ts", import.meta.url).href;
const configuration = fileURLToPath(new URL("../deno.json", import.meta.url));

/** Runs `code` in a Deno with exactly these permissions; answers what it printed. */
async function run(code: string, permissions: string[], env: Record<string, string> = {}) {
  const file = await Deno.makeTempFile({ suffix: ".ts" });
  try {
    await Deno.writeTextFile(file, code);
    const { stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: ["run", "--no-lock", "--config", configuration, ...permissions, file],
      env,
      stdin: "null",
      signal: AbortSignal.timeout(60_000),
    }).output();
    return new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr);
  } finally {
    await Deno.remove(file);
  }
}

/** Prints the code and message of the error that opening with `options` throws, or the path. */
function report(options: string): string {
  return `import { openLibrary } from ${JSON.stringify(module)};
    try { console.log("opened", openLibrary(${options}).path); }
    catch (error) { console.log(error.code, error.message); }`;
}

Deno.test("openLibrary: the one that was built opens, and says from where", () => {
  using library = openLibrary();
  assertEquals(library.path, builtLibraryPath());
  assertMatch(library.path, /\/zig-out\/lib\/libtdsm\.so$/);
});

Deno.test("openLibrary: an explicit path is the only one tried", () => {
  const error = assertThrows(() => openLibrary({ path: "/nowhere/libtdsm.so" }), TdsmError);
  assertEquals(error.code, "LibraryNotFound");
  assertEquals(
    error.message,
    "Cannot load libtdsm.so: the given path: /nowhere/libtdsm.so: cannot open shared object file: " +
      "No such file or directory. " +
      "Name one that is there, or none: then it is the one that `./tdsm build` makes",
  );
  assertInstanceOf(error.cause, Error);
});

Deno.test("openLibrary: a file that is no library is named with the loader's reason", async () => {
  const path = await Deno.makeTempFile({ suffix: ".so" });
  try {
    await Deno.writeTextFile(path, "not an ELF file");
    const error = assertThrows(() => openLibrary({ path }), TdsmError);
    assertEquals(error.code, "LibraryNotFound");
    assert(error.message.includes(path));
    assertMatch(error.message, /file too short|invalid ELF header/);
  } finally {
    await Deno.remove(path);
  }
});

Deno.test("openLibrary: TDSM_LIBRARY comes before the checkout, and every path tried is named", async () => {
  // A copy of the package that was never built.
  const copy = await Deno.makeTempDir();
  try {
    const root = fileURLToPath(new URL("..", import.meta.url));
    for (const directory of ["ffi", "runtime"]) await Deno.mkdir(`${copy}/${directory}`);
    for (
      const file of [
        "ffi/abi.ts",
        "ffi/library.ts",
        "ffi/symbols.ts",
        "runtime/errors.ts",
        "runtime/limits.ts",
        "runtime/printable.ts",
      ]
    ) {
      await Deno.copyFile(`${root}${file}`, `${copy}/${file}`);
    }
    const code = report("{}").replace(module, `file://${copy}/ffi/library.ts`);
    const permissions = ["--allow-ffi", "--allow-env=TDSM_LIBRARY"];
    const lost = await run(code, permissions, { TDSM_LIBRARY: "/nowhere/else.so" });
    const [first, second] = [
      `TDSM_LIBRARY: /nowhere/else.so: `,
      `the checkout: ${copy}/zig-out/lib/libtdsm.so: `,
    ];
    assertMatch(lost, /^LibraryNotFound /);
    assert(lost.indexOf(first) > 0 && lost.indexOf(first) < lost.indexOf(second), lost);
    assertMatch(lost, /\. Build it with `\.\/tdsm build`, or name one with --library\n?$/);
    const found = await run(code, permissions, { TDSM_LIBRARY: builtLibraryPath()! });
    assertMatch(found, /^opened /);
  } finally {
    await Deno.remove(copy, { recursive: true });
  }
});

Deno.test("openLibrary: without the permission the environment is not looked at", async () => {
  const printed = await run(report("{}"), ["--allow-ffi"], { TDSM_LIBRARY: "/nowhere/else.so" });
  assertMatch(printed, /^opened .*\/zig-out\/lib\/libtdsm\.so/);
});

Deno.test("openLibrary: without --allow-ffi, or with a path there, the error says so, and nothing prompts", async () => {
  for (const options of ["{}", `{ path: "/nowhere/libtdsm.so" }`]) {
    for (const permissions of [[], [`--allow-ffi=${builtLibraryPath()}`]]) {
      const printed = await run(report(options), permissions);
      assertMatch(printed, /^PermissionMissing Cannot load .*: run Deno with --allow-ffi, without/);
      assert(!printed.includes("Deno requests"));
    }
  }
});

Deno.test("openLibrary: one of another ABI version is refused by name", async () => {
  // The check is on the number alone, so a stand-in for the module that has it will do.
  const abi = new URL("./abi.ts", import.meta.url).href;
  const source = await Deno.readTextFile(new URL("./library.ts", import.meta.url));
  const changed = source
    .replace(`import { ABI_VERSION } from "./abi.ts";`, "const ABI_VERSION = 999;")
    .replaceAll(
      /from "(\.[^"]*)"/g,
      (_, path) => `from ${JSON.stringify(new URL(path, abi).href)}`,
    );
  assert(changed.includes("const ABI_VERSION = 999"));
  const path = JSON.stringify(builtLibraryPath());
  const printed = await run(
    `${changed}\ntry { openLibrary({ path: ${path} }); }
     catch (error) { console.log(error.code, error.message); }`,
    ["--allow-ffi"],
  );
  assertMatch(printed, /^LibraryMismatch .* ABI version \d+, this runtime needs 999; .*tdsm build/);
});

for (const forProgram of [true, false]) {
  const of = forProgram ? "a thread of a program" : "an engine";
  Deno.test(`openLibrary: for ${of}, what is called seldom is called by its address`, () => {
    using library = openLibrary({ forProgram });
    const compiled = Deno.dlopen(library.path, symbols);
    using _closed = { [Symbol.dispose]: () => compiled.close() };
    const isCompiled = (name: keyof typeof symbols): boolean =>
      "value" in Object.getOwnPropertyDescriptor(library.symbols, name)!;
    assertEquals(isCompiled("tdsm_kick"), forProgram);
    assertEquals(isCompiled("tdsm_links_wait"), !forProgram);
    assert(!isCompiled("tdsm_seal_suites"));
    for (const name of Object.keys(symbols) as (keyof typeof symbols)[]) {
      assertEquals(typeof library.symbols[name], "function", name);
    }
    // One for each kind of result, and for each kind of argument that some have.
    const bytes = Uint8Array.of(1, 2, 3);
    const each = [library.symbols, compiled.symbols];
    const same = <Result>(call: (of: typeof compiled.symbols) => Result): Result => {
      const [one, two] = each.map(call);
      assertEquals(one, two);
      return one!;
    };
    assertEquals(same((of) => of.tdsm_crc32c(bytes, 3, 0)), library.checksum(bytes));
    assertEquals(same((of) => of.tdsm_thread_ended(of.tdsm_thread())), 0);
    assert(same((of) => of.tdsm_abi_version()) > 0);
    assert(same((of) => of.tdsm_memory_bytes(0)) < 0n);
    assertEquals(same((of) => of.tdsm_lease_extend(0, 1.5)), -STATUSES.bad_handle);
    const text = same((of) => Deno.UnsafePointerView.getCString(of.tdsm_layout_manifest()!));
    assertEquals(JSON.parse(text).abiVersion, library.symbols.tdsm_abi_version());
  });
}
