/**
 * The buffer that is the region for programs that want shared memory: a growable SharedArrayBuffer,
 * whose addresses V8 reserves to its full length when it is made. The region's window is mapped
 * over them before the buffer grows to that length, so its bytes are the region's.
 */

import type { TdsmLibrary } from "../../ffi/library.ts";
import { NativeRegion } from "../../ffi/native.ts";
import { TdsmError } from "../errors.ts";
import { PAGE_SIZE_MIN_BYTES } from "../limits.ts";

/** A region, and the buffer over it. */
export interface SharedRegion {
  readonly region: NativeRegion;
  /** The buffer; or why there is none, in words. */
  readonly shared: SharedArrayBuffer | string;
}

/** A buffer at whose addresses a region can be. */
export interface ReservedBuffer {
  readonly buffer: SharedArrayBuffer;
  /** Its first byte. */
  readonly address: bigint;
}

/** What makes the buffer; tests have other ways. */
export type MakeShared = (bytes: number, options: { maxByteLength: number }) => SharedArrayBuffer;

/** The bytes with which the buffer begins: the least of which the address can be told. */
const FIRST_BYTES = 1;
/** Windows begin at a multiple of this, as pages do in the kernel. */
const ADDRESS_UNIT = BigInt(PAGE_SIZE_MIN_BYTES);

/**
 * Opens a region at the addresses of a buffer or, where this Deno lays buffers out otherwise,
 * without one.
 *
 * @param library The library.
 * @param options Size and page size of the region, in bytes.
 * @param make Makes a buffer.
 * @returns The region, and the buffer.
 * @throws {TdsmError} As `NativeRegion.open`.
 */
export function openSharedRegion(
  library: TdsmLibrary,
  options: { readonly size: number; readonly pageSize: number },
  make?: MakeShared,
): SharedRegion {
  const reserved = reserveBuffer(options.size, make);
  if (typeof reserved === "string") {
    return { region: NativeRegion.open(library, options), shared: reserved };
  }
  const { buffer, address: windowAddress } = reserved;
  let region: NativeRegion;
  try {
    region = NativeRegion.open(library, { ...options, windowAddress });
  } catch (error) {
    if (!(error instanceof TdsmError) || error.code !== "InvalidOption") throw error;
    // Wrong options are wrong here, too.
    region = NativeRegion.open(library, options);
    return { region, shared: "its buffers do not reserve the addresses that they may grow to" };
  }
  keepForever(buffer);
  return { region, shared: growBuffer(reserved, options.size) ?? buffer };
}

/**
 * Reserves addresses for a region, which belong to a buffer for as long as the process.
 *
 * @param size The region's size, in bytes.
 * @param make Makes a buffer.
 * @returns The buffer; or why this Deno has none that can be used, in words.
 */
export function reserveBuffer(
  size: number,
  make: MakeShared = (bytes, options) => new SharedArrayBuffer(bytes, options),
): ReservedBuffer | string {
  try {
    const buffer = make(FIRST_BYTES, { maxByteLength: size });
    // Others have addresses of which some are not theirs: the region must not be mapped over them.
    if (buffer.maxByteLength !== size || !buffer.growable) {
      return `its buffers do not grow to ${size} bytes`;
    }
    const address = addressOf(buffer, 0);
    if (address % ADDRESS_UNIT !== 0n) return `its buffers begin at addresses such as ${address}`;
    return { buffer, address };
  } catch (cause) {
    return `it makes no growable buffer of ${size} bytes: ${(cause as Error).message}`;
  }
}

/**
 * The region lies at the buffer's addresses: the buffer shows all of it from here on.
 *
 * @param reserved The buffer.
 * @param size The region's size, in bytes.
 * @returns `undefined`; or why the buffer is of no use, in words.
 */
export function growBuffer({ buffer, address }: ReservedBuffer, size: number): string | undefined {
  try {
    buffer.grow(size);
    const last = BigInt(size - 1);
    const [first, end] = [addressOf(buffer, 0), addressOf(buffer, size - 1)];
    return first === address && end === address + last
      ? undefined
      : "its buffers move when they grow";
  } catch (cause) {
    return `its buffers do not grow: ${(cause as Error).message}`;
  }
}

/**
 * Keeps V8 from ever giving a buffer's addresses back: native code, and views that know nothing but
 * the address, may still use them when no thread has the buffer any more.
 *
 * @param buffer The buffer.
 */
export function keepForever(buffer: SharedArrayBuffer): void {
  // A message that nobody takes is kept by the process, and so is what it shares. Closed, or read,
  // the channel would give it back.
  new MessageChannel().port1.postMessage(buffer);
}

function addressOf(buffer: SharedArrayBuffer, byte: number): bigint {
  const view = new Uint8Array(buffer, byte, 1);
  // The types know no shared memory, of which the address can be told all the same.
  return BigInt(Deno.UnsafePointer.value(Deno.UnsafePointer.of(view as never)));
}
