/**
 * What the home node does for a program: its arguments, files and standard streams. Files are those
 * of `node:wasi`, with what it lacks to keep a program inside of the folders that it was given. The
 * standard streams are not: there a call may wait for long, and the calls of other threads go on
 * meanwhile.
 */

import process from "node:process";
import { WASM_READ_MAX_BYTES, WASM_WRITE_MAX_BYTES } from "../limits.ts";
import { reasonOf, TdsmError } from "../errors.ts";
import { refused } from "../settings/flags.ts";
import { Errno } from "./errno.ts";
import type { HomeFunction } from "./functions.ts";

/** What a program is given. */
export interface ProgramEnvironment {
  /** Its arguments, the first of which is its name. */
  readonly args: readonly string[];
  /** Its environment variables. */
  readonly env: Readonly<Record<string, string>>;
  /** The folders that it may use: by the name that it has for each, the path of this machine. */
  readonly folders: Readonly<Record<string, string>>;
}

/** The functions of `node:wasi`, as instances import them. */
type Functions = Readonly<Record<string, (...args: (number | bigint)[]) => number>>;

/** The part of `WASI` of `node:wasi` that is used here. */
interface NodeWasi {
  readonly wasiImport: Functions;
  finalizeBindings(
    instance: { readonly exports: Record<string, never> },
    options: { readonly memory: WebAssembly.Memory },
  ): void;
}

const Stream = { In: 0, Out: 1, Error: 2 } as const;
/** The type of a file that is none of those that WASI knows, such as a pipe. */
const FILE_TYPE_UNKNOWN = 0;
/** Where the type of a file is in what `fd_filestat_get` writes. */
const FILESTAT_TYPE = 16;
/** The types of files whose calls end soon. */
const FILE_TYPE = { Folder: 3, Regular: 4 } as const;
/** The bytes of what `path_filestat_get` writes. */
const FILESTAT_BYTES = 64;
/** The bytes of an entry in a list of buffers: its address and its length. */
const BUFFER_ENTRY_BYTES = 8;
/** The functions whose second and third arguments are a list of buffers. */
const WITH_BUFFERS: ReadonlySet<string> = new Set(["fd_pread", "fd_pwrite", "fd_read", "fd_write"]);
/** The flag of `path_open` by which a link at the end of a path is followed. */
const FOLLOW = 1;
/** The flags of `path_open` that make a file. */
const Open = { Create: 1, Exclusive: 4 } as const;

/** Executes the calls of a program on the home node. */
export class WasiSystem {
  readonly #wasi: NodeWasi;
  readonly #functions: Functions;
  readonly #memory: WebAssembly.Memory;
  /** For questions of the system's own: their answers must not stand in the program's memory. */
  readonly #scratch = new WebAssembly.Memory({ initial: 1, maximum: 1 });
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  /** The descriptors that are this process's standard streams. */
  readonly #streams = new Set<number>(Object.values(Stream));
  /** Resolves when all that was to be written to the streams is written. */
  #written: Promise<unknown> = Promise.resolve();

  private constructor(wasi: NodeWasi, memory: WebAssembly.Memory) {
    this.#wasi = wasi;
    this.#functions = wasi.wasiImport;
    this.#memory = memory;
    this.#useMemory(memory);
    this.#bytes = new Uint8Array(memory.buffer);
    this.#view = new DataView(memory.buffer);
  }

  /**
   * Gets a program's environment ready.
   *
   * @param environment What the program is given.
   * @param memory The program's memory.
   * @returns Its system.
   * @throws {TdsmError} `InvalidOption` or `PermissionMissing` when a folder cannot be used.
   */
  static async open(
    { args, env, folders }: ProgramEnvironment,
    memory: WebAssembly.Memory,
  ): Promise<WasiSystem> {
    // Imported on demand, and without the warning that it is experimental: that would stand in the
    // program's own stderr.
    const { emitWarning } = process;
    process.emitWarning = () => {};
    try {
      const { WASI } = await import("node:wasi");
      const given = { args: [...args], env: { ...env }, preopens: { ...folders } };
      const wasi = new WASI({ version: "preview1", ...given }) as unknown as NodeWasi;
      return new WasiSystem(wasi, memory);
    } catch (cause) {
      const what = "Cannot give the program its folders";
      if (cause instanceof Deno.errors.NotCapable) {
        const message = `${what}: run Deno with --allow-read and --allow-write for them`;
        throw new TdsmError("PermissionMissing", message, { operation: "configure", cause });
      }
      throw refused(`${what}: ${reasonOf(cause)}`, cause);
    } finally {
      process.emitWarning = emitWarning;
    }
  }

