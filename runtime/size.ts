/**
 * Sizes in bytes as people write them: `64MiB`. Only binary units are read, because a page,
 * and so a region, is a multiple of a power of two.
 */

const UNITS = ["B", "KiB", "MiB", "GiB", "TiB"] as const;
const SIZE_PATTERN = /^(\d+)\s*([A-Za-z]*)$/;
const DECIMAL_UNIT_PATTERN = /^([KMGT])i?B?$/i;

/**
 * Reads a size such as `64MiB`, `4096` or `1 GiB`.
 *
 * @param text A whole number, alone (bytes) or with one of the units B, KiB, MiB, GiB, TiB.
 * @returns The size in bytes.
 * @throws {RangeError} If `text` is no such size; the message says what to write.
 */
export function parseSize(text: string): number {
  const match = SIZE_PATTERN.exec(text.trim());
  if (match === null) {
    throw new RangeError("must be a whole number of bytes, or one with a unit, such as 64MiB");
  }
  const [, digits, unit] = match;
  const power = unit === "" ? 0 : UNITS.findIndex((known) => known === unit);
  if (power === -1) {
    const letter = DECIMAL_UNIT_PATTERN.exec(unit!)?.[1]?.toUpperCase();
    const hint = letter === undefined ? "" : `; write ${digits}${letter}iB`;
    throw new RangeError(`must be in B, KiB, MiB, GiB or TiB, not in ${unit}${hint}`);
  }
  const size = Number(digits) * 1024 ** power;
  if (!Number.isSafeInteger(size)) throw new RangeError("must be less than 2^53 bytes");
  return size;
}

/**
 * Writes a size with the largest unit that leaves a whole number, so that {@linkcode parseSize}
 * reads the same.
 *
 * @param bytes The size in bytes, a whole number.
 * @returns Text such as `64MiB` or `4097B`.
 */
export function formatSize(bytes: number): string {
  let value = bytes;
  let power = 0;
  while (value >= 1024 && value % 1024 === 0 && power < UNITS.length - 1) {
    value /= 1024;
    power += 1;
  }
  return `${value}${UNITS[power]}`;
}

/**
 * Writes a size exactly where that is short, else about how large it is.
 *
 * @param bytes The size in bytes, a whole number.
 * @returns Text such as `65540KiB` or, in place of `7812500KiB`, `7.5GiB`.
 */
export function readableSize(bytes: number): string {
  const exact = formatSize(bytes);
  return /^\d{1,5}\D/.test(exact) ? exact : roughSize(bytes);
}

/**
 * Writes about how large a size is, for people who compare it with others.
 *
 * @param bytes The size in bytes, a whole number.
 * @returns Text such as `64MiB`, `1.4GiB`, `640MiB` or `12B`.
 */
export function roughSize(bytes: number): string {
  let value = bytes;
  let power = 0;
  while (value >= 1024 && power < UNITS.length - 1) {
    value /= 1024;
    power += 1;
  }
  if (Number.isInteger(value)) return formatSize(bytes);
  return `${value < 100 ? value.toFixed(1) : value.toFixed(0)}${UNITS[power]}`;
}
