/**
 * Bundles the engine into one script, and puts the script as text into a module,
 * `worker.bundle.js`. As text, since a Worker needs `--allow-read` to start from a local file. In a
 * module, since Deno, every bundler and every package can import one.
 *
 * Minified, because V8 scans all of it at each start of a node. With `--readable` it keeps its
 * names, for profiles of the engine.
 *
 * The first line of the bundle has a hash of all its sources, so that a second run with nothing
 * changed only reads. One rename puts text and hash in place, so two runs at the same time do no
 * harm.
 */

const FOLDER = import.meta.dirname!;
const ROOT = `${FOLDER}/../..`;
const ENTRY = `${FOLDER}/worker.ts`;
const OUTPUT = `${FOLDER}/worker.bundle.js`;
/** How the bundle is written. */
const SHAPE = Deno.args.includes("--readable") ? [] : ["--minify"];

/** Whether a change of the file `name` can change the bundle. */
function isSource(name: string): boolean {
  return name.endsWith(".ts") && !/_(?:test|bench)\.ts$/.test(name);
}

/** Adds the paths, from the root, of all sources below `folder` to `found`. */
function collectSources(folder: string, found: string[]): void {
  for (const entry of Deno.readDirSync(`${ROOT}/${folder}`)) {
    const path = `${folder}/${entry.name}`;
    if (entry.isDirectory) collectSources(path, found);
    else if (isSource(entry.name)) found.push(path);
  }
}

/** The hash of all that the bundle is made of: sources, import map, locked packages, Deno. */
async function hashSources(): Promise<string> {
  const paths = ["deno.json", "deno.lock"];
  for (const folder of ["runtime", "ffi"]) collectSources(folder, paths);
  paths.sort();
  const encoder = new TextEncoder();
  const parts = [encoder.encode([Deno.version.deno, ...SHAPE].join(" "))];
  for (const path of paths) {
    const content = await Deno.readFile(`${ROOT}/${path}`);
    parts.push(encoder.encode(`\n${path} ${content.length}\n`), content);
  }
  const digest = await crypto.subtle.digest("SHA-256", await new Blob(parts).arrayBuffer());
  return new Uint8Array(digest).toHex();
}

/** The first `length` bytes of the bundle that is there, or nothing where there is none. */
function readStart(length: number): string {
  try {
    using file = Deno.openSync(OUTPUT);
    const bytes = new Uint8Array(length);
    return new TextDecoder().decode(bytes.subarray(0, file.readSync(bytes) ?? 0));
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return "";
    throw error;
  }
}

/** Bundles into a file of this process alone, then renames that file; returns the exit code. */
function bundle(header: string): number {
  const scratch = `${OUTPUT}.${Deno.pid}.tmp`;
  const { code } = new Deno.Command(Deno.execPath(), {
    args: [
      "bundle",
      "--quiet",
      "--platform",
      "deno",
      "--format",
      "iife",
      ...SHAPE,
      "-o",
      scratch,
      ENTRY,
    ],
    cwd: ROOT,
    stdin: "null",
    stdout: "inherit",
    stderr: "inherit",
  }).outputSync();
  if (code !== 0) return code;
  // Otherwise each line of a stack would name the code that evaluates the script, and not the
  // script.
  const text = JSON.stringify(`${Deno.readTextFileSync(scratch)}//# sourceURL=tdsm:engine\n`);
  Deno.writeTextFileSync(scratch, `${header}export default ${text};\n`);
  Deno.renameSync(scratch, OUTPUT);
  return 0;
}

if (import.meta.main) {
  const header =
    `// The text of worker.ts and all that it imports, made from what has the hash ${await hashSources()}\n`;
  if (readStart(header.length) !== header) Deno.exitCode = bundle(header);
}
