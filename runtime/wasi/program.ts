/** Loading of a program: what it is made of, and whether it can run. */

import { show } from "../arguments/show.ts";
import { reasonOf, TdsmError } from "../errors.ts";
import { refused } from "../settings/flags.ts";
import { noSuchFile } from "../settings/no_such_file.ts";
import type { Lifted } from "../wasm/lift.ts";
import { type ImportedMemory, rewriteModule } from "../wasm/rewrite.ts";
import { PLACE_FUNCTIONS, PLACE_MODULE, WASI_FUNCTIONS, WASI_MODULE } from "./functions.ts";

/** A program that can run. */
export interface WasiProgram {
  /** Its path, as the user has given it. */
  readonly path: string;
  /** The module, rewritten. */
  readonly module: WebAssembly.Module;
  /** The SHA-256 of its file, in hexadecimal: nodes compare it. */
  readonly hash: string;
  /** What was lifted of its C library: nodes compare it, too. */
  readonly lifted: readonly Lifted[];
  /** The memory that it imports. */
  readonly memory: MemoryImport;
}

/** The memory that a program imports: by which names, and how large in pages of 64 KiB. */
export interface MemoryImport {
  readonly module: string;
  readonly name: string;
  readonly pages: number;
  readonly maximum: number;
}

/**
 * Loads a program, and finds what keeps it from running.
 *
 * @param path The file, a module in the binary format.
 * @param lift Whether what its C library has for threads of one machine is lifted.
 * @returns The program.
 * @throws {TdsmError} `InvalidOption`, in one line: it is no file, no module, or a module that
 * cannot run on several nodes. `PermissionMissing` where the file may not be read.
 */
export async function loadProgram(path: string, lift: boolean): Promise<WasiProgram> {
  const bytes = await read(path);
  const { bytes: rewritten, memory, lifted } = rewrite(path, bytes, lift);
  const module = await WebAssembly.compile(rewritten);
  const problem = memoryProblem(memory) ?? importProblem(module) ?? exportProblem(module);
  if (problem !== undefined) throw refused(`Cannot run ${path}: ${problem}`);
  const { module: from, name, pages, maximum } = memory!;
  return {
    path,
    module,
    hash: new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)).toHex(),
    lifted,
    memory: { module: from, name, pages: Number(pages), maximum: Number(maximum) },
  };
}

async function read(path: string): Promise<Uint8Array<ArrayBuffer>> {
  try {
    return await Deno.readFile(path);
  } catch (cause) {
    if (cause instanceof Deno.errors.NotFound) {
      throw refused(`Cannot run ${path}: ${noSuchFile(path)}`, cause);
    }
    if (cause instanceof Deno.errors.NotCapable) {
      const message = `Cannot run ${path}: it may not be read. Run Deno with --allow-read`;
      throw new TdsmError("PermissionMissing", message, { operation: "load", cause });
    }
    throw refused(`Cannot run ${path}: ${reasonOf(cause)}`, cause);
  }
}

function rewrite(
  path: string,
  bytes: Uint8Array,
  lift: boolean,
): ReturnType<typeof rewriteModule> {
  try {
    return rewriteModule(bytes, { lift });
  } catch (cause) {
    if (!(cause instanceof TdsmError)) throw cause;
    throw refused(`Cannot run ${path}: ${cause.message.replace(/^.*?the module: /, "")}`, cause);
  }
}

function memoryProblem(memory: ImportedMemory | undefined): string | undefined {
  if (memory?.is64) return "its memory has addresses of 64 bits, and those of WASI have 32";
  return undefined;
}

function importProblem(module: WebAssembly.Module): string | undefined {
  const imports = WebAssembly.Module.imports(module);
  const other = imports.find(({ module, name, kind }) => !isKnown(module, name, kind));
  if (other === undefined) return undefined;
  const what = `it imports the ${other.kind} ${show(other.name)} from ${show(other.module)}`;
  return `${what}, which no node has: build it for wasm32-wasip1-threads, and link all that it uses`;
}

function isKnown(module: string, name: string, kind: string): boolean {
  // There is one memory, by whatever name.
  if (kind === "memory") return true;
  if (kind !== "function") return false;
  switch (module) {
    case "tdsm":
      // What is rewritten already is refused: all of these were added here.
      return true;
    case "wasi":
      return name === "thread-spawn";
    case WASI_MODULE:
      return WASI_FUNCTIONS.has(name);
    case PLACE_MODULE:
      return PLACE_FUNCTIONS.has(name);
    default:
      return false;
  }
}

function exportProblem(module: WebAssembly.Module): string | undefined {
  const functions = new Set(
    WebAssembly.Module.exports(module).filter(({ kind }) => kind === "function").map(({ name }) =>
      name
    ),
  );
  if (!functions.has("_start")) return "it has no function _start: it is a library, not a program";
  const starts = WebAssembly.Module.imports(module).some(({ module }) => module === "wasi");
  if (starts && !functions.has("wasi_thread_start")) {
    return "it starts threads, but exports no wasi_thread_start. Link it with " +
      "--export=wasi_thread_start";
  }
  return undefined;
}
