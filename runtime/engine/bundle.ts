/**
 * Bundles the engine into one script, and puts the script as text into a module,
 * `worker.bundle.js`. As text, since a Worker needs `--allow-read` to start from a local file. In a
 * module, since Deno, every bundler and every package can import one.
 *
 * Minified, because V8 scans all of it at each start of a node. With `--readable` it keeps its
 * names, for profiles of the engine.
 *
 * The first line of the bundle has a hash of all its sources, so that a second run with nothing
 * changed only reads.
 */

const FOLDER = import.meta.dirname!;
const ROOT = `${FOLDER}/../..`;
const ENTRY = `${FOLDER}/worker.ts`;
const OUTPUT = `${FOLDER}/worker.bundle.js`;
/** How the bundle is written. */
const SHAPE = Deno.args.includes("--readable") ? [] : ["--minify"];

/** Whether a file is a source of a bundle, and no test. */
function isSource(name: string, pattern: RegExp): boolean {
  return pattern.test(name) && !/_(?:test|bench)\.ts$/.test(name);
}

/** Adds the paths, from the root, of all sources below `folder` to `found`. */
function collectSources(folder: string, pattern: RegExp, found: string[]): void {
  for (const entry of Deno.readDirSync(`${ROOT}/${folder}`)) {
    const path = `${folder}/${entry.name}`;
    if (entry.isDirectory) collectSources(path, pattern, found);
    else if (isSource(entry.name, pattern)) found.push(path);
  }
}

/**
 * The hash of all that a bundle is made of: sources, import map, locked packages, Deno.
 *
 * @param folders Where the sources are, from the root.
 * @param pattern What the names of sources end with.
 * @param shape How the bundle is written.
 * @returns The hash, in hexadecimal.
 */
export async function hashSources(
  folders: readonly string[],
  pattern: RegExp,
  shape: readonly string[],
): Promise<string> {
  const paths = ["deno.json", "deno.lock"];
  for (const folder of folders) collectSources(folder, pattern, paths);
  paths.sort();
  const encoder = new TextEncoder();
  const parts = [encoder.encode([Deno.version.deno, ...shape].join(" "))];
  for (const path of paths) {
    const content = await Deno.readFile(`${ROOT}/${path}`);
    parts.push(encoder.encode(`\n${path} ${content.length}\n`), content);
  }
  const digest = await crypto.subtle.digest("SHA-256", await new Blob(parts).arrayBuffer());
  return new Uint8Array(digest).toHex();
}

/**
 * Whether a bundle is there that was made from the same sources.
 *
 * @param output The bundle's path.
 * @param header Its first line, which has the hash of the sources.
 * @returns Whether it has that line.
 */
export function isUpToDate(output: string, header: string): boolean {
  try {
    using file = Deno.openSync(output);
    const bytes = new Uint8Array(header.length);
    return new TextDecoder().decode(bytes.subarray(0, file.readSync(bytes) ?? 0)) === header;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

/**
 * Bundles a module and all that it imports; ends the process where that fails.
 *
 * @param entry The module's path.
 * @param output Where the bundle will be; beside it there is a file of this process meanwhile.
 * @param options Of `deno bundle`.
 * @returns The bundle's text.
 */
export function bundle(entry: string, output: string, options: readonly string[]): string {
  const scratch = `${output}.${Deno.pid}.tmp`;
  const { code } = new Deno.Command(Deno.execPath(), {
    args: ["bundle", "--quiet", "--format", "iife", ...options, "-o", scratch, entry],
    cwd: ROOT,
    stdin: "null",
    stdout: "inherit",
    stderr: "inherit",
  }).outputSync();
  if (code !== 0) Deno.exit(code);
  const text = Deno.readTextFileSync(scratch);
  Deno.removeSync(scratch);
  return text;
}

/**
 * Writes a module that has one value, by one rename: two runs at the same time do no harm.
 *
 * @param output The module's path.
 * @param header Its first line.
 * @param value The value, of JSON.
 */
export function write(output: string, header: string, value: unknown): void {
  const scratch = `${output}.${Deno.pid}.tmp`;
  Deno.writeTextFileSync(scratch, `${header}export default ${JSON.stringify(value)};\n`);
  Deno.renameSync(scratch, output);
}

if (import.meta.main) {
  const hash = await hashSources(["runtime", "ffi"], /\.ts$/, SHAPE);
  const header =
    `// The text of worker.ts and all that it imports, made from what has the hash ${hash}\n`;
  if (!isUpToDate(OUTPUT, header)) {
    const script = bundle(ENTRY, OUTPUT, ["--platform", "deno", ...SHAPE]);
    // Otherwise each line of a stack would name the code that evaluates the script, and not the
    // script.
    write(OUTPUT, header, `${script}//# sourceURL=tdsm:engine\n`);
  }
}
