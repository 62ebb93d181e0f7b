/**
 * Native modules: shared libraries whose globals in section `.rdma` are the same cells on every
 * node. The section's pages are replaced by a window of the region, so native code that touches
 * them faults and is served as any other access.
 */

import { fileURLToPath } from "node:url";
import { reasonOf, TdsmError, type TdsmErrorCode } from "../runtime/errors.ts";
import { MODULE_INFO, nameErrno, PATH_MAX_BYTES, PROBLEMS, statusError, STATUSES } from "./abi.ts";
import { loadReason, requireFfiPermission, type TdsmLibrary } from "./library.ts";
import type { NativeRegion } from "./native.ts";
import { cString, LITTLE_ENDIAN, viewMemory } from "./native_values.ts";

/** What must be the same on every node that shares a module's variables. */
export interface ModuleLayout {
  /** Bytes of the `.rdma` section, whole pages of the kernel. */
  readonly size: number;
  /**
   * A fingerprint of the names, places and sizes of the variables in it: of all where the library
   * has its full symbol table, of the exported ones where it was stripped.
   */
  readonly layoutHash: bigint;
}

/** The place and contents of a module's `.rdma` section. */
export interface ModuleSection extends ModuleLayout {
  /** Address of its first byte, the start of a page of the kernel. */
  readonly address: bigint;
  /** How many variables {@linkcode ModuleLayout.layoutHash} is about. */
  readonly variables: number;
}

/** What is wrong with a refused module, and what to do about it. */
const PROBLEM_TEXTS: Readonly<Record<number, { code: TdsmErrorCode; text: string }>> = {
  [PROBLEMS.not_loaded]: { code: "LibraryNotFound", text: "no library of that path is loaded" },
  [PROBLEMS.file_unreadable]: {
    code: "SystemCallFailed",
    text: "its file cannot be read",
  },
  [PROBLEMS.file_changed]: {
    code: "LibraryMismatch",
    text: "its file is not the one that was loaded; start the program again",
  },
  [PROBLEMS.not_elf]: {
    code: "LibraryMismatch",
    text: "its file is no whole 64-bit ELF library; keep its section headers",
  },
  [PROBLEMS.section_missing]: {
    code: "LibraryMismatch",
    text: "it has no .rdma section; mark its shared variables with TDSM_SHARED of tdsm.h, " +
      "and link it with `-T rdma.ld`",
  },
  [PROBLEMS.section_empty]: {
    code: "LibraryMismatch",
    text: "no variable is in its .rdma section; mark those to be shared with TDSM_SHARED of tdsm.h",
  },
  [PROBLEMS.section_misaligned]: {
    code: "LibraryMismatch",
    text: "its .rdma section is not on pages of its own; link it with `-T rdma.ld`",
  },
  [PROBLEMS.variable_elsewhere]: {
    code: "LibraryMismatch",
    text: "the compiler has put a shared variable of a template outside of .rdma; " +
      "share a variable that is of no template, or build the module with Clang",
  },
  [PROBLEMS.has_values]: {
    code: "LibraryMismatch",
    text: "a shared variable has a value before it is shared; shared variables start as zero, so " +
      "give them no initial value and no constructor, and set them once the module is loaded",
  },
};

/**
 * The path of a native module.
 *
 * @param file A path, or a `file:` URL.
 * @returns The path, decoded.
 * @throws {TdsmError} `InvalidOption` for anything else; the message says what to give.
 */
function modulePath(file: string | URL): string {
  const refusal = (why: string, cause?: unknown): TdsmError =>
    new TdsmError("InvalidOption", `Cannot load ${JSON.stringify(String(file))}: ${why}`, {
      operation: "load",
      ...(cause === undefined ? {} : { cause }),
    });
  if (typeof file === "string" && /^[a-z][a-z0-9+.-]*:/i.test(file)) {
    throw refusal("a string is a path; give a URL as new URL(…), or ./ before the path");
  }
  let path: string;
  try {
    path = file instanceof URL ? fileURLToPath(file) : file;
  } catch (cause) {
    throw refusal(`a native module is a path or a file: URL (${reasonOf(cause)})`, cause);
  }
  if (typeof path !== "string" || path === "" || path.includes("\0")) {
    throw refusal("a native module is a path or a file: URL, without a zero byte");
  }
  return path;
}

/**
 * A shared library in use, and the window of a region over its `.rdma` section.
 *
 * Its life: {@linkcode NativeModule.open}, {@linkcode NativeModule.mapOnto}, calls, dispose.
 * Dispose of the module before the region. The other order is safe too, but leaves the module's
 * variables on blank memory of this process in between.
 */
export class NativeModule<Symbols extends Deno.ForeignLibraryInterface> implements Disposable {
  /** The path that it was loaded from. */
  readonly path: string;
  /** Its file: an absolute path without symbolic links. */
  readonly file: string;
  /** Its shared variables. */
  readonly section: ModuleSection;
  readonly #library: TdsmLibrary;
  readonly #dynamic: Deno.DynamicLibrary<Symbols>;
  readonly #module: number;
  #region: NativeRegion | undefined;
  #memory: Uint8Array<ArrayBuffer> | undefined;
  #disposed = false;

