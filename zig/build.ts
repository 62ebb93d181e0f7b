/**
 * Builds `zig-out/lib/libtdsm.so`, or runs its Zig tests.
 *
 *   deno run -A zig/build.ts                build
 *   deno run -A zig/build.ts --if-stale     build only if sources, flags or compiler changed
 *   deno run -A zig/build.ts test           run the unit tests
 *
 * The compiler's flags are in `libtdsm.rsp`, nowhere else.
 */

/** The one compiler version that the sources are written for. */
export const ZIG_VERSION = "0.17.1";

const root = new URL("..", import.meta.url).pathname.replace(/\/$/, "");
const zigDirectory = `${root}/zig`;
const outputDirectory = `${root}/zig-out/lib`;
const libraryPath = `${outputDirectory}/libtdsm.so`;
/** The fingerprint of what the library beside it was built from. */
const stampPath = `${libraryPath}.stamp`;

/** Everything that a change of makes the library stale, as paths under `zig/`. */
function sourceNames(): string[] {
  const names = ["libtdsm.rsp", "rdma.ld"];
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
export async function fingerprint(): Promise<string> {
  const encoder = new TextEncoder();
  const parts: Uint8Array[] = [encoder.encode(`${ZIG_VERSION} ${Deno.build.target}\n`)];
  for (const name of sourceNames()) {
    const bytes = Deno.readFileSync(`${zigDirectory}/${name}`);
    // The length keeps the end of one file from passing as the start of the next.
    parts.push(encoder.encode(`${name} ${bytes.length}\n`), bytes);
  }
  const whole = new Uint8Array(parts.reduce((total, part) => total + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", whole));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

function isFresh(wanted: string): boolean {
  try {
    return Deno.readTextFileSync(stampPath) === wanted && Deno.statSync(libraryPath).isFile;
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
  const tools = `${root}/.tools/lib`;
  let found = false;
  try {
    for (const entry of Deno.readDirSync(tools)) {
      if (!entry.name.startsWith("python3")) continue;
      found = true;
      yield { path: `${tools}/${entry.name}/site-packages/ziglang/zig`, origin: ".tools" };
    }
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
  if (!found) yield { path: `${tools}/python3*/site-packages/ziglang/zig`, origin: ".tools" };
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

/** Runs Zig in its directory, where the paths of `libtdsm.rsp` start; answers what it printed. */
async function runZig(args: readonly string[]): Promise<string> {
  const child = new Deno.Command(await findZig(), {
    args: [...args, "--cache-dir", `${root}/.zig-cache`],
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
 * Builds the library. A process that loads it meanwhile sees the old one or the new one, whole.
 *
 * @param stamp The {@linkcode fingerprint} of what is built.
 */
async function build(stamp: string): Promise<void> {
  await Deno.mkdir(outputDirectory, { recursive: true });
  const temporary = await Deno.makeTempDir({ dir: outputDirectory, prefix: ".build-" });
  try {
    await runZig([
      "build-lib",
      "@libtdsm.rsp",
      "--name",
      "tdsm",
      `-femit-bin=${temporary}/libtdsm.so`,
      "src/c_api.zig",
    ]);
    await Deno.writeTextFile(`${temporary}/stamp`, stamp);
    // The stamp last: between the two renames the library only looks stale.
    await Deno.rename(`${temporary}/libtdsm.so`, libraryPath);
    await Deno.rename(`${temporary}/stamp`, stampPath);
  } finally {
    await Deno.remove(temporary, { recursive: true });
  }
}

/**
 * Builds and runs the unit tests: the library's flags, but with every safety check. The last line
 * printed has the counts, for a runner that adds up several suites.
 */
async function test(filters: readonly string[]): Promise<void> {
  const filterArgs = filters.flatMap((filter) => ["--test-filter", filter]);
  const printed = await runZig(["test", "@libtdsm.rsp", "-ODebug", ...filterArgs, "src/tests.zig"]);
  const all = /^All (\d+) tests passed\.$/m.exec(printed);
  const some = /^(\d+) passed; (\d+) skipped; 0 failed\.$/m.exec(printed);
  const passed = all?.[1] ?? some?.[1];
  if (passed === undefined || passed === "0") throw new Error("Cannot test: no test was run");
  console.log(`zig: ${passed} passed, ${some?.[2] ?? "0"} skipped, 0 failed`);
}

async function main(args: readonly string[]): Promise<void> {
  const [command, ...rest] = args;
  if (command === "test") return await test(rest);
  if (rest.length > 0 || (command !== undefined && command !== "--if-stale")) {
    throw new Error("Cannot build: usage is `zig/build.ts [--if-stale | test [filter…]]`");
  }
  const stamp = await fingerprint();
  if (command === "--if-stale" && isFresh(stamp)) return;
  await build(stamp);
}

if (import.meta.main) {
  try {
    await main(Deno.args);
  } catch (error) {
    console.error(error instanceof Error ? error.message : error);
    Deno.exit(1);
  }
}