  /**
   * Executes a function.
   *
   * @param name The function.
   * @param args Its arguments; addresses are those of the program's memory.
   * @returns Its result, an error number.
   */
  async call(name: HomeFunction, args: readonly (number | bigint)[]): Promise<number> {
    const [descriptor, second, third, fourth] = args as readonly number[];
    const isStream = this.#streams.has(descriptor!);
    if (name === "fd_write" && isStream && descriptor !== Stream.In) {
      return await this.#write(descriptor!, second! >>> 0, third! >>> 0, fourth! >>> 0);
    }
    if (name === "fd_read" && descriptor === Stream.In && isStream) {
      return await this.#read(second! >>> 0, third! >>> 0, fourth! >>> 0);
    }
    if (WITH_BUFFERS.has(name) && this.#buffers(second! >>> 0, third! >>> 0) === undefined) {
      return Errno.Fault;
    }
    const result = name === "path_open" ? this.#open(args) : this.#functions[name]!(...args);
    if (result === Errno.Success) {
      if (isStream && !isTerminal(descriptor!)) this.#tellNoTerminal(name, second! >>> 0);
      // What the program has put in the place of a stream is a file.
      if (name === "fd_close") this.#streams.delete(descriptor!);
      if (name === "fd_renumber") {
        for (const end of [descriptor!, second!]) this.#streams.delete(end);
      }
    }
    return result;
  }

  /** Waits until all that was to be written to the streams is written. */
  async flush(): Promise<void> {
    await this.#written;
  }

  /**
   * Opens a file. Two links would lead `node:wasi` out of a program's folders: one that it follows
   * though it is not to, and one that leads to no file, which it makes. A FIFO would keep it
   * waiting for another program, and with it every call of every thread: only regular files and
   * folders are opened.
   */
  #open(args: readonly (number | bigint)[]): number {
    const { path_open: open, path_readlink: readLink } = this.#functions;
    const [folder, lookup, path, length, how, , , , opened] = args as [
      ...[folder: number, lookup: number, path: number, length: number, how: number],
      ...[rights: bigint, inherited: bigint, flags: number, opened: number],
    ];
    if ((lookup & FOLLOW) === 0) {
      // Nothing but how long it is, which is nothing, is written, to where the descriptor would be.
      const isLink = readLink!(folder, path, length, 0, 0, opened) === Errno.Success;
      if (isLink) return Errno.Loop;
    }
    if (this.#mayWait(folder, path >>> 0, length >>> 0)) return Errno.NotSupported;
    // Links that are followed are checked, those within the path too.
    const openBy = (how: number): number => open!(...args.with(1, lookup | FOLLOW).with(4, how));
    if ((how & Open.Create) === 0 || (how & Open.Exclusive) !== 0) return openBy(how);
    const found = openBy(how & ~Open.Create);
    if (found !== Errno.NoEntry) return found;
    const made = openBy(how | Open.Exclusive);
    return made === Errno.Exists ? Errno.NotCapable : made;
  }

  /** Whether a path leads to what a call might wait for: a FIFO, a device. */
  #mayWait(folder: number, path: number, length: number): boolean {
    const scratch = new Uint8Array(this.#scratch.buffer);
    // No file has such a path, or it is not in the program's memory: to open it fails.
    if (length > scratch.length - FILESTAT_BYTES || path + length > this.#bytes.length) {
      return false;
    }
    scratch.set(this.#bytes.subarray(path, path + length), FILESTAT_BYTES);
    this.#useMemory(this.#scratch);
    try {
      const { path_filestat_get: stat } = this.#functions;
      if (stat!(folder, FOLLOW, FILESTAT_BYTES, length, 0) !== Errno.Success) return false;
    } finally {
      this.#useMemory(this.#memory);
    }
    const type = scratch[FILESTAT_TYPE];
    return type !== FILE_TYPE.Regular && type !== FILE_TYPE.Folder;
  }

  /** Has the functions read their arguments from a memory, and answer there. */
  #useMemory(memory: WebAssembly.Memory): void {
    this.#wasi.finalizeBindings({ exports: {} }, { memory });
  }