  private constructor(
    library: TdsmLibrary,
    path: string,
    dynamic: Deno.DynamicLibrary<Symbols>,
    found: { module: number; section: ModuleSection },
  ) {
    this.#library = library;
    this.path = path;
    this.#dynamic = dynamic;
    this.#module = found.module;
    this.section = found.section;
    this.file = pathOf(library, found.module, path);
  }

  /**
   * Loads a module and finds its shared variables. They are still private: nothing may call the
   * module until {@linkcode mapOnto} has returned.
   *
   * @param library The native library.
   * @param path Path of the module, with a slash in it, or a `file:` URL. A name without a slash is
   * looked for where the system has its libraries.
   * @param symbols The functions and variables that the program uses, as {@linkcode Deno.dlopen}
   * takes them.
   * @returns The module, not mapped yet.
   * @throws {TdsmError} `InvalidOption` for what is neither, `PermissionMissing`, `LibraryNotFound`
   * if it cannot be loaded or lacks a symbol, `LibraryMismatch` if it cannot share its variables,
   * `LimitExceeded`; the message says what to do.
   */
  static open<const Symbols extends Deno.ForeignLibraryInterface>(
    library: TdsmLibrary,
    path: string | URL,
    symbols: Symbols,
  ): NativeModule<Symbols> {
    path = modulePath(path);
    requireFfiPermission(path);
    let dynamic: Deno.DynamicLibrary<Symbols>;
    try {
      dynamic = Deno.dlopen(path, symbols);
    } catch (cause) {
      const reason = loadReason(cause, path);
      // The loader looks for a bare name only where the system has its libraries.
      const remedy = !path.includes("/")
        ? `. For a file in the current folder write ./${path}`
        : reason.startsWith(`${path}: cannot open shared object file: No such file`)
        ? ". Build it there, or give the path where it is"
        : "";
      const message = `Cannot load ${reason}${remedy}`;
      throw new TdsmError("LibraryNotFound", message, { operation: "load", cause });
    }
    let found: { module: number; section: ModuleSection } | undefined;
    try {
      found = openSection(library, path);
      return new NativeModule(library, path, dynamic, found);
    } catch (error) {
      if (found !== undefined) closeSection(library, found.module);
      dynamic.close();
      throw error;
    }
  }

  /**
   * Finds the shared variables of a library that is loaded already.
   *
   * @param library The native library.
   * @param path The path that it was loaded from.
   * @returns The `.rdma` section, valid while the library is loaded.
   * @throws {TdsmError} `LibraryNotFound` if it is not loaded, else as
   *   {@linkcode NativeModule.open}.
   */
  static find(library: TdsmLibrary, path: string): ModuleSection {
    const { module, section } = openSection(library, path);
    closeSection(library, module);
    return section;
  }

  /** Its functions. */
  get symbols(): Deno.DynamicLibrary<Symbols>["symbols"] {
    this.#requireMapped();
    return this.#dynamic.symbols;
  }

  /**
   * The bytes of its shared variables; without elements once the module is disposed of. Where
   * something has taken the buffer away from the program, this is a new array over the same cells.
   */
  get memory(): Uint8Array<ArrayBuffer> {
    const memory = this.#requireMapped();
    if (!memory.buffer.detached) return memory;
    return this.#memory = viewMemory(this.section.address, this.section.size);
  }

  /** Names the library within this process: two modules of one library have the same number. */
  get library(): number {
    return this.#module;
  }

  /**
   * Checks that the module is the one that other nodes have loaded.
   *
   * @param other The {@linkcode NativeModule.section} of another node.
   * @throws {TdsmError} `LibraryMismatch` if its variables lie elsewhere.
   */
  requireLayout(other: ModuleLayout): void {
    const { size, layoutHash } = this.section;
    if (size === other.size && layoutHash === other.layoutHash) return;
    const difference = size === other.size
      ? `its shared variables have other names, places or sizes here (layout ${hex(layoutHash)}) ` +
        `than on other nodes (layout ${hex(other.layoutHash)})`
      : `its .rdma section has ${size} bytes here and ${other.size} bytes on other nodes`;
    throw new TdsmError(
      "LibraryMismatch",
      `Cannot share the variables of ${this.path}: ${difference}; ` +
        "load the same build of it on every node",
      { operation: "share" },
    );
  }

  /**
   * The bytes of a region that the variables take.
   *
   * @param pageSize Bytes of the region's logical page.
   * @returns Bytes, whole logical pages.
   */
  regionBytes(pageSize: number): number {
    return Math.ceil(this.section.size / pageSize) * pageSize;
  }

