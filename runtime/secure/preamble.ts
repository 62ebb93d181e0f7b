/**
 * The first 8 bytes of a connection, each way. They lie as those of a frame in every version do, so
 * that nodes of another version, and nodes without a key, tell each other what they are: where
 * nodes share no key a frame follows from its first byte on, and its own beginning is the preamble.
 */

import { getU16, getU32 } from "../wire/bytes.ts";
import {
  FRAME_MAGIC,
  FRAME_PREFIX_BYTES,
  HANDSHAKE_TYPE,
  Offset,
  PROTOCOL_VERSION,
  putPrefix,
} from "../wire/layout.ts";

/** The bytes of a preamble. */
export const PREAMBLE_BYTES: number = FRAME_PREFIX_BYTES;

/** What the other side of a connection is, by its preamble. */
export type Preamble =
  /** A node of this version that has a key: its message of the handshake follows. */
  | { readonly kind: "key" }
  /** A node of this version that has no key: a frame has begun. */
  | { readonly kind: "frame" }
  /** A node of another version. */
  | { readonly kind: "version"; readonly version: number }
  /** No node. */
  | { readonly kind: "stranger" };

/**
 * Makes the preamble of a node that has a key.
 *
 * @returns Its bytes.
 */
export function keyPreamble(): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(PREAMBLE_BYTES);
  putPrefix(bytes, 0, PREAMBLE_BYTES, HANDSHAKE_TYPE);
  return bytes;
}

/**
 * Reads a preamble.
 *
 * @param bytes Its {@linkcode PREAMBLE_BYTES}.
 * @returns What the other side is.
 */
export function readPreamble(bytes: Uint8Array): Preamble {
  if (getU16(bytes, Offset.Magic) !== FRAME_MAGIC) return { kind: "stranger" };
  const version = bytes[Offset.Version]!;
  if (version !== PROTOCOL_VERSION) return { kind: "version", version };
  if (bytes[Offset.Type] !== HANDSHAKE_TYPE) return { kind: "frame" };
  const isWhole = getU32(bytes, Offset.Length) === PREAMBLE_BYTES;
  return { kind: isWhole ? "key" : "stranger" };
}
