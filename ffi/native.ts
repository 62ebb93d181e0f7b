/**
 * A region as TypeScript sees it: the calls of `libtdsm.so` with checked results.
 * The page operations allocate nothing unless they fail.
 */

import { TdsmError } from "../runtime/errors.ts";
import { CLOSED_REGIONS_MAX_BYTES } from "../runtime/limits.ts";
import {
  EXIT_BEGUN,
  FAULT_WORDS,
  FENCE_MESSAGE_MAX_BYTES,
  INSTALL_WRITABLE,
  INSTALL_ZERO,
  OPEN_OPTIONS,
  OPEN_REQUIRE_KERNEL_FAULTS,
  openError,
  RDMA_SECTION_INFO,
  REGION_COUNTS_RUNS,
  REGION_INFO,
  REGION_USER_MODE_ONLY,
  statusError,
  STATUSES,
} from "./abi.ts";
import type { TdsmLibrary } from "./library.ts";
import { cString, LITTLE_ENDIAN, viewMemory } from "./native_values.ts";

/** How a process ends behind the fence of its region. */
export interface FenceEnd {
  /**
   * What it writes to stderr, with its line end; what is beyond `FENCE_MESSAGE_MAX_BYTES` is cut
   * off.
   */
  message: string;
  /** Its exit status. */
  status: number;
  /**
   * How long it goes on after the first access, in milliseconds, so that the program can end it in
   * a way of its own.
   */
  graceMs: number;
}

/** How to open a region. */
export interface NativeRegionOptions {
  /** Bytes of the region: a multiple of `pageSize`, at most 1 TiB. */
  size: number;
  /** Bytes of a logical page: a power of two, 4 KiB to 2 MiB. */
  pageSize: number;
  /** Refuse where faults inside system calls cannot be served. Default: false. */
  requireKernelFaults?: boolean;
  /** Bits of UFFD_FEATURE_* demanded beside those that the runtime needs. Default: none. */
  requiredFeatures?: bigint;
  /**
   * Where the program is to touch the region: memory of the process of that size, such as a
   * buffer's, whose contents are lost; it must stay what it is for as long as the process. Default:
   * anywhere.
   */
  windowAddress?: bigint;
}

/** The data for {@linkcode NativeRegion.attach}; can be sent to another thread by `postMessage`. */
export interface NativeRegionHandle {
  /** The region, as the library knows it. */
  readonly handle: number;
}

/** Where the `.rdma` section of `libtdsm.so` lies. */
export interface RdmaSection {
  /** Address of its first byte. */
  readonly start: bigint;
  /** Address after its last byte. */
  readonly end: bigint;
  /** Its bytes. */
  readonly size: number;
}

/** One open region. All page numbers and counts are in logical pages. */
export class NativeRegion implements Disposable {
  /** The region, as the library knows it. */
  readonly handle: number;
  /** Address at which the program touches the region. */
  readonly windowAddress: bigint;
  /** Address at which the engine touches the region; it never faults to user space. */
  readonly aliasAddress: bigint;
  /** Bytes of the region. */
  readonly size: number;
  /** Bytes of a logical page. */
  readonly pageSize: number;
  /** A system call on an absent page fails with EFAULT instead of faulting. */
  readonly userModeOnly: boolean;
  /** The kernel counts how often threads are given a core. */
  readonly countsRuns: boolean;
  /** Bits of UFFD_FEATURE_* in force. */
  readonly features: bigint;
  readonly #symbols: TdsmLibrary["symbols"];
  readonly #owner: boolean;
  #closed = false;
  /** The word of {@linkcode watchExit}. */
  #exit: Int32Array | undefined;

