/** Numbers as the page of the dashboard shows them. */

const UNITS = ["", "k", "M", "G", "T"];
const DURATION_UNITS = ["µs", "ms", "s"];
const BYTE_UNITS = ["B", "KiB", "MiB", "GiB", "TiB"];

/**
 * A number in at most three digits.
 *
 * @param value The number, not negative.
 * @returns Such as `0.4`, `17` or `2.3k`.
 */
export function formatCount(value: number): string {
  return scale(value, 1000, UNITS, "");
}

/**
 * A size in at most three digits.
 *
 * @param bytes The size, in bytes.
 * @returns Such as `17 B` or `2.3 MiB`.
 */
export function formatBytes(bytes: number): string {
  return scale(bytes, 1024, BYTE_UNITS, " ");
}

/**
 * A duration in at most three digits.
 *
 * @param us The duration, in microseconds.
 * @returns Such as `17 µs` or `2.3 ms`.
 */
export function formatDuration(us: number): string {
  return scale(us, 1000, DURATION_UNITS, " ");
}

/**
 * A range of pages.
 *
 * @param first The first page.
 * @param count How many.
 * @returns Such as `page 7` or `pages 7–9`.
 */
export function formatPages(first: number, count: number): string {
  return count === 1 ? `page ${first}` : `pages ${first}–${first + count - 1}`;
}

function scale(value: number, step: number, units: readonly string[], gap: string): string {
  let unit = 0;
  while (value >= 0.9995 * step && unit < units.length - 1) {
    value /= step;
    unit++;
  }
  const digits = value < 0.05 || value >= 9.95 || Number.isInteger(value) ? 0 : 1;
  return `${value.toFixed(digits)}${gap}${units[unit]}`.trimEnd();
}
