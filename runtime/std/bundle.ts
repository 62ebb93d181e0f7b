/**
 * Makes the `.js` files of this folder out of Deno's std, in the version that `deno.json` names:
 *
 *   deno run -A runtime/std/bundle.ts             make those that are missing or out of date
 *   deno run -A runtime/std/bundle.ts --check     only say which are
 *
 * They are checked in, because what a program imports must not depend on the import map of that
 * program: an import map with one entry, for `mod.ts`, says nothing about `@std/…`, and a project
 * with a package.json finds no package that is not in it. So all that ships has relative imports
 * only.
 *
 * For another part of std: a line here, a line in `deno.json`, and its types as `NAME.d.ts`.
 */

/** What each file has, by the name in the import map. */
const MODULES: Readonly<Record<string, string>> = {
  levenshtein_distance: "@std/text/levenshtein-distance",
  msgpack_decode: "@std/msgpack/decode",
  msgpack_encode: "@std/msgpack/encode",
  parse_args: "@std/cli/parse-args",
};

const FOLDER = import.meta.dirname!;
const ROOT = `${FOLDER}/../..`;

/** Runs Deno on `input`; returns what it writes to stdout. */
async function deno(args: readonly string[], input = ""): Promise<string> {
  const command = new Deno.Command(Deno.execPath(), {
    args: [...args],
    cwd: ROOT,
    stdin: "piped",
    stdout: "piped",
    stderr: "inherit",
  });
  const child = command.spawn();
  const writer = child.stdin.getWriter();
  await writer.write(new TextEncoder().encode(input));
  await writer.close();
  const { success, stdout } = await child.output();
  if (!success) throw new Error(`Cannot bundle: deno ${args[0]} failed`);
  return new TextDecoder().decode(stdout);
}

/** The text of the file `name`. */
async function bundle(name: string, specifier: string, target: string): Promise<string> {
  const entry = await Deno.makeTempFile({ dir: FOLDER, prefix: ".bundle-", suffix: ".js" });
  try {
    await Deno.writeTextFile(entry, `export * from ${JSON.stringify(specifier)};\n`);
    const bundled = await deno(["bundle", "--quiet", "--platform", "deno", entry]);
    // The names of files in this machine's cache.
    const code = bundled.replace(/^\/\/ .*\n/gm, "");
    const header = `// @ts-self-types="./${name}.d.ts"
// Bundled by bundle.ts from ${target}.
// Copyright 2018-2026 the Deno authors. MIT license.
// deno-lint-ignore-file
`;
    return await deno(["fmt", "--ext", "js", "-"], header + code);
  } finally {
    await Deno.remove(entry);
  }
}

function read(path: string): string | undefined {
  try {
    return Deno.readTextFileSync(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

async function main(checkOnly: boolean): Promise<void> {
  const { imports } = JSON.parse(Deno.readTextFileSync(`${ROOT}/deno.json`));
  for (const [name, specifier] of Object.entries(MODULES)) {
    const path = `${FOLDER}/${name}.js`;
    const text = await bundle(name, specifier, imports[specifier]);
    if (read(path) === text) continue;
    if (checkOnly) {
      console.error(`${path} is not what ${specifier} is: run deno run -A runtime/std/bundle.ts`);
      Deno.exitCode = 1;
    } else await Deno.writeTextFile(path, text);
  }
}

if (import.meta.main) await main(Deno.args.includes("--check"));
