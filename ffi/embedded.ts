/**
 * The copy of `libtdsm.so` inside of a package's modules, for programs that have no library file
 * because they import the package over the network, are bundled, or may not read files. The copy is
 * imported only when it is needed, and loaded through a memory file, which has a path.
 */

import { TdsmError } from "../runtime/errors.ts";
import { openLibrary, type OpenLibraryOptions, type TdsmLibrary } from "./library.ts";

/** The output of `zig/build.ts`: for each machine, a function that imports its library. */
type Libraries = Readonly<Record<string, () => Promise<{ readonly library: string }>>>;

/** Of `sys/mman.h`: child processes do not inherit the file. */
const MFD_CLOEXEC = 1;
/**
 * Of `sys/mman.h`, since Linux 6.3: code may be loaded from the file, whatever the system's default
 * is.
 */
const MFD_EXEC = 0x10;

const libc = {
  /** `int memfd_create(const char *name, unsigned int flags)` */
  memfd_create: { parameters: ["buffer", "u32"], result: "i32" },
  /** `ssize_t write(int fd, const void *bytes, size_t count)` */
  write: { parameters: ["i32", "buffer", "usize"], result: "isize" },
  /** `int close(int fd)` */
  close: { parameters: ["i32"], result: "i32" },
} as const satisfies Deno.ForeignLibraryInterface;

/** The path of the copy once it is in memory: one for all nodes of this thread. */
let path: Promise<string> | undefined;

/**
 * Opens `libtdsm.so`: as {@linkcode openLibrary} does, and where that finds none and none was
 * named, the copy within the package.
 *
 * @param options Where to look.
 * @returns The open library. Other threads open it by its `path`.
 * @throws {TdsmError} As {@linkcode openLibrary}; `LibraryNotFound` also if the package has no copy
 * for this machine, or it cannot be put into memory.
 */
export async function findLibrary(options: OpenLibraryOptions = {}): Promise<TdsmLibrary> {
  try {
    return openLibrary(options);
  } catch (error) {
    const lost = error instanceof TdsmError && error.code === "LibraryNotFound";
    if (!lost || options.path !== undefined) throw error;
    const libraries = await importLibraries();
    if (libraries === undefined) throw error;
    path ??= unpack(libraries);
    return openLibrary({ ...options, path: await path });
  }
}

/** The libraries that this package has embedded; none in a checkout that is not built. */
async function importLibraries(): Promise<Libraries | undefined> {
  try {
    return (await import("./embedded/mod.js")).libraries;
  } catch {
    return undefined;
  }
}

/** Puts the copy for this machine into memory; returns a path to load it from. */
async function unpack(libraries: Libraries): Promise<string> {
  const { arch, os } = Deno.build;
  const load = os === "linux" ? libraries[arch] : undefined;
  if (load === undefined) {
    const machines = Object.keys(libraries).map((machine) => `Linux on ${machine}`).join(" and ");
    const message = `Cannot load libtdsm.so: this package has it for ${machines}, and this is ` +
      `${os} on ${arch}. Build it from the sources, and name it with --library or TDSM_LIBRARY`;
    throw new TdsmError("LibraryNotFound", message, { operation: "load" });
  }
  const { library } = await load();
  const packed = new Blob([Uint8Array.fromBase64(library)]).stream();
  const bytes = await new Response(packed.pipeThrough(new DecompressionStream("gzip"))).bytes();
  // Never closed, because other threads load the library by this path.
  return `/proc/self/fd/${writeToMemory(bytes)}`;
}

/** Makes a file in memory, and returns its descriptor. */
function writeToMemory(bytes: Uint8Array<ArrayBuffer>): number {
  const library = Deno.dlopen("libc.so.6", libc);
  try {
    const { memfd_create, write, close } = library.symbols;
    const name = new TextEncoder().encode("libtdsm.so\0");
    let file = memfd_create(name, MFD_CLOEXEC | MFD_EXEC);
    // Kernels before 6.3 refuse the flag, and do not need it.
    if (file < 0) file = memfd_create(name, MFD_CLOEXEC);
    for (let at = 0; file >= 0 && at < bytes.length;) {
      const written = Number(write(file, bytes.subarray(at), BigInt(bytes.length - at)));
      at += written;
      if (written > 0) continue;
      close(file);
      file = -1;
    }
    if (file >= 0) return file;
  } finally {
    library.close();
  }
  const message =
    "Cannot load libtdsm.so: the copy in this package needs a file in memory, and the " +
    "system gives none. Name a library with --library or TDSM_LIBRARY";
  throw new TdsmError("LibraryNotFound", message, { operation: "load" });
}
