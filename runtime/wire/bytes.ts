/**
 * Unsigned little-endian numbers in a byte array. Access by bytes is as fast as a `DataView`, which
 * would have to be made, or kept, for each buffer. The caller has checked that there is room.
 */

/** Writes the low 16 bits of a number. */
export function putU16(target: Uint8Array, offset: number, value: number): void {
  target[offset] = value;
  target[offset + 1] = value >>> 8;
}

/** Writes the low 32 bits of a number. */
export function putU32(target: Uint8Array, offset: number, value: number): void {
  target[offset] = value;
  target[offset + 1] = value >>> 8;
  target[offset + 2] = value >>> 16;
  target[offset + 3] = value >>> 24;
}

/** Reads 16 bits. */
export function getU16(bytes: Uint8Array, offset: number): number {
  return bytes[offset]! | (bytes[offset + 1]! << 8);
}

/** Reads 32 bits. */
export function getU32(bytes: Uint8Array, offset: number): number {
  // One expression: where V8 has not compiled the code yet, each call takes longer than the bytes.
  return (bytes[offset]! | bytes[offset + 1]! << 8 | bytes[offset + 2]! << 16 |
    bytes[offset + 3]! << 24) >>> 0;
}
