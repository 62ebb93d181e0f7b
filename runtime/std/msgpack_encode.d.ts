/** Types for `@std/msgpack/encode`; its npm package carries none. */

/** What MessagePack can carry, as `@std/msgpack` encodes it. */
export type ValueType =
  | number
  | bigint
  | string
  | boolean
  | null
  | Uint8Array
  | readonly ValueType[]
  | ValueMap;

/** A map of MessagePack, as an object. */
export interface ValueMap {
  [key: string]: ValueType;
}

/**
 * Encodes a value as MessagePack.
 *
 * @param object The value.
 * @returns Its bytes.
 * @throws {Error} Where the value is of a type, or a bigint of a size, that MessagePack does not
 *   have.
 */
export function encode(object: ValueType): Uint8Array<ArrayBuffer>;
