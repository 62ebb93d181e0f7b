/**
 * Building of C and Rust programs for wasi-threads, where Rust's target `wasm32-wasip1-threads` is.
 */

import { findZig } from "../../zig/build.ts";

/** The target that has the C library, too. */
const TARGET = "wasm32-wasip1-threads";

async function run(program: string, args: readonly string[], cwd: string): Promise<string> {
  const command = new Deno.Command(program, { args: [...args], cwd, stdin: "null" });
  const { success, stdout, stderr } = await command.output();
  const decoder = new TextDecoder();
  if (!success) throw new Error(`${program} ${args[0]}: ${decoder.decode(stderr)}`);
  return decoder.decode(stdout).trim();
}

/**
 * Finds the libraries of the target.
 *
 * @returns Their folder; `undefined` where Rust or its target is not installed.
 */
export async function findTarget(): Promise<string | undefined> {
  try {
    const sysroot = await run("rustc", ["--print", "sysroot"], ".");
    const folder = `${sysroot}/lib/rustlib/${TARGET}/lib`;
    return (await Deno.stat(folder)).isDirectory ? folder : undefined;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

/**
 * Builds a C program as examples/wasm_threads/README.md says.
 *
 * @param libraries What {@linkcode findTarget} found.
 * @param source The program.
 * @param path Where the module is written.
 */
export async function buildC(libraries: string, source: string, path: string): Promise<void> {
  const zig = await findZig();
  const folder = path.replace(/\/[^/]*$/, "");
  const builtins = [...Deno.readDirSync(libraries)].find(({ name }) =>
    /^libcompiler_builtins-.*\.rlib$/.test(name)
  )!;
  const compile = ["-mcpu=generic+atomics+bulk_memory", "-pthread", "-O2", "-c", source];
  await run(zig, ["cc", "-target", "wasm32-wasi", ...compile, "-o", `${path}.o`], folder);
  await run(zig, [
    ...["wasm-ld", "--shared-memory", "--import-memory", "--max-memory=67108864"],
    ...["--export=wasi_thread_start", "-o", path],
    ...[`${libraries}/self-contained/crt1-command.o`, `${path}.o`],
    ...[`${libraries}/self-contained/libc.a`, `${libraries}/${builtins.name}`],
  ], folder);
}

/**
 * Builds a Rust program of one file.
 *
 * @param source The program.
 * @param path Where the module is written.
 */
export async function buildRust(source: string, path: string): Promise<void> {
  await run("rustc", ["--edition=2021", "-O", "--target", TARGET, source, "-o", path], ".");
}

/**
 * Builds a package of Rust, whose dependencies are fetched.
 *
 * @param folder Its folder.
 * @param output Where what is made is put.
 * @returns The folder with the modules.
 */
export async function buildCargo(folder: string, output: string): Promise<string> {
  await run("cargo", ["build", "--release", "--target", TARGET, "--target-dir", output], folder);
  return `${output}/${TARGET}/release`;
}
