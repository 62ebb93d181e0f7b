/**
 * Facts about this machine, from the C library. With `--allow-ffi` alone there is no other source:
 * Deno needs further permissions for the kernel's version and for files in `/proc` and `/dev`.
 */

import { SYSTEM_FILE_MAX_BYTES } from "../runtime/limits.ts";
import { cString } from "./native_values.ts";

/** Facts about this machine, which do not change while a program runs. */
export interface Machine {
  /** The kernel's version, as `uname -r` has it. */
  readonly kernelRelease: string;
  /** Whether this process runs as root. */
  readonly isRoot: boolean;
  /** The kernel's page size, in bytes. */
  readonly pageSize: number;
  /** Whether `/dev/userfaultfd` is there. */
  readonly hasDevice: boolean;
  /** Whether this process may open it. */
  readonly mayUseDevice: boolean;
  /** The sysctl `vm.unprivileged_userfaultfd`; nothing where there is no such, before Linux 5.2. */
  readonly unprivileged: boolean | undefined;
}

const SYMBOLS = {
  uname: { parameters: ["buffer"], result: "i32" },
  geteuid: { parameters: [], result: "u32" },
  getpagesize: { parameters: [], result: "i32" },
  access: { parameters: ["buffer", "i32"], result: "i32" },
  open: { parameters: ["buffer", "i32"], result: "i32" },
  read: { parameters: ["i32", "buffer", "usize"], result: "isize" },
  close: { parameters: ["i32"], result: "i32" },
  getenv: { parameters: ["buffer"], result: "pointer" },
} as const satisfies Deno.ForeignLibraryInterface;

type C = Deno.DynamicLibrary<typeof SYMBOLS>["symbols"];

/** The functions that read files. */
const FILE_FUNCTIONS = ["open", "read", "close"] as const;

const F_OK = 0;
const R_OK_W_OK = 6;
const O_RDONLY_CLOEXEC = 0o2000000;
/** Each of the six fields of `struct utsname`; the release is the third. */
const UTSNAME_FIELD_BYTES = 65;
const UTSNAME_FIELDS = 6;
const DEVICE = "/dev/userfaultfd";
const SYSCTL = "/proc/sys/vm/unprivileged_userfaultfd";
/** How many bytes of a file are read at once. */
const READ_BYTES = 4096;

/**
 * Asks the C library about this machine.
 *
 * @returns The facts; `undefined` where the C library cannot be loaded, as without `--allow-ffi`.
 */
export function inspectMachine(): Machine | undefined {
  return withC(Object.keys(SYMBOLS) as (keyof C)[], inspect);
}

/**
 * Finds which environment variables are set, and not empty. Their values are not returned.
 *
 * @param names Their names.
 * @returns Those that are set; none where the C library cannot be loaded, as without `--allow-ffi`.
 */
export function setVariables(names: readonly string[]): string[] {
  if (names.length === 0) return [];
  return withC(["getenv"], (c) =>
    names.filter((name) => {
      const value = c.getenv(cString(name));
      return value !== null && new Deno.UnsafePointerView(value).getUint8() !== 0;
    })) ?? [];
}

/**
 * Tells as which user this process acts on files.
 *
 * @returns The effective user id; `undefined` where the C library cannot be loaded, as without
 * `--allow-ffi`.
 */
export function effectiveUser(): number | undefined {
  return withC(["geteuid"], (c) => c.geteuid());
}

/**
 * Calls a function that reads files of `/proc` and `/sys`, which needs no permission but
 * `--allow-ffi`.
 *
 * @param use Gets a function that returns the text of the file at a path; `undefined` where that
 * cannot be read, or is longer than any such file should be.
 * @returns What `use` returns; `undefined` where the C library cannot be loaded.
 */
export function withFiles<Value>(
  use: (read: (path: string) => string | undefined) => Value,
): Value | undefined {
  return withC(FILE_FUNCTIONS, (c) => use((path) => readText(c, path)));
}

/**
 * Calls a function with the C library; `undefined` where the library cannot be loaded. The
 * functions of the library that are used are named, since Deno compiles code for each.
 */
function withC<Name extends keyof C, Value>(
  names: readonly Name[],
  use: (c: Pick<C, Name>) => Value,
): Value | undefined {
  const path = "libc.so.6";
  // Queried, never requested: on a terminal Deno would prompt.
  if (Deno.permissions.querySync({ name: "ffi", path }).state !== "granted") return undefined;
  const symbols: unknown = Object.fromEntries(names.map((name) => [name, SYMBOLS[name]]));
  let library: Deno.DynamicLibrary<typeof SYMBOLS>;
  try {
    library = Deno.dlopen(path, symbols as typeof SYMBOLS);
  } catch {
    return undefined;
  }
  try {
    return use(library.symbols);
  } finally {
    library.close();
  }
}

function inspect(c: C): Machine {
  const names = new Uint8Array(UTSNAME_FIELD_BYTES * UTSNAME_FIELDS);
  c.uname(names);
  const sysctl = readText(c, SYSCTL);
  return {
    kernelRelease: textOf(names.subarray(2 * UTSNAME_FIELD_BYTES, 3 * UTSNAME_FIELD_BYTES)),
    isRoot: c.geteuid() === 0,
    pageSize: c.getpagesize(),
    hasDevice: c.access(cString(DEVICE), F_OK) === 0,
    mayUseDevice: c.access(cString(DEVICE), R_OK_W_OK) === 0,
    unprivileged: sysctl === undefined ? undefined : sysctl.trim() !== "0",
  };
}

function readText(c: Pick<C, typeof FILE_FUNCTIONS[number]>, path: string): string | undefined {
  const file = c.open(cString(path), O_RDONLY_CLOEXEC);
  if (file < 0) return undefined;
  const decoder = new TextDecoder();
  const part = new Uint8Array(READ_BYTES);
  let text = "";
  let length = 0;
  let all = 0;
  do {
    length = Number(c.read(file, part, BigInt(part.length)));
    all += length;
    if (length > 0) text += decoder.decode(part.subarray(0, length), { stream: true });
  } while (length > 0 && all <= SYSTEM_FILE_MAX_BYTES);
  c.close(file);
  return length === 0 ? text : undefined;
}

function textOf(bytes: Uint8Array): string {
  const end = bytes.indexOf(0);
  return new TextDecoder().decode(end < 0 ? bytes : bytes.subarray(0, end));
}
