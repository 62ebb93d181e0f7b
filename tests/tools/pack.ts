/**
 * Makes what a program depends on that has no checkout: a tarball for npm and Deno, and one file
 * for `import … from "https://…"`.
 *
 * Both are bundles: nothing of them is looked for under the name of another package, and Deno reads
 * no TypeScript in `node_modules`. In the tarball, what few programs need is in files of its own.
 * The declarations are those of `deno pack`, as far as the public ones reach.
 */

import { dirname, normalize, resolve } from "node:path";
import { DENO_MIN_VERSION } from "../../runtime/version.ts";
import { ToolFlags } from "../support/tool_flags.ts";

const ROOT = resolve(import.meta.dirname!, "../..");

const HELP = `Makes the package: a tarball, and one file for programs without a checkout.

Usage: ./tdsm pack [--output FOLDER]

  --output FOLDER  where to; dist in the checkout unless said`;

/** What is shipped as it is. */
const FILES = [
  "README.md",
  "LICENSE",
  "CHANGELOG.md",
  // What a native module is built with.
  "zig/include/tdsm.h",
  "zig/include/tdsm.hpp",
  "zig/rdma.ld",
];

/** The modules that Workers begin with, beside those that programs import. */
const WORKERS = ["runtime/wasi/worker.ts"];

/** What `deno.json` says of the package. */
interface Manifest {
  readonly name: string;
  readonly version: string;
  readonly license: string;
  /** Paths of modules, by the names that programs import them by. */
  readonly exports: Readonly<Record<string, string>>;
}

/** Runs a program: shows what it prints if it fails, and at once what it says if it `tells`. */
async function run(
  program: string,
  args: readonly string[],
  { cwd = ROOT, tells = false } = {},
): Promise<void> {
  const stderr = tells ? "inherit" : "piped";
  const command = new Deno.Command(program, { args: [...args], cwd, stdin: "null", stderr });
  const output = await command.output();
  if (output.success) return;
  Deno.stderr.writeSync(output.stdout);
  if (!tells) Deno.stderr.writeSync(output.stderr);
  throw new Error(`Cannot pack: ${program} ${args[0]} failed`);
}

const deno = (...args: string[]): Promise<void> => run(Deno.execPath(), args);

/** A module of the package without its ending: `mod`. */
function moduleOf(path: string): string {
  return path.replace(/^\.\//, "").replace(/\.ts$/, "");
}

/** The `package.json` of the package. */
function describe({ name, version, license, exports }: Manifest): string {
  const exported = Object.entries(exports).map(([name, path]) => {
    const module = moduleOf(path);
    return [name, { types: `./types/${module}.d.ts`, default: `./${module}.js` }] as const;
  });
  const description = {
    name,
    version,
    description:
      "Distributed shared memory: programs on several machines share one region of memory",
    license,
    type: "module",
    exports: Object.fromEntries(exported),
    bin: { tdsm: "./mod.js" },
    engines: { deno: `>=${DENO_MIN_VERSION}` },
    os: ["linux"],
    cpu: ["x64", "arm64"],
    libc: ["glibc"],
    // A program that configures LogTape gets the log there; one that does not needs no LogTape.
    peerDependencies: { "@logtape/logtape": "^2.4.2" },
    peerDependenciesMeta: { "@logtape/logtape": { optional: true } },
  };
  return JSON.stringify(description, undefined, 2) + "\n";
}

/** Copies a file of declarations, and all those that it imports. */
async function copyTypes(from: string, to: string, path: string): Promise<void> {
  try {
    await Deno.stat(`${to}/${path}`);
    return;
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
  const text = await Deno.readTextFile(`${from}/${path}`);
  await Deno.mkdir(dirname(`${to}/${path}`), { recursive: true });
  await Deno.writeTextFile(`${to}/${path}`, text);
  for (const [, target] of text.matchAll(/ from "(\.[^"]+?)(?:\.d\.ts|\.js|\.ts)"/g)) {
    await copyTypes(from, to, normalize(`${dirname(path)}/${target}.d.ts`));
  }
}

/** Makes the tarball; returns its path. */
async function pack(manifest: Manifest, output: string, scratch: string): Promise<string> {
  const folder = `${scratch}/package`;
  const entries = Object.values(manifest.exports);
  const splitting = ["--code-splitting", "--outdir", folder];
  await deno("bundle", "--quiet", "--platform", "deno", ...splitting, ...entries, ...WORKERS);
  const main = `${folder}/mod.js`;
  const hashbang = "#!/usr/bin/env -S deno run --allow-ffi --allow-net\n";
  await Deno.writeTextFile(main, hashbang + await Deno.readTextFile(main), { mode: 0o755 });

  const modules = `${scratch}/modules`;
  await Deno.mkdir(modules);
  await deno("pack", "--quiet", "--allow-dirty", "--output", `${modules}.tgz`);
  await run("tar", ["-xzf", `${modules}.tgz`, "-C", modules]);
  for (const path of entries) {
    await copyTypes(`${modules}/package`, `${folder}/types`, `${moduleOf(path)}.d.ts`);
  }

  await Deno.writeTextFile(`${folder}/package.json`, describe(manifest));
  for (const file of FILES) {
    await Deno.mkdir(dirname(`${folder}/${file}`), { recursive: true });
    await Deno.copyFile(`${ROOT}/${file}`, `${folder}/${file}`);
  }
  const path = `${output}/${
    manifest.name.replace("@", "").replace("/", "-")
  }-${manifest.version}.tgz`;
  // The same bytes for the same sources.
  const same = ["--sort=name", "--mtime=@0", "--owner=0", "--group=0", "--numeric-owner"];
  await run("tar", [...same, "--use-compress-program=gzip -n", "-cf", path, "package"], {
    cwd: scratch,
  });
  return path;
}

async function main(): Promise<void> {
  const folder = new ToolFlags(HELP, { values: ["output"] }).value("output");
  const output = folder === undefined
    ? `${ROOT}/dist`
    : resolve(Deno.env.get("INIT_CWD") ?? ".", folder);
  const manifest: Manifest = JSON.parse(await Deno.readTextFile(`${ROOT}/deno.json`));
  await run(Deno.execPath(), ["run", "-A", "zig/build.ts", "--if-stale", "--all"], { tells: true });
  await Deno.mkdir(output, { recursive: true });
  const scratch = await Deno.makeTempDir({ prefix: "tdsm-pack-" });
  try {
    const tarball = await pack(manifest, output, scratch);
    const single = `${output}/tdsm-${manifest.version}.js`;
    await deno("bundle", "--quiet", "--platform", "deno", "--output", single, "mod.ts");
    for (const path of [tarball, single]) {
      console.log(`${path} (${Math.ceil((await Deno.stat(path)).size / 1024)} KiB)`);
    }
  } finally {
    await Deno.remove(scratch, { recursive: true });
  }
}

if (import.meta.main) await main();
