/**
 * Builds `libtdsm.so`, or runs its Zig tests.
 *
 *   deno run -A zig/build.ts                build for this machine
 *   deno run -A zig/build.ts --if-stale     build only if sources, flags or compiler changed
 *   deno run -A zig/build.ts --all          build for every machine that there is a package for
 *   deno run -A zig/build.ts test           run the unit tests
 *
 * A build makes two things for a machine: the library in `zig-out/lib`, and in `ffi/embedded` a
 * module that exports it, for programs that have no file system to look for it in. The compiler's
 * flags are in `libtdsm.rsp`, nowhere else but for the machine to build for.
 */

const zigDirectory = import.meta.dirname!;
const root = zigDirectory.slice(0, -"/zig".length);
const outputDirectory = `${root}/zig-out/lib`;
const embeddedDirectory = `${root}/ffi/embedded`;

/** The one compiler version that the sources are written for. */
export const ZIG_VERSION: string = pinnedVersion("zig");

/** The machines that there is a library for, as Deno and Zig call them. */
const MACHINES = ["x86_64", "aarch64"] as const;
type Machine = typeof MACHINES[number];

/**
 * The oldest C library that `libtdsm.so` runs with: in it threads and `dlopen` became one library.
 */
const GLIBC_VERSION = "2.34";

/** The version of a tool that `.tool-versions` pins. */
function pinnedVersion(tool: string): string {
  const lines = Deno.readTextFileSync(`${root}/.tool-versions`).split("\n");
  const line = lines.find((line) => line.startsWith(`${tool} `));
  if (line === undefined) throw new Error(`Cannot build: no version of ${tool} in .tool-versions`);
  return line.slice(tool.length).trim();
}

/** The machine that this runs on. */
function thisMachine(): Machine {
  const { arch, os } = Deno.build;
  const machine = MACHINES.find((machine) => machine === arch && os === "linux");
  if (machine !== undefined) return machine;
  throw new Error(
    `Cannot build: ${os} on ${arch} is none of Linux on ${
      MACHINES.join(" and ")
    }; use one of these`,
  );
}

/** Where the library for a machine is built to. */
function libraryPath(machine: Machine): string {
  const suffix = machine === Deno.build.arch ? "" : `-${machine}`;
  return `${outputDirectory}/libtdsm${suffix}.so`;
}

/** The fingerprint of what the library beside it was built from. */
function stampPath(machine: Machine): string {
  return `${libraryPath(machine)}.stamp`;
}

/** The processors that `aes.zig` is compiled for: those with instructions for AES. */
const AES_PROCESSORS: Readonly<Record<Machine, string>> = {
  x86_64: "x86_64+avx+aes",
  aarch64: "generic+aes",
};

function targetOf(machine: Machine): string {
  return `${machine}-linux-gnu.${GLIBC_VERSION}`;
}

/** Everything that a change of makes the library stale, as paths under `zig/`. */
function sourceNames(): string[] {
  const names = ["build.ts", "libtdsm.rsp", "rdma.ld"];
  for (const entry of Deno.readDirSync(`${zigDirectory}/src`)) {
    if (entry.isFile && entry.name.endsWith(".zig")) names.push(`src/${entry.name}`);
  }
  return names.sort();
}

/**
 * A fingerprint of the sources, the flags, the compiler's version and the machine.
 *
 * @returns Hexadecimal SHA-256.
 */
async function fingerprint(machine: Machine): Promise<string> {
  const encoder = new TextEncoder();
  const parts = [encoder.encode(`${ZIG_VERSION} ${targetOf(machine)}\n`)];
  for (const name of sourceNames()) {
    const bytes = Deno.readFileSync(`${zigDirectory}/${name}`);
    // The length keeps the end of one file from passing as the start of the next.
    parts.push(encoder.encode(`${name} ${bytes.length}\n`), bytes);
  }
  const whole = await new Blob(parts).arrayBuffer();
  return new Uint8Array(await crypto.subtle.digest("SHA-256", whole)).toHex();
}