  private constructor(library: TdsmLibrary, info: DataView, owner: boolean) {
    const { fields } = REGION_INFO;
    this.#symbols = library.symbols;
    this.#owner = owner;
    this.handle = info.getUint32(fields.handle.offset, LITTLE_ENDIAN);
    this.windowAddress = info.getBigUint64(fields.window_address.offset, LITTLE_ENDIAN);
    this.aliasAddress = info.getBigUint64(fields.alias_address.offset, LITTLE_ENDIAN);
    this.size = Number(info.getBigUint64(fields.size.offset, LITTLE_ENDIAN));
    this.pageSize = info.getUint32(fields.page_size.offset, LITTLE_ENDIAN);
    const flags = info.getUint32(fields.flags.offset, LITTLE_ENDIAN);
    this.userModeOnly = (flags & REGION_USER_MODE_ONLY) !== 0;
    this.countsRuns = (flags & REGION_COUNTS_RUNS) !== 0;
    this.features = info.getBigUint64(fields.features.offset, LITTLE_ENDIAN);
  }

  /**
   * Opens a region.
   *
   * @param library The library.
   * @param options Size and page size.
   * @returns The region, which this thread owns: disposing of it closes it for every thread.
   * @throws {TdsmError} `InvalidOption`, `PrivilegeMissing`, `KernelUnsupported`, `LimitExceeded`
   * or `SystemCallFailed`; the message says what to do.
   */
  static open(library: TdsmLibrary, options: NativeRegionOptions): NativeRegion {
    const closed = Number(library.symbols.tdsm_closed_bytes());
    if (closed + options.size > CLOSED_REGIONS_MAX_BYTES) {
      const message = `Cannot open the region: those that this process has closed keep ` +
        `${closed / 2 ** 30} GiB of addresses, and they may keep at most ` +
        `${CLOSED_REGIONS_MAX_BYTES / 2 ** 30} with this one; end the process, and join in a ` +
        `fresh one`;
      throw new TdsmError("LimitExceeded", message, { operation: "open" });
    }
    const asked = new DataView(new ArrayBuffer(OPEN_OPTIONS.size));
    const info = new DataView(new ArrayBuffer(REGION_INFO.size));
    const flags = options.requireKernelFaults ? OPEN_REQUIRE_KERNEL_FAULTS : 0;
    asked.setBigUint64(
      OPEN_OPTIONS.fields.size.offset,
      toUnsigned("size", options.size),
      LITTLE_ENDIAN,
    );
    asked.setBigUint64(
      OPEN_OPTIONS.fields.required_features.offset,
      options.requiredFeatures ?? 0n,
      LITTLE_ENDIAN,
    );
    const pageSize = Number(toUnsigned("page size", options.pageSize));
    // A size beyond 32 bits must not become a valid one by losing its upper half.
    asked.setUint32(
      OPEN_OPTIONS.fields.page_size.offset,
      Math.min(pageSize, 0xffff_ffff),
      LITTLE_ENDIAN,
    );
    asked.setUint32(OPEN_OPTIONS.fields.flags.offset, flags, LITTLE_ENDIAN);
    asked.setBigUint64(
      OPEN_OPTIONS.fields.window_address.offset,
      options.windowAddress ?? 0n,
      LITTLE_ENDIAN,
    );
    const result = library.symbols.tdsm_open(asked.buffer, info.buffer);
    if (result === 0) return new NativeRegion(library, info, true);
    const { fields } = REGION_INFO;
    throw openError({
      result,
      step: info.getUint32(fields.failed_step.offset, LITTLE_ENDIAN),
      errno: info.getInt32(fields.errno.offset, LITTLE_ENDIAN),
      missingFeatures: info.getBigUint64(fields.missing_features.offset, LITTLE_ENDIAN),
    });
  }

  /**
   * Uses a region that another thread of this process opened.
   *
   * @param library The library, opened by this thread.
   * @param handle The other thread's region.
   * @returns The region; disposing of it does not close it.
   * @throws {TdsmError} `NodeClosed` if the region is closed by now.
   */
  static attach(library: TdsmLibrary, handle: NativeRegionHandle): NativeRegion {
    const info = new DataView(new ArrayBuffer(REGION_INFO.size));
    const result = library.symbols.tdsm_describe(handle.handle, info.buffer);
    if (result < 0) throw statusError("attach to the region", result, 0);
    return new NativeRegion(library, info, false);
  }

  /** The whole region as the program sees it; touching an absent page blocks until it is served. */
  window(): Uint8Array<ArrayBuffer> {
    return viewMemory(this.windowAddress, this.size);
  }

