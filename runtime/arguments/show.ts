/** Values that a program has given, as messages repeat them. */

/** The longest text that a message repeats, in UTF-16 code units. */
const SHOWN_MAX = 64;

/**
 * Writes a value for a message.
 *
 * @param value The value, of any type.
 * @returns The value as a program would write it, or its kind where it has no short form.
 */
export function show(value: unknown): string {
  switch (typeof value) {
    case "string":
      if (value.length <= SHOWN_MAX) return JSON.stringify(value);
      return `${JSON.stringify(value.slice(0, SHOWN_MAX))}… of ${value.length} characters`;
    case "bigint":
      return `${value}n`;
    case "function":
      return "a function";
    case "object":
      if (value === null) return "null";
      return Array.isArray(value) ? "an array" : "an object";
    default:
      return String(value);
  }
}
