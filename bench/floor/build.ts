/** Builds a small Zig program or library of the benchmark, if what it is made of has changed. */

import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { findZig, ZIG_VERSION } from "../../zig/build.ts";

const root = fileURLToPath(new URL("../..", import.meta.url)).replace(/\/$/, "");
/** The bytes of the memory that a module imports. */
export const MODULE_MEMORY_BYTES: number = 4 << 20;
const outputDirectory = `${root}/zig-out/bench`;
/** For the Zig that comes with the project: the code must not depend on which machine built it. */
const CODE = ["-OReleaseFast", "-mcpu=baseline", "-fstrip"] as const;

/** For modules: they import a memory of as many bytes, which threads may share. */
const MODULE = [
  ...["-target", "wasm32-freestanding", "-mcpu=generic+atomics+bulk_memory", "-OReleaseFast"],
  ...["-fno-entry", "-rdynamic", "--import-memory", "--shared-memory", "-fstrip"],
  ...[`--initial-memory=${MODULE_MEMORY_BYTES}`, `--max-memory=${MODULE_MEMORY_BYTES}`],
];

/** What is built. */
export interface ZigProgram {
  /** What the file in `zig-out/bench/` is called. */
  readonly name: string;
  /** An executable, a library for `Deno.dlopen`, or a WebAssembly module with shared memory. */
  readonly kind: "executable" | "library" | "module";
  /**
   * The file with `main`, or with the exports. It may import files beside it, and `userfaultfd`,
   * which is how the runtime's library talks to the kernel.
   */
  readonly main: URL;
}

const USERFAULTFD = `${root}/zig/src/userfaultfd.zig`;

/** The sources of a program, as paths. */
function sources(program: ZigProgram): string[] {
  const paths: string[] = [];
  const folders = [fileURLToPath(program.main), USERFAULTFD].map((path) => dirname(path));
  for (const folder of folders) {
    for (const entry of Deno.readDirSync(folder)) {
      if (entry.isFile && entry.name.endsWith(".zig")) paths.push(`${folder}/${entry.name}`);
    }
  }
  return paths.sort();
}

/** Says what a program would be built from; it is stale when that has changed. */
async function fingerprint(program: ZigProgram): Promise<string> {
  const parts = sources(program).map((path) => [path, Deno.readTextFileSync(path)]);
  const whole = JSON.stringify([ZIG_VERSION, Deno.build.target, program.kind, CODE, MODULE, parts]);
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(whole));
  return new Uint8Array(digest).toHex();
}

/**
 * Builds a program unless it is there already.
 *
 * @param program What to build.
 * @returns The path of the executable or library.
 * @throws {Error} If the pinned Zig is not found, or does not compile it; the message has what it
 *   said.
 */
export async function buildZig(program: ZigProgram): Promise<string> {
  // The fingerprint is in the name: a process that runs an older one keeps it, and nothing is
  // half-written.
  const stamp = (await fingerprint(program)).slice(0, 16);
  const suffix = { executable: "", library: ".so", module: ".wasm" }[program.kind];
  const path = `${outputDirectory}/${program.name}-${stamp}${suffix}`;
  if (exists(path)) return path;
  await Deno.mkdir(outputDirectory, { recursive: true });
  const temporary = await Deno.makeTempDir({ dir: outputDirectory, prefix: ".build-" });
  try {
    await compile(program, `${temporary}/built`);
    for (const entry of Deno.readDirSync(outputDirectory)) {
      if (!entry.name.startsWith(`${program.name}-`)) continue;
      await Deno.remove(`${outputDirectory}/${entry.name}`).catch(() => {});
    }
    await Deno.rename(`${temporary}/built`, path);
  } finally {
    await Deno.remove(temporary, { recursive: true });
  }
  return path;
}

function exists(path: string): boolean {
  try {
    return Deno.statSync(path).isFile;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

async function compile(program: ZigProgram, path: string): Promise<void> {
  const { success, stderr } = await new Deno.Command(await findZig(), {
    args: [
      ...program.kind === "module" ? argumentsOfModule(program) : argumentsOfNative(program),
      "--name",
      program.name,
      `-femit-bin=${path}`,
      "--cache-dir",
      `${root}/.zig-cache`,
    ],
    stdout: "null",
    stderr: "piped",
  }).output();
  if (success) return;
  throw new Error(`Cannot build ${program.name}:\n${new TextDecoder().decode(stderr)}`);
}

function argumentsOfNative({ kind, main }: ZigProgram): string[] {
  return [
    ...kind === "library" ? ["build-lib", "-dynamic", "-lc"] : ["build-exe"],
    ...CODE,
    "--dep",
    "userfaultfd",
    `-Mroot=${fileURLToPath(main)}`,
    ...CODE,
    `-Muserfaultfd=${USERFAULTFD}`,
  ];
}

function argumentsOfModule({ main }: ZigProgram): string[] {
  return ["build-exe", ...MODULE, fileURLToPath(main)];
}
