/** Values as native code takes them. */

import { TdsmError } from "../runtime/errors.ts";

/** The order of bytes in the library's structures: that of every machine that it is built for. */
export const LITTLE_ENDIAN = true;

/**
 * Encodes a text as a C string.
 *
 * @param text The text, without a zero byte.
 * @returns Its bytes in UTF-8, with a zero byte at the end.
 * @throws {TdsmError} `InvalidOption` if it has a zero byte in it.
 */
export function cString(text: string): Uint8Array<ArrayBuffer> {
  if (text.includes("\0")) {
    throw new TdsmError("InvalidOption", "Cannot pass text to native code: it has a zero byte");
  }
  return new TextEncoder().encode(`${text}\0`);
}

/**
 * Looks at `length` bytes from `address` as an array. Nothing is copied and nothing is kept alive:
 * the array must not be touched once the memory is unmapped.
 *
 * @param address Address of the first byte, not 0.
 * @param length Bytes, up to 1 TiB.
 * @returns The bytes, of which typed arrays and `DataView`s can be made by `.buffer`.
 * @throws {RangeError} If `address` is 0.
 */
export function viewMemory(address: bigint, length: number): Uint8Array<ArrayBuffer> {
  const pointer = Deno.UnsafePointer.create(address);
  if (pointer === null) throw new RangeError("Cannot view memory: the address is 0");
  return new Uint8Array(Deno.UnsafePointerView.getArrayBuffer(pointer, length));
}