  /**
   * Maps the shared variables onto pages of a region: from here on they have the region's contents.
   * If several threads of a process have opened the module, each may map it, onto the same place.
   *
   * @param region The region.
   * @param regionByte The first byte that the variables take, the start of a logical page. The
   * {@linkcode regionBytes} from there must be theirs alone.
   * @throws {TdsmError} `InvalidOption` if they do not fit there, or the process has them on
   * another place already; `LimitExceeded` if the region has its most windows; `SystemCallFailed`.
   */
  mapOnto(region: NativeRegion, regionByte: number): void {
    if (this.#disposed || this.#region !== undefined) {
      throw new Error(
        `Cannot map ${this.path}: it is ${this.#disposed ? "disposed of" : "mapped"}`,
      );
    }
    const { size, address } = this.section;
    if (
      !Number.isSafeInteger(regionByte) || regionByte < 0 || regionByte % region.pageSize !== 0 ||
      regionByte + size > region.size
    ) {
      throw new TdsmError(
        "InvalidOption",
        `Cannot map ${this.path} onto byte ${regionByte} of the region: its ${size} bytes must ` +
          `start on a page of ${region.pageSize} bytes and end within the region's ${region.size}`,
        { operation: "map" },
      );
    }
    const { tdsm_module_map, tdsm_last_errno } = this.#library.symbols;
    const result = tdsm_module_map(this.#module, region.handle, BigInt(regionByte));
    if (result < 0) throw statusError(`map ${this.path}`, result, tdsm_last_errno());
    this.#region = region;
    this.#memory = viewMemory(address, size);
  }

  /**
   * Ends the use of the module: `memory` and what was made of its buffer lose their elements, the
   * window goes, the library is unloaded. No native code of it may run then, and no function taken
   * from `symbols` may be called after.
   */
  [Symbol.dispose](): void {
    if (this.#disposed) return;
    this.retire();
    // The library may be unmapped only when no window is left over its memory.
    closeSection(this.#library, this.#module);
    this.#dynamic.close();
  }

  /**
   * Ends the sharing, and keeps the library loaded: other threads may be inside of a call of it.
   */
  retire(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    // A transfer to no thread detaches the buffer, so that views are empty and no longer reach the
    // memory.
    if (this.#memory?.buffer.detached === false) this.#memory.buffer.transfer();
    if (this.#region !== undefined) {
      const result = this.#library.symbols.tdsm_module_unmap(this.#module, this.#region.handle);
      if (result < 0) throw statusError(`unmap ${this.path}`, result, 0);
    }
  }

  #requireMapped(): Uint8Array<ArrayBuffer> {
    if (this.#disposed) {
      throw new TdsmError("NodeClosed", `Cannot use ${this.path}: it is disposed of`, {
        operation: "use",
      });
    }
    if (this.#memory === undefined) throw new Error(`${this.path} is used before it is mapped`);
    return this.#memory;
  }
}

function openSection(
  library: TdsmLibrary,
  path: string,
): { module: number; section: ModuleSection } {
  const info = new DataView(new ArrayBuffer(MODULE_INFO.size));
  const result = library.symbols.tdsm_module_open(cString(path), info.buffer);
  const { fields } = MODULE_INFO;
  if (result === -STATUSES.module_unusable) throw problemError(path, info);
  if (result < 0) throw statusError(`share the variables of ${path}`, result, 0);
  return {
    module: info.getUint32(fields.module.offset, LITTLE_ENDIAN),
    section: {
      address: info.getBigUint64(fields.address.offset, LITTLE_ENDIAN),
      size: Number(info.getBigUint64(fields.size.offset, LITTLE_ENDIAN)),
      layoutHash: info.getBigUint64(fields.layout_hash.offset, LITTLE_ENDIAN),
      variables: info.getUint32(fields.variables.offset, LITTLE_ENDIAN),
    },
  };
}

/** The file of a module. */
function pathOf(library: TdsmLibrary, module: number, path: string): string {
  const name = new Uint8Array(PATH_MAX_BYTES);
  const length = library.symbols.tdsm_module_path(module, name);
  if (length >= 0) return new TextDecoder().decode(name.subarray(0, length));
  throw statusError(`find the file of ${path}`, length, library.symbols.tdsm_last_errno());
}

function closeSection(library: TdsmLibrary, module: number): void {
  const result = library.symbols.tdsm_module_close(module);
  if (result < 0) throw statusError("close the native module", result, 0);
}

function problemError(path: string, info: DataView): TdsmError {
  const { fields } = MODULE_INFO;
  const problem = info.getUint32(fields.problem.offset, LITTLE_ENDIAN);
  const errno = info.getInt32(fields.errno.offset, LITTLE_ENDIAN);
  const { code, text } = PROBLEM_TEXTS[problem] ??
    { code: "LibraryMismatch" as const, text: `unknown problem ${problem}` };
  let place = "";
  if (problem === PROBLEMS.has_values) {
    place = ` (byte ${info.getBigUint64(fields.value_offset.offset, LITTLE_ENDIAN)} of .rdma)`;
  } else if (problem === PROBLEMS.variable_elsewhere) {
    const name = new Uint8Array(info.buffer, fields.variable.offset, fields.variable.size);
    place = ` (${new TextDecoder().decode(name.subarray(0, name.indexOf(0)))})`;
  }
  return new TdsmError(
    code,
    `Cannot share the variables of ${path}: ${text}${place}${nameErrno(errno)}`,
    { operation: "share", ...(errno === 0 ? {} : { errno }) },
  );
}

function hex(value: bigint): string {
  return value.toString(16).padStart(16, "0");
}
