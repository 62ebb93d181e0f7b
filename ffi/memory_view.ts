/** Bytes over memory that JavaScript did not allocate. */

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
