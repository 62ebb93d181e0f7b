/**
 * Finding and opening a file of `libtdsm.so`. Nothing happens at import, only in a checkout does
 * the place of this file matter, and Deno never prompts the user.
 */

import { reasonOf, TdsmError } from "../runtime/errors.ts";
import { ABI_VERSION } from "./abi.ts";
import { symbols, type TdsmDynamicLibrary } from "./symbols.ts";

/** Where to look for the library. */
export interface OpenLibraryOptions {
  /** Path of `libtdsm.so`; if given, no other path is tried. */
  path?: string | undefined;
  /**
   * Whether the library is for a thread that serves no region. Such a thread calls few of the
   * functions, and Deno compiles code for each that it opens: those of
   * {@linkcode PROGRAM_FUNCTIONS} are opened at once, all others together when one of them is
   * called.
   */
  forProgram?: boolean | undefined;
}

/**
 * The functions that a thread of a program calls in order to join or to attach, while it is served,
 * and when its node fails: then another thread may hold the loader's lock for ever.
 */
const PROGRAM_FUNCTIONS: readonly (keyof TdsmDynamicLibrary["symbols"])[] = [
  "tdsm_abi_version",
  "tdsm_last_errno",
  "tdsm_describe",
  "tdsm_fence",
  "tdsm_thread",
  "tdsm_kick",
  "tdsm_setenv",
];

/** `libtdsm.so`, open. */
export class TdsmLibrary implements Disposable {
  /** Its functions. */
  readonly symbols: TdsmDynamicLibrary["symbols"];
  /** The path that it was opened from, to hand to another thread. */
  readonly path: string;
  readonly #library: TdsmDynamicLibrary;

  /**
   * Takes over an open library; programs use {@linkcode openLibrary}.
   *
   * @param library What {@linkcode Deno.dlopen} answered.
   * @param path The path that it was given.
   */
  constructor(library: TdsmDynamicLibrary, path: string) {
    this.#library = library;
    this.symbols = library.symbols;
    this.path = path;
  }

  /**
   * Computes the CRC-32C of bytes, as `runtime/wire/crc32c.ts` does, but faster for many bytes.
   *
   * @param bytes The bytes.
   * @returns The checksum, in 32 bits.
   */
  checksum(bytes: Uint8Array): number {
    return this.symbols.tdsm_crc32c(bytes as Uint8Array<ArrayBuffer>, bytes.length, 0);
  }

  /** Closes the library. No function of it may be called after, and no region may be open. */
  [Symbol.dispose](): void {
    this.#library.close();
  }
}

/** A path that was tried, where the path comes from, and why it failed. */
interface Attempt {
  readonly path: string;
  readonly origin: string;
  readonly cause: unknown;
}

/**
 * Opens `libtdsm.so`: at `options.path` if given, else at `TDSM_LIBRARY` if the environment may be
 * read already, else at `zig-out/lib/libtdsm.so` of this checkout.
 *
 * @param options Where to look.
 * @returns The open library.
 * @throws {TdsmError} `PermissionMissing` without `--allow-ffi`, `LibraryNotFound` if no path
 * opens, `LibraryMismatch` if the library is of another ABI version.
 */
export function openLibrary(options: OpenLibraryOptions = {}): TdsmLibrary {
  const attempts: Attempt[] = [];
  for (const { path, origin } of candidates(options)) {
    requireFfiPermission(path);
    let library: TdsmDynamicLibrary;
    try {
      library = options.forProgram ? openInParts(path) : Deno.dlopen(path, symbols);
    } catch (cause) {
      attempts.push({ path, origin, cause });
      continue;
    }
    checkVersion(library, path);
    return new TdsmLibrary(library, path);
  }
  throw notFound(attempts);
}

/** Opens the library for a thread of a program. */
function openInParts(path: string): TdsmDynamicLibrary {
  const names = Object.keys(symbols) as (keyof typeof symbols)[];
  const open = (soon: boolean): TdsmDynamicLibrary => {
    const part = names.filter((name) => PROGRAM_FUNCTIONS.includes(name) === soon);
    const entries: unknown = Object.fromEntries(part.map((name) => [name, symbols[name]]));
    return Deno.dlopen(path, entries as typeof symbols);
  };
  const first = open(true);
  let others: TdsmDynamicLibrary | undefined;
  const opened = { ...first.symbols };
  for (const name of names) {
    if (name in opened) continue;
    Object.defineProperty(opened, name, { get: () => (others ??= open(false)).symbols[name] });
  }
  const close = (): void => {
    first.close();
    others?.close();
  };
  return { symbols: opened, close };
}

/**
 * The path of the library that the build makes, where this is a checkout.
 *
 * @returns The path, or nothing in a bundle, and in a package that is loaded over the network.
 */
export function builtLibraryPath(): string | undefined {
  const root = import.meta.filename?.match(/^(.*)\/ffi\/library\.ts$/)?.[1];
  return root === undefined ? undefined : `${root}/zig-out/lib/libtdsm.so`;
}

function* candidates(options: OpenLibraryOptions): Generator<{ path: string; origin: string }> {
  if (options.path !== undefined) {
    yield { path: options.path, origin: "the given path" };
    return;
  }
  const name = "TDSM_LIBRARY";
  // Queried, never requested: without the permission the variable counts as not set.
  if (Deno.permissions.querySync({ name: "env", variable: name }).state === "granted") {
    const path = Deno.env.get(name);
    if (path !== undefined && path !== "") yield { path, origin: name };
  }
  const built = builtLibraryPath();
  if (built !== undefined) yield { path: built, origin: "the checkout" };
}

/**
 * Makes sure that a library may be loaded. `dlopen` itself would prompt on a terminal.
 *
 * @param path Path of the library.
 * @throws {TdsmError} `PermissionMissing` if it may not.
 */
export function requireFfiPermission(path: string): void {
  if (Deno.permissions.querySync({ name: "ffi", path }).state === "granted") return;
  throw new TdsmError(
    "PermissionMissing",
    `Cannot load ${path}: run Deno with --allow-ffi`,
    { operation: "load" },
  );
}

function checkVersion(library: TdsmDynamicLibrary, path: string): void {
  const version = library.symbols.tdsm_abi_version();
  if (version === ABI_VERSION) return;
  library.close();
  throw new TdsmError(
    "LibraryMismatch",
    `Cannot use ${path}: it has ABI version ${version}, this runtime needs ${ABI_VERSION}; ` +
      "use the one of this release, or build it anew with `./tdsm build`",
    { operation: "load" },
  );
}

function notFound(attempts: readonly Attempt[]): TdsmError {
  const tried = attempts.length === 0
    ? "no path is known here, and none was given"
    : attempts.map(({ path, origin, cause }) => `${path} (${origin}: ${reason(cause)})`).join("; ");
  return new TdsmError(
    "LibraryNotFound",
    `Cannot load libtdsm.so: ${tried}; ${
      builtLibraryPath() === undefined ? "" : "build it with `./tdsm build`, or "
    }name it with TDSM_LIBRARY and --allow-env=TDSM_LIBRARY`,
    {
      operation: "load",
      cause: attempts.length === 1 ? attempts[0]?.cause : new AggregateError(
        attempts.map(({ cause }) => cause),
        "Every path failed",
      ),
    },
  );
}

function reason(cause: unknown): string {
  const message = reasonOf(cause);
  return message.replace(/^Could not open library: /, "");
}
