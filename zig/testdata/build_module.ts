/**
 * Builds small native modules for tests, with the compilers that a user of the runtime may have.
 */

import { fileURLToPath } from "node:url";
import { findZig } from "../build.ts";

const zigDirectory = fileURLToPath(new URL("..", import.meta.url)).replace(/\/$/, "");
const cacheDirectory = `${zigDirectory.slice(0, zigDirectory.lastIndexOf("/"))}/.zig-cache`;

/** A compiler, and how it makes a native module. */
export type Compiler = "zig" | "zig cc" | "zig c++" | "gcc" | "g++";

/** How to build a module beside its usual flags. */
export interface BuildOptions {
  /** The compiler. Default: `zig cc`. */
  compiler?: Compiler;
  /** Arguments after the usual ones. */
  args?: readonly string[];
  /** The linker script; an empty string is none. Default: `rdma.ld`. */
  script?: string;
}

/**
 * Builds a module.
 *
 * @param library Path of the library to make.
 * @param source Its source text.
 * @param options How.
 * @returns What the compiler wrote on stderr, if it failed; nothing if the library is there.
 */
export async function tryBuildModule(
  library: string,
  source: string,
  options: BuildOptions = {},
): Promise<string | undefined> {
  const { compiler = "zig cc", script = `${zigDirectory}/rdma.ld`, args = [] } = options;
  const suffix =
    { "zig": "zig", "zig cc": "c", "zig c++": "cc", "gcc": "c", "g++": "cc" }[compiler];
  const sourcePath = `${library}.${suffix}`;
  await Deno.writeTextFile(sourcePath, source);
  const words = compiler === "zig"
    ? [
      ...[
        await findZig(),
        "build-lib",
        "-dynamic",
        "-O",
        "ReleaseFast",
        "-fllvm",
        "-flld",
        "-fPIC",
      ],
      ...["--cache-dir", cacheDirectory, `-femit-bin=${library}`],
      ...(script === "" ? [] : ["-T", script]),
    ]
    : [
      ...(compiler.startsWith("zig ") ? [await findZig(), compiler.slice(4)] : [compiler]),
      ...["-shared", "-fPIC", "-O2", "-Wall", "-Wextra", "-Werror"],
      ...[`-I${zigDirectory}/include`, "-o", library],
      ...(script === "" ? [] : [`-Wl,-T,${script}`]),
    ];
  const { success, stderr } = await new Deno.Command(words[0]!, {
    args: [...words.slice(1), ...args, sourcePath],
    env: { ZIG_LOCAL_CACHE_DIR: cacheDirectory },
    stdout: "null",
    stderr: "piped",
  }).output();
  return success ? undefined : new TextDecoder().decode(stderr);
}

/**
 * Builds a module that must be there in the end.
 *
 * @param library Path of the library to make.
 * @param source Its source text.
 * @param options How.
 * @returns `library`.
 * @throws {Error} With the compiler's words if it fails.
 */
export async function buildModule(
  library: string,
  source: string,
  options: BuildOptions = {},
): Promise<string> {
  const errors = await tryBuildModule(library, source, options);
  if (errors !== undefined) throw new Error(`Cannot build ${library}: ${errors}`);
  return library;
}

/**
 * Says whether a compiler is on this machine.
 *
 * @param compiler Which.
 * @returns Whether it runs.
 */
export function hasCompiler(compiler: Compiler): boolean {
  if (compiler.startsWith("zig")) return true;
  try {
    return new Deno.Command(compiler, { args: ["--version"], stdout: "null" }).outputSync().success;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}
