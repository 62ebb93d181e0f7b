/** The library for another kind of machine, loaded under an emulator of that machine. */

import { assertEquals, assertStringIncludes } from "@std/assert";
import { openLibrary } from "../../ffi/library.ts";
import { findZig } from "../../zig/build.ts";
import { ROOT, Scratch } from "./scratch.ts";

/** Loads a library, and prints its layout manifest and its checksum of "123456789". */
const LOADER = `#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>

int main(int count, char **words) {
  void *library = dlopen(words[1], RTLD_NOW);
  const char *(*manifest)(void) = library ? dlsym(library, "tdsm_layout_manifest") : 0;
  uint32_t (*sum)(const char *, uint32_t, uint32_t) = library ? dlsym(library, "tdsm_crc32c") : 0;
  if (manifest == 0 || sum == 0) return puts(dlerror()), 1;
  printf("%s\\n%x\\n", manifest(), sum("123456789", 9, 0));
}
`;

/** The published check value of CRC-32C. */
const CHECKSUM = "e3069283";

Deno.test("machines: the library for aarch64 loads, and lays out its records as here", async (test) => {
  using scratch = new Scratch();
  const emulator = await find(scratch, ["qemu-aarch64-static", "qemu-aarch64"]);
  const libc = "/usr/aarch64-linux-gnu";
  if (emulator === undefined || !await exists(`${libc}/lib/ld-linux-aarch64.so.1`)) {
    const packages = "qemu-user-static and libc6-arm64-cross";
    return console.log(`${test.name}: skipped, Debian's packages ${packages} are not installed`);
  }
  await scratch.deno(["run", "-A", `${ROOT}/zig/build.ts`, "--if-stale", "--all"], {
    env: { TDSM_ZIG: await findZig() },
  });
  scratch.write("load.c", LOADER);
  const compile = ["cc", "-target", "aarch64-linux-gnu.2.34", "-o", "load", "load.c"];
  const compiled = await scratch.run([await findZig(), ...compile]);
  assertEquals(compiled.code, 0, compiled.stderr);
  const library = `${ROOT}/zig-out/lib/libtdsm-aarch64.so`;
  const { code, stdout, stderr } = await scratch.run([emulator, "-L", libc, "./load", library]);
  assertEquals(code, 0, stdout + stderr);
  using here = openLibrary();
  const manifest = here.symbols.tdsm_layout_manifest();
  assertEquals(stdout, `${new Deno.UnsafePointerView(manifest!).getCString()}\n${CHECKSUM}\n`);
  const module = await Deno.readTextFile(`${ROOT}/ffi/embedded/mod.js`);
  assertStringIncludes(module, 'aarch64: () => import("./aarch64.js")');
});

/** The first of some programs that is on PATH. */
async function find(scratch: Scratch, names: readonly string[]): Promise<string | undefined> {
  for (const name of names) {
    const { code } = await scratch.run(["sh", "-c", `command -v ${name}`]);
    if (code === 0) return name;
  }
  return undefined;
}

async function exists(path: string): Promise<boolean> {
  return await Deno.stat(path).then(() => true, () => false);
}
