/** Values as native code takes them. */

import { TdsmError } from "../runtime/errors.ts";

/**
 * A text with the zero byte that C ends texts with.
 *
 * @param text The text, without a zero byte.
 * @returns Its bytes in UTF-8.
 * @throws {TdsmError} `InvalidOption` if it has a zero byte in it.
 */
export function cString(text: string): Uint8Array<ArrayBuffer> {
  if (text.includes("\0")) {
    throw new TdsmError("InvalidOption", "Cannot pass text to native code: it has a zero byte");
  }
  return new TextEncoder().encode(`${text}\0`);
}
