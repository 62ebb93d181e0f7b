/**
 * CRC-32C (Castagnoli), which guards frames. TCP's own checksum has only 16 bits, and does not
 * cover bytes that a middlebox or a machine's memory changes.
 *
 * This code is for the few bytes of a frame; the library (`tdsm_crc32c`) computes the checksums of
 * pages.
 */

/** The polynomial, lowest power last. */
const POLYNOMIAL = 0x82f63b78;

/** `TABLES[256 * n + byte]`: what a byte becomes when n more bytes follow it. */
const TABLES = makeTables();

function makeTables(): Int32Array {
  const tables = new Int32Array(8 * 256);
  for (let byte = 0; byte < 256; byte++) {
    let crc = byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? POLYNOMIAL : 0);
    tables[byte] = crc;
  }
  for (let at = 256; at < tables.length; at++) {
    const before = tables[at - 256]!;
    tables[at] = (before >>> 8) ^ tables[before & 0xff]!;
  }
  return tables;
}

/**
 * Computes the checksum of bytes.
 *
 * @param bytes Where they are.
 * @param start The first of them.
 * @param end Behind the last.
 * @returns The checksum, in 32 bits.
 */
export function crc32c(bytes: Uint8Array, start: number = 0, end: number = bytes.length): number {
  let crc = -1;
  let at = start;
  for (; at + 8 <= end; at += 8) {
    crc = TABLES[0x700 + ((crc ^ bytes[at]!) & 0xff)]! ^
      TABLES[0x600 + (((crc >>> 8) ^ bytes[at + 1]!) & 0xff)]! ^
      TABLES[0x500 + (((crc >>> 16) ^ bytes[at + 2]!) & 0xff)]! ^
      TABLES[0x400 + ((crc >>> 24) ^ bytes[at + 3]!)]! ^
      TABLES[0x300 + bytes[at + 4]!]! ^
      TABLES[0x200 + bytes[at + 5]!]! ^
      TABLES[0x100 + bytes[at + 6]!]! ^
      TABLES[bytes[at + 7]!]!;
  }
  for (; at < end; at++) crc = (crc >>> 8) ^ TABLES[(crc ^ bytes[at]!) & 0xff]!;
  return ~crc >>> 0;
}