  /**
   * `node:wasi` takes each standard stream for a terminal, and a C library then writes every line
   * by a call of its own.
   */
  #tellNoTerminal(name: HomeFunction, target: number): void {
    if (name === "fd_fdstat_get") this.#bytes[target] = FILE_TYPE_UNKNOWN;
    if (name === "fd_filestat_get") this.#bytes[target + FILESTAT_TYPE] = FILE_TYPE_UNKNOWN;
  }

  /** Writes copies of buffers: other nodes may want the pages while the reader of a pipe waits. */
  async #write(descriptor: number, list: number, count: number, counted: number): Promise<number> {
    const bytes = this.#copy(list, count);
    if (bytes === undefined || counted + 4 > this.#bytes.length) return Errno.Fault;
    const stream = descriptor === Stream.Out ? Deno.stdout : Deno.stderr;
    const done = this.#written.then(() => writeAll(stream, bytes));
    this.#written = done;
    const result = await done;
    if (result === Errno.Success) this.#view.setUint32(counted, bytes.length, true);
    return result;
  }

  async #read(list: number, count: number, counted: number): Promise<number> {
    const buffers = this.#buffers(list, count);
    if (buffers === undefined || counted + 4 > this.#bytes.length) return Errno.Fault;
    const room = buffers.reduce((sum, { length }) => sum + length, 0);
    const bytes = new Uint8Array(Math.min(room, WASM_READ_MAX_BYTES));
    let read = 0;
    try {
      read = bytes.length === 0 ? 0 : await Deno.stdin.read(bytes) ?? 0;
    } catch {
      return Errno.Io;
    }
    let taken = 0;
    for (const buffer of buffers) {
      const part = bytes.subarray(taken, Math.min(read, taken + buffer.length));
      buffer.set(part);
      taken += part.length;
    }
    this.#view.setUint32(counted, read, true);
    return Errno.Success;
  }

  /** A copy of what buffers have, or of its beginning. */
  #copy(list: number, count: number): Uint8Array<ArrayBuffer> | undefined {
    const buffers = this.#buffers(list, count);
    if (buffers === undefined) return undefined;
    const length = buffers.reduce((sum, { length }) => sum + length, 0);
    const bytes = new Uint8Array(Math.min(length, WASM_WRITE_MAX_BYTES));
    let at = 0;
    for (const buffer of buffers) {
      const part = buffer.subarray(0, bytes.length - at);
      bytes.set(part, at);
      at += part.length;
    }
    return bytes;
  }

  /** The buffers of a list; `undefined` where one is not in the program's memory. */
  #buffers(list: number, count: number): Uint8Array[] | undefined {
    const size = this.#bytes.length;
    if (list + count * BUFFER_ENTRY_BYTES > size) return undefined;
    const buffers: Uint8Array[] = [];
    for (let index = 0; index < count; index++) {
      const entry = list + index * BUFFER_ENTRY_BYTES;
      const [at, length] = [
        this.#view.getUint32(entry, true),
        this.#view.getUint32(entry + 4, true),
      ];
      if (at + length > size) return undefined;
      buffers.push(this.#bytes.subarray(at, at + length));
    }
    return buffers;
  }
}

/** Whether a standard stream of this process is a terminal. */
function isTerminal(descriptor: number): boolean {
  const { stdin, stdout, stderr } = Deno;
  return [stdin, stdout, stderr][descriptor]!.isTerminal();
}

/** Writes bytes; returns an error number. */
async function writeAll(
  stream: { write(bytes: Uint8Array): Promise<number> },
  bytes: Uint8Array,
): Promise<number> {
  try {
    for (let at = 0; at < bytes.length;) at += await stream.write(bytes.subarray(at));
    return Errno.Success;
  } catch (error) {
    return error instanceof Deno.errors.BrokenPipe ? Errno.Pipe : Errno.Io;
  }
}