/** Whether the library for a machine, and the module that exports it, are there and up to date. */
async function isFresh(machine: Machine): Promise<boolean> {
  try {
    return Deno.readTextFileSync(stampPath(machine)) === await fingerprint(machine) &&
      Deno.statSync(libraryPath(machine)).isFile &&
      Deno.statSync(`${embeddedDirectory}/${machine}.js`).isFile;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

/** Where a Zig may be, best first, with the reason it is looked for there. */
function* zigCandidates(): Generator<{ path: string; origin: string }> {
  const named = Deno.env.get("TDSM_ZIG");
  if (named) yield { path: named, origin: "TDSM_ZIG" };
  yield { path: "zig", origin: "PATH" };
  yield { path: `${root}/.tools/zig-${ZIG_VERSION}/ziglang/zig`, origin: ".tools" };
}

/**
 * Finds the Zig of the pinned version.
 *
 * @returns Its path, or its name if it is on PATH.
 * @throws {Error} If none is; the message names all that were tried.
 */
export async function findZig(): Promise<string> {
  const tried: string[] = [];
  for (const { path, origin } of zigCandidates()) {
    const found = await zigVersion(path);
    if (found === ZIG_VERSION) return path;
    tried.push(`${path} (${origin}: ${found === undefined ? "not found" : `version ${found}`})`);
  }
  throw new Error(
    `Cannot build: Zig ${ZIG_VERSION} is needed, tried ${tried.join(", ")}; ` +
      `install it with \`pip install ziglang==${ZIG_VERSION}\` and name it with TDSM_ZIG`,
  );
}

async function zigVersion(path: string): Promise<string | undefined> {
  try {
    const command = new Deno.Command(path, { args: ["version"], stdout: "piped", stderr: "null" });
    const { success, stdout } = await command.output();
    return success ? new TextDecoder().decode(stdout).trim() : undefined;
  } catch {
    return undefined;
  }
}

/**
 * Runs Zig in its directory, with paths from there: its linker cannot open every folder by its
 * whole name. Returns what it printed.
 */
async function runZig(args: readonly string[]): Promise<string> {
  const child = new Deno.Command(await findZig(), {
    args: [...args, "--cache-dir", "../.zig-cache"],
    cwd: zigDirectory,
    stdout: "inherit",
    stderr: "piped",
  }).spawn();
  let printed = "";
  for await (const text of child.stderr.pipeThrough(new TextDecoderStream())) {
    printed += text;
    Deno.stderr.writeSync(new TextEncoder().encode(text));
  }
  const { code } = await child.status;
  if (code !== 0) throw new Error(`Cannot build: zig ${args[0]} ended with status ${code}`);
  return printed;
}

/**
 * Writes a file, such that a process that reads it meanwhile sees the old one or the new one,
 * whole.
 */
async function replace(path: string, content: string | Uint8Array): Promise<void> {
  const temporary = `${path}.${Deno.pid}.tmp`;
  if (typeof content === "string") await Deno.writeTextFile(temporary, content);
  else await Deno.writeFile(temporary, content, { mode: 0o755 });
  await Deno.rename(temporary, path);
}

/** Compiles `aes.zig` in a folder, and has the object used; the name is relative to `zig/`. */
async function withAes<Result>(
  machine: Machine,
  use: (object: string) => Promise<Result>,
): Promise<Result> {
  await Deno.mkdir(outputDirectory, { recursive: true });
  const object = await Deno.makeTempFile({ dir: outputDirectory, prefix: ".aes-", suffix: ".o" });
  const name = `..${object.slice(root.length)}`;
  try {
    await runZig([
      "build-obj",
      "-OReleaseFast",
      "-fPIC",
      "-fstrip",
      "-fllvm",
      `-mcpu=${AES_PROCESSORS[machine]}`,
      "-target",
      targetOf(machine),
      `-femit-bin=${name}`,
      "src/aes.zig",
    ]);
    return await use(name);
  } finally {
    await Deno.remove(object);
  }
}

/** Builds the library for a machine, and the module that exports it. */
async function build(machine: Machine): Promise<void> {
  const stamp = await fingerprint(machine);
  for (const folder of [outputDirectory, embeddedDirectory]) {
    await Deno.mkdir(folder, { recursive: true });
  }
  const temporary = await Deno.makeTempFile({ dir: outputDirectory, prefix: ".build-" });
  try {
    await withAes(machine, (object) =>
      runZig([
        "build-lib",
        "@libtdsm.rsp",
        // The tests read symbols of their own file, and no later flag undoes this one.
        "-fstrip",
        "-target",
        targetOf(machine),
        "--name",
        "tdsm",
        `-femit-bin=..${temporary.slice(root.length)}`,
        "src/c_api.zig",
        object,
      ]));
    const library = await Deno.readFile(temporary);
    await replace(`${embeddedDirectory}/${machine}.js`, await embed(machine, library));
    await replace(libraryPath(machine), library);
    // Last: between the renames the library only looks stale.
    await replace(stampPath(machine), stamp);
  } finally {
    await Deno.remove(temporary);
  }
}

/**
 * A module that exports the library: compressed, since most of it is the space between its pages.
 */
async function embed(machine: Machine, library: Uint8Array<ArrayBuffer>): Promise<string> {
  const packed = new Blob([library]).stream().pipeThrough(new CompressionStream("gzip"));
  const text = (await new Response(packed).bytes()).toBase64();
  return `// libtdsm.so for ${machine}, made by zig/build.ts: by gzip, then in base64.\n` +
    `export const library = "${text}";\n`;
}

/** Says which modules there are: one that is out of date, or was never made, is not to be found. */
async function writeIndex(): Promise<void> {
  let lines = "";
  for (const machine of MACHINES) {
    if (await isFresh(machine)) lines += `  ${machine}: () => import("./${machine}.js"),\n`;
  }
  const index = `// Made by zig/build.ts.\nexport const libraries = {\n${lines}};\n`;
  const path = `${embeddedDirectory}/mod.js`;
  if (await Deno.readTextFile(path).catch(() => undefined) !== index) await replace(path, index);
}

/**
 * Builds and runs the unit tests: the library's flags, but with every safety check. The last line
 * printed has the counts, for a runner that adds up several suites.
 */
async function test(filters: readonly string[]): Promise<void> {
  const filterArgs = filters.flatMap((filter) => ["--test-filter", filter]);
  const printed = await withAes(thisMachine(), (object) =>
    runZig([
      "test",
      "@libtdsm.rsp",
      "-ODebug",
      ...filterArgs,
      "src/tests.zig",
      object,
    ]));
  const all = /^All (\d+) tests passed\.$/m.exec(printed);
  const some = /^(\d+) passed; (\d+) skipped; 0 failed\.$/m.exec(printed);
  const passed = all?.[1] ?? some?.[1];
  if (passed === undefined || passed === "0") throw new Error("Cannot test: no test was run");
  console.log(`zig: ${passed} passed, ${some?.[2] ?? "0"} skipped, 0 failed`);
}

async function main(args: readonly string[]): Promise<void> {
  const [command, ...rest] = args;
  if (command === "test") return await test(rest);
  const known = new Set(["--if-stale", "--all"]);
  if (args.some((argument) => !known.has(argument))) {
    throw new Error("Cannot build: usage is `zig/build.ts [--if-stale] [--all] | test [filter…]`");
  }
  for (const machine of args.includes("--all") ? MACHINES : [thisMachine()]) {
    if (args.includes("--if-stale") && await isFresh(machine)) continue;
    console.error(
      `tdsm: building the native library for ${machine} (some 20 s; once for a change)`,
    );
    await build(machine);
  }
  await writeIndex();
}

if (import.meta.main) {
  try {
    await main(Deno.args);
  } catch (error) {
    console.error(error instanceof Error ? error.message : error);
    Deno.exit(1);
  }
}
