/** A key as text, and what a setting of a key may be. */

import { KEY_BYTES } from "../limits.ts";

/** A key, or the file that has it. */
export type KeySource = Uint8Array | { readonly file: string };

/**
 * Reads a key.
 *
 * @param text The key in base64; spaces and line ends around it do not count.
 * @returns Its bytes.
 * @throws {RangeError} If `text` is no key; the message says what is, and has nothing of `text`.
 */
export function keyOf(text: string): Uint8Array {
  try {
    return checkedKey(Uint8Array.fromBase64(text.trim(), { lastChunkHandling: "strict" }));
  } catch {
    throw new RangeError(`must be ${KEY_BYTES} bytes in base64, as --new-key prints them`);
  }
}

/**
 * Checks a key that a program gives.
 *
 * @param value The bytes, or text as of {@linkcode keyOf}.
 * @returns A copy of the bytes.
 * @throws {RangeError} If it is no key.
 */
export function keyOption(value: unknown): Uint8Array {
  if (typeof value === "string") return keyOf(value);
  if (value instanceof Uint8Array) return checkedKey(value);
  throw new RangeError(KEY_RULE);
}

const KEY_RULE = `must be a Uint8Array of ${KEY_BYTES} bytes, or text as --new-key prints it`;

function checkedKey(bytes: Uint8Array): Uint8Array {
  if (bytes.length === KEY_BYTES) return bytes.slice();
  throw new RangeError(KEY_RULE);
}
