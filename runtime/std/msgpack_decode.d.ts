/** Types for `@std/msgpack/decode`; its npm package carries none. */
import type { ValueType } from "./msgpack_encode.d.ts";

/**
 * Decodes one value of MessagePack.
 *
 * @param data Its bytes, and nothing after them.
 * @returns The value.
 * @throws {EvalError} Where the bytes are not one whole value of MessagePack.
 */
export function decode(data: Uint8Array): ValueType;