  /** The whole region as the engine sees it; never blocks. */
  alias(): Uint8Array<ArrayBuffer> {
    return viewMemory(this.aliasAddress, this.size);
  }

  /**
   * Gives pages entries in every window and wakes the threads that wait for them; pages that have
   * entries get the asked protection. Bytes that were never written are zero.
   *
   * @param first The first page.
   * @param count How many pages.
   * @param writable Writable, else write-protected.
   * @param zero Make the bytes zero first.
   * @throws {TdsmError} If the range is not in the region, or the kernel fails.
   */
  install(first: number, count: number, writable: boolean, zero = false): void {
    const flags = (writable ? INSTALL_WRITABLE : 0) | (zero ? INSTALL_ZERO : 0);
    const result = this.#symbols.tdsm_install(this.handle, first, count, flags);
    if (result < 0) this.#fail("install", first, count, result);
  }

  /**
   * Makes pages read-only. When it returns no write is under way, so the alias's bytes are final.
   *
   * @param first The first page.
   * @param count How many pages.
   * @throws {TdsmError} If the range is not in the region, or the kernel fails.
   */
  protect(first: number, count: number): void {
    const result = this.#symbols.tdsm_protect(this.handle, first, count);
    if (result < 0) this.#fail("protect", first, count, result);
  }

  /**
   * Makes pages that have entries writable, and wakes the threads that wait for them.
   *
   * @param first The first page.
   * @param count How many pages.
   * @throws {TdsmError} If the range is not in the region, or the kernel fails.
   */
  unprotect(first: number, count: number): void {
    const result = this.#symbols.tdsm_unprotect(this.handle, first, count);
    if (result < 0) this.#fail("unprotect", first, count, result);
  }

  /**
   * Takes the entries away. When it returns every access faults, and the alias has the last bytes.
   *
   * @param first The first page.
   * @param count How many pages.
   * @throws {TdsmError} If the range is not in the region, or the kernel fails.
   */
  evict(first: number, count: number): void {
    const result = this.#symbols.tdsm_evict(this.handle, first, count);
    if (result < 0) this.#fail("evict", first, count, result);
  }

  /**
   * Evicts pages and gives their memory back; they are zero when installed again.
   *
   * @param first The first page.
   * @param count How many pages.
   * @throws {TdsmError} If the range is not in the region, or the kernel fails.
   */
  release(first: number, count: number): void {
    const result = this.#symbols.tdsm_release(this.handle, first, count);
    if (result < 0) this.#fail("release", first, count, result);
  }

  /**
   * Gives pages memory where they have none, so that their bytes can be written to the alias.
   *
   * @param first The first page.
   * @param count How many pages.
   * @throws {TdsmError} `MemoryExhausted` if there is none left, or that the range is not in the
   * region.
   */
  populate(first: number, count: number): void {
    const result = this.#symbols.tdsm_populate(this.handle, first, count);
    if (result < 0) this.#fail("find memory for", first, count, result);
  }

