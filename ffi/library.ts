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
  /** Whether the library is for a thread that serves no region: then it calls others often. */
  forProgram?: boolean | undefined;
}

type FunctionName = keyof TdsmDynamicLibrary["symbols"];

/**
 * The functions that are called for each message, page or turn. Deno compiles code for each of
 * these, which takes as long as some hundred calls without it. So all others are called by their
 * addresses.
 */
const OFTEN: Readonly<Record<"engine" | "program", readonly FunctionName[]>> = {
  engine: [
    "tdsm_boottime_ms",
    "tdsm_faults_read",
    "tdsm_install",
    "tdsm_protect",
    "tdsm_unprotect",
    "tdsm_evict",
    "tdsm_release",
    "tdsm_populate",
    "tdsm_resumed",
    "tdsm_crc32c",
    "tdsm_yield",
    "tdsm_links_wait",
    "tdsm_link_receive",
    "tdsm_link_send",
    "tdsm_sealed_receive",
    "tdsm_sealed_send",
  ],
  program: ["tdsm_kick", "tdsm_thread_link_send", "tdsm_thread_link_receive"],
};

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
      library = open(path, OFTEN[options.forProgram ? "program" : "engine"]);
    } catch (cause) {
      attempts.push({ path, origin, cause });
      continue;
    }
    checkVersion(library, path);
    return new TdsmLibrary(library, path);
  }
  throw notFound(attempts, options.path !== undefined);
}

/**
 * Opens the library. The address of a function is the library's own answer: the loader may be held
 * up by a thread that faults in the initialiser of a native module, until an engine serves it.
 */
function open(path: string, often: readonly FunctionName[]): TdsmDynamicLibrary {
  const compiled: unknown = Object.fromEntries(
    [...often, "tdsm_function" as const].map((name) => [name, symbols[name]]),
  );
  const library = Deno.dlopen(path, compiled as typeof symbols);
  const opened = { ...library.symbols };
  for (const name of Object.keys(symbols) as FunctionName[]) {
    if (name in opened) continue;
    const get = (): unknown => {
      const address = opened.tdsm_function(new TextEncoder().encode(`${name}\0`));
      if (address === null) throw new Error(`libtdsm.so has no ${name}`);
      const called = new Deno.UnsafeFnPointer(address as Deno.PointerObject<never>, symbols[name]);
      const value: unknown = called.call.bind(called);
      Object.defineProperty(opened, name, { value });
      return value;
    };
    Object.defineProperty(opened, name, { get, configurable: true });
  }
  return { symbols: opened, close: () => library.close() };
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
 * Makes sure that a library may be loaded, and called by addresses. Deno itself would prompt on a
 * terminal.
 *
 * @param path Path of the library.
 * @throws {TdsmError} `PermissionMissing` if it may not.
 */
export function requireFfiPermission(path: string): void {
  if (Deno.permissions.querySync({ name: "ffi" }).state === "granted") return;
  throw new TdsmError(
    "PermissionMissing",
    `Cannot load ${path}: run Deno with --allow-ffi, without a path`,
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

function notFound(attempts: readonly Attempt[], isGiven: boolean): TdsmError {
  const tried = attempts.length === 0
    ? "no path is known here, and none was given"
    : attempts.map(({ path, origin, cause }) => `${origin}: ${loadReason(cause, path)}`).join("; ");
  const isCheckout = builtLibraryPath() !== undefined;
  const byDefault = isCheckout ? "the one that `./tdsm build` makes" : "the one of the package";
  const remedy = isGiven
    ? `Name one that is there, or none: then it is ${byDefault}`
    : `${isCheckout ? "Build it with `./tdsm build`, or name" : "Name"} one with --library`;
  return new TdsmError(
    "LibraryNotFound",
    `Cannot load libtdsm.so: ${tried}. ${remedy}`,
    {
      operation: "load",
      cause: attempts.length === 1 ? attempts[0]?.cause : new AggregateError(
        attempts.map(({ cause }) => cause),
        "Every path failed",
      ),
    },
  );
}

/**
 * Why the loader has not opened a library.
 *
 * @param cause What {@linkcode Deno.dlopen} has thrown.
 * @param path The path that it was given.
 * @returns The loader's own words, which begin with the path.
 */
export function loadReason(cause: unknown, path: string): string {
  const reason = reasonOf(cause).replace(/^(?:Could not open library: )+/, "");
  return reason.startsWith(path) ? reason : `${path}: ${reason}`;
}