  /**
   * How much memory the region's pages take.
   *
   * @returns Bytes.
   * @throws {TdsmError} If the region is closed.
   */
  memoryBytes(): number {
    const result = Number(this.#symbols.tdsm_memory_bytes(this.handle));
    if (result >= 0) return result;
    throw statusError("count the region's memory", result, this.#symbols.tdsm_last_errno());
  }

  /**
   * Lets every thread that stands in a fault try its access again; where that faults, the fault can
   * be read once more.
   *
   * @throws {TdsmError} If the region is closed, or the kernel fails.
   */
  wake(): void {
    const result = this.#symbols.tdsm_wake(this.handle);
    if (result < 0) throw statusError("wake threads", result, this.#symbols.tdsm_last_errno());
  }

  /**
   * Reads faults that wait to be served, without blocking.
   *
   * @param out Filled with records of {@linkcode FAULT_WORDS} words each.
   * @returns How many records were written.
   * @throws {TdsmError} If the region is closed, or the kernel fails.
   */
  readFaults(out: Uint32Array<ArrayBuffer>): number {
    const capacity = (out.length / FAULT_WORDS) | 0;
    const result = this.#symbols.tdsm_faults_read(this.handle, out, capacity);
    if (result < 0) throw statusError("read faults", result, this.#symbols.tdsm_last_errno());
    return result;
  }

  /**
   * Whether every thread that was woken when a page was installed has run since, and so has done
   * its access or is about to. Meaningless unless {@linkcode countsRuns}.
   *
   * @param page The page.
   * @returns `true` also if no thread is known to have waited.
   * @throws {TdsmError} If the region is closed.
   */
  resumed(page: number): boolean {
    const result = this.#symbols.tdsm_resumed(this.handle, page);
    if (result < 0) throw statusError("look for resumed threads", result, 0);
    return result === 1;
  }

  /** Lets another thread have this core, if one waits for it. */
  yield(): void {
    this.#symbols.tdsm_yield();
  }

  /**
   * Sleeps until faults can be read, {@linkcode kick} is called, or the time is over. The sleep
   * occupies a thread of Deno's pool, not this thread.
   *
   * @param timeoutUs The longest wait in microseconds; negative waits without end.
   * @returns Bits of `WAIT_FAULTS`, `WAIT_KICKED`, `WAIT_CLOSING`; 0 after the time, or a signal.
   * @throws {TdsmError} `NodeClosed` if the region is closed already.
   */
  async wait(timeoutUs: number): Promise<number> {
    const result = await this.#symbols.tdsm_wait(this.handle, BigInt(Math.round(timeoutUs)));
    // The errno is lost: it is the waiting thread's.
    if (result < 0) throw statusError("wait for faults", result, 0);
    return result;
  }

  /**
   * Ends one {@linkcode wait} on any thread, or the next one.
   *
   * @throws {TdsmError} `NodeClosed` if the region is closed.
   */
  kick(): void {
    const result = this.#symbols.tdsm_kick(this.handle);
    if (result < 0) throw statusError("kick the region", result, 0);
  }

  /**
   * Maps part of the region at one more address. Pages that are valid in other windows are absent
   * in this one until they fault (with `FAULT_MINOR`), and the engine installs them again.
   *
   * @param regionByte The first byte of the part, a multiple of the kernel's page size.
   * @param length Bytes, a multiple of the kernel's page size.
   * @param address The address, where any other mapping is replaced. Default: chosen by the kernel.
   * @returns The address.
   * @throws {TdsmError} `InvalidOption` for a range outside the region or over another window,
   * `LimitExceeded` if the region has its most windows, `SystemCallFailed`.
   */
  addWindow(regionByte: number, length: number, address = 0n): bigint {
    const out = new BigUint64Array(1);
    const result = this.#symbols.tdsm_window_add(
      this.handle,
      address,
      toUnsigned("first byte", regionByte),
      toUnsigned("length", length),
      out,
    );
    if (result < 0) throw statusError("add a window", result, this.#symbols.tdsm_last_errno());
    return out[0] ?? 0n;
  }

  /**
   * Removes a window. Blank memory of the process takes its place.
   *
   * @param address What {@linkcode addWindow} answered.
   * @throws {TdsmError} `InvalidOption` if no added window starts there.
   */
  removeWindow(address: bigint): void {
    const result = this.#symbols.tdsm_window_remove(this.handle, address);
    if (result < 0) throw statusError("remove a window", result, this.#symbols.tdsm_last_errno());
  }

  /**
   * Takes every page from every window, for good. The next access by any thread ends the process,
   * even if no engine runs any more, and even if the region is closed. Only the first fence counts.
   *
   * @param message What the process then writes to stderr, with its line end; what is beyond
   * `FENCE_MESSAGE_MAX_BYTES` is cut off.
   * @param status The process's exit status.
   * @param graceMs How long the process goes on after the access, in milliseconds, so that the
   * program can end it in a way of its own.
   * @throws {TdsmError} If the kernel fails: then windows may still show pages, and the caller has
   * to end the process.
   */
  fence(message: string, status: number, graceMs: number): void {
    const { bytes, length } = fenceMessage(message);
    const result = this.#symbols.tdsm_fence(this.handle, bytes, length, status, graceMs);
    if (result < 0) throw statusError("fence the region", result, this.#symbols.tdsm_last_errno());
  }

  /**
   * Whether this thread is to say why the node cannot go on, and then calls
   * {@linkcode endTelling}: of all threads that would, and of what ends the process behind a fence,
   * one does. While another one is about to say so, this thread waits for that.
   *
   * @param timeoutMs The longest that it waits, in milliseconds; then it is to say so itself.
   * @returns `false` where that is said already. A region that is closed knows nothing of it.
   */
  beginTelling(timeoutMs: number): boolean {
    return this.#symbols.tdsm_tell_begin(this.handle, timeoutMs) !== 0;
  }

  /** This thread has said why the node cannot go on. */
  endTelling(): void {
    this.#symbols.tdsm_tell_end(this.handle);
  }

  /**
   * From here on the library says on stderr when the engine's thread has not come back to its
   * sleep, `Poller.wait`, for so long, though it is woken: nothing else may be able to.
   *
   * @param message What it says, with the end of the line.
   * @param silentMs For how long, in milliseconds, by a clock that stands still while the machine
   * is suspended. Behind a stop of the process the time begins anew.
   * @throws {TdsmError} If the region is watched already, or the kernel gives no thread.
   */
  watchEngine(message: string, silentMs: number): void {
    const { bytes, length } = fenceMessage(message);
    const result = this.#symbols.tdsm_engine_watch(this.handle, bytes, length, silentMs);
    if (result < 0) throw statusError("watch the engine", result, this.#symbols.tdsm_last_errno());
  }

  /**
   * From here on a thread that ends the process by `exit`, as `Deno.exit` does, first kicks the
   * region and waits for {@linkcode releaseExit}. To be called by the thread that serves the
   * region.
   *
   * @param timeoutMs The longest that it waits, in milliseconds.
   * @throws {TdsmError} If the region is closed.
   */
  watchExit(timeoutMs: number): void {
    const out = new BigUint64Array(1);
    const result = this.#symbols.tdsm_exit_watch(this.handle, timeoutMs, out);
    if (result < 0) throw statusError("watch for the end of the process", result, 0);
    this.#exit = new Int32Array(viewMemory(out[0]!, 4).buffer);
  }

  /** Whether a thread ends the process, and waits for {@linkcode releaseExit}. */
  get isExiting(): boolean {
    return this.#exit !== undefined && Atomics.load(this.#exit, 0) === EXIT_BEGUN;
  }

  /** The process need not wait for this region when it ends. */
  releaseExit(): void {
    this.#symbols.tdsm_exit_release(this.handle);
  }

  /**
   * Begins the lease of the region. Where nothing extends it the library fences the region at its
   * end, whatever else runs or is stopped, and kicks {@linkcode wait}; the engine is to call
   * {@linkcode fence} then, whose end counts.
   *
   * @param untilMs When it ends, by {@linkcode boottimeMs}.
   * @param end What {@linkcode fence} is given, for where the engine does not call it.
   * @param unattendedMs How long after the end the process goes on without an access, in
   * milliseconds, if the engine does not call `fence`; negative for ever.
   * @throws {TdsmError} If the region has a lease or is fenced, or if the kernel gives no thread or
   * timer.
   */
  beginLease(untilMs: number, end: FenceEnd, unattendedMs: number): void {
    const { message, status, graceMs } = end;
    const { bytes, length } = fenceMessage(message);
    const symbols = this.#symbols;
    const result = symbols.tdsm_lease_begin(
      this.handle,
      untilMs,
      bytes,
      length,
      status,
      graceMs,
      unattendedMs,
    );
    if (result < 0) throw statusError("begin the lease", result, symbols.tdsm_last_errno());
  }

  /**
   * Puts off the end of the lease.
   *
   * @param untilMs The new end, by {@linkcode boottimeMs}; `Infinity` where the region needs no
   * lease any more.
   * @returns `false` where that is too late: the region is fenced.
   */
  extendLease(untilMs: number): boolean {
    const result = this.#symbols.tdsm_lease_extend(this.handle, untilMs);
    if (result === -STATUSES.fenced) return false;
    if (result < 0) throw statusError("extend the lease", result, 0);
    return true;
  }

  /**
   * Closes the region if this thread opened it: ends all waits, and gives its memory back. Where
   * windows were there is blank memory of the process from then on; those of a fenced region stay
   * closed.
   */
  [Symbol.dispose](): void {
    if (this.#closed) return;
    this.#closed = true;
    if (!this.#owner) return;
    const result = this.#symbols.tdsm_close(this.handle);
    if (result < 0) throw statusError("close the region", result, 0);
  }

  #fail(operation: string, first: number, count: number, result: number): never {
    const errno = this.#symbols.tdsm_last_errno();
    throw statusError(`${operation} ${count} pages from page ${first}`, result, errno);
  }
}

/** The message of a fence, in UTF-8, cut off where it is too long. */
function fenceMessage(message: string): { bytes: Uint8Array<ArrayBuffer>; length: bigint } {
  const bytes = new Uint8Array(FENCE_MESSAGE_MAX_BYTES);
  const { written } = new TextEncoder().encodeInto(message, bytes);
  return { bytes, length: BigInt(written) };
}

/**
 * Ends the process with a message on stderr, even while other threads hold stderr's lock or fault.
 *
 * @param library The library.
 * @param message What to write; a line end is not added.
 * @param status The exit status.
 * @param timeoutMs The longest that the end waits for the message to be written, in milliseconds.
 */
export function die(
  library: TdsmLibrary,
  message: string,
  status: number,
  timeoutMs: number,
): never {
  const bytes = new TextEncoder().encode(message);
  library.symbols.tdsm_die(bytes, BigInt(bytes.length), status, timeoutMs);
  throw new Error("tdsm_die returned");
}

/**
 * Reads a clock that does not go back, and goes on while the machine is suspended.
 *
 * @param library The library.
 * @returns The time since the machine was started, in milliseconds.
 */
export function boottimeMs(library: TdsmLibrary): number {
  return library.symbols.tdsm_boottime_ms();
}

/**
 * Names the calling thread.
 *
 * @param library The library.
 * @returns A number of 64 bits that no other thread of the process has, now or later; never 0.
 */
export function currentThread(library: TdsmLibrary): bigint {
  return library.symbols.tdsm_thread();
}

/**
 * Whether a thread of this process has ended.
 *
 * @param library The library.
 * @param thread What {@linkcode currentThread} returned there.
 * @returns `false` also where the kernel does not say.
 */
export function hasThreadEnded(library: TdsmLibrary, thread: bigint): boolean {
  return library.symbols.tdsm_thread_ended(thread) === 1;
}

/**
 * Sets an environment variable of the process, as native code and Deno's own runtime see it.
 *
 * @param library The library.
 * @param name Its name.
 * @param value Its value.
 * @throws {TdsmError} `InvalidOption` if the name is empty or has a `=` in it.
 */
export function setEnvironment(library: TdsmLibrary, name: string, value: string): void {
  const result = library.symbols.tdsm_setenv(cString(name), cString(value));
  if (result < 0) throw statusError(`set ${name} in the environment`, result, 0);
}

/**
 * Finds the `.rdma` section of `libtdsm.so` itself.
 *
 * @param library The library.
 * @returns Its addresses and size.
 */
export function rdmaSection(library: TdsmLibrary): RdmaSection {
  const info = new DataView(new ArrayBuffer(RDMA_SECTION_INFO.size));
  const result = library.symbols.tdsm_rdma_section(info.buffer);
  if (result < 0) throw statusError("read the .rdma section", result, 0);
  const { fields } = RDMA_SECTION_INFO;
  return {
    start: info.getBigUint64(fields.start.offset, LITTLE_ENDIAN),
    end: info.getBigUint64(fields.end.offset, LITTLE_ENDIAN),
    size: Number(info.getBigUint64(fields.size.offset, LITTLE_ENDIAN)),
  };
}

function toUnsigned(name: string, value: number): bigint {
  if (Number.isSafeInteger(value) && value >= 0) return BigInt(value);
  throw new TdsmError(
    "InvalidOption",
    `Cannot use ${value} as ${name}: a whole number of bytes is needed`,
  );
}
