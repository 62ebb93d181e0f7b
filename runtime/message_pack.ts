/**
 * Writes MessagePack. The encoder of Deno's std makes an array for each number and each key of what
 * it writes; this one writes into one buffer, ten times as fast, and the same bytes.
 */

import { ENCODE_BUFFER_BYTES, ENCODE_BUFFER_MAX_BYTES } from "./limits.ts";

/** What MessagePack can carry. */
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
 * The first byte of a value. Where an integer or a length follows, it is for one of 8 bits; the
 * next two bytes are for 16 and for 32.
 */
const Format = {
  Null: 0xc0,
  False: 0xc2,
  True: 0xc3,
  Binary: 0xc4,
  Float64: 0xcb,
  Unsigned: 0xcc,
  Unsigned64: 0xcf,
  Signed: 0xd0,
  Signed64: 0xd3,
  String: 0xd9,
  /** There is none for 8 bits: short ones have their length in the first byte. */
  Array: 0xdb,
  Map: 0xdd,
} as const;
/** The first byte of short values, without their length. */
const Short = { Map: 0x80, Array: 0x90, String: 0xa0 } as const;

/** The lengths that are in the first byte. */
const ELEMENTS_SHORT = 0x10;
const STRING_SHORT = 0x20;
/** The longest string whose letters are written one by one, if they are of ASCII. */
const ASCII_MAX = 64;

const encoder = new TextEncoder();
/** The buffer of the next value; `undefined` while one is encoded. */
let spare: Uint8Array<ArrayBuffer> | undefined;

/**
 * Encodes a value as MessagePack.
 *
 * @param value The value.
 * @returns Its bytes.
 * @throws {RangeError} Where a bigint has more than 64 bits.
 * @throws {TypeError} Where a value is of a type that MessagePack does not have.
 */
export function encode(value: ValueType): Uint8Array<ArrayBuffer> {
  const writer = new Writer(spare ?? new Uint8Array(ENCODE_BUFFER_BYTES));
  // A getter of the value may encode another one.
  spare = undefined;
  writer.value(value);
  if (writer.buffer.length <= ENCODE_BUFFER_MAX_BYTES) spare = writer.buffer;
  return writer.buffer.slice(0, writer.end);
}

/** Writes values one behind the other. */
class Writer {
  buffer: Uint8Array<ArrayBuffer>;
  /** Where the next byte goes. */
  end = 0;
  #view: DataView<ArrayBuffer>;

  constructor(buffer: Uint8Array<ArrayBuffer>) {
    this.buffer = buffer;
    this.#view = new DataView(buffer.buffer);
  }

  value(value: ValueType): void {
    switch (typeof value) {
      case "number":
        return this.#number(value);
      case "string":
        return this.#string(value);
      case "boolean":
        return this.#byte(value ? Format.True : Format.False);
      case "bigint":
        return this.#bigint(value);
      case "object":
        return this.#object(value);
      default:
        throw new TypeError(`Cannot encode a value of type ${typeof value}`);
    }
  }

  #object(value: Exclude<ValueType, number | string | boolean | bigint>): void {
    if (value === null) return this.#byte(Format.Null);
    if (value instanceof Uint8Array) {
      this.#length(value.length, Format.Binary);
      return this.#bytes(value);
    }
    if (isArray(value)) {
      this.#elements(value.length, Short.Array, Format.Array);
      for (const element of value) this.value(element);
      return;
    }
    const prototype = Object.getPrototypeOf(value);
    if (prototype !== null && prototype !== Object.prototype) {
      throw new TypeError("Cannot encode an object of a class");
    }
    const entries = Object.entries(value);
    this.#elements(entries.length, Short.Map, Format.Map);
    for (const [key, element] of entries) {
      this.#string(key);
      this.value(element);
    }
  }

  #number(value: number): void {
    const isUnsigned = value >= 0;
    if (!Number.isInteger(value) || value >= 2 ** 32 || value < -(2 ** 31)) {
      const at = this.#take(9);
      this.buffer[at] = Format.Float64;
      this.#view.setFloat64(at + 1, value);
    } else if (value < 0x80 && value >= -0x20) this.#byte(value);
    else {
      // One of the bits of a negative number is its sign.
      const magnitude = isUnsigned ? value : 2 * (-value - 1);
      const format = isUnsigned ? Format.Unsigned : Format.Signed;
      this.#integer(value, format, bytesOf(magnitude));
    }
  }

  #bigint(value: bigint): void {
    if (BigInt.asIntN(64, value) !== value && BigInt.asUintN(64, value) !== value) {
      throw new RangeError("Cannot encode a bigint of more than 64 bits");
    }
    const at = this.#take(9);
    this.buffer[at] = value < 0 ? Format.Signed64 : Format.Unsigned64;
    this.#view.setBigUint64(at + 1, value);
  }

  #string(text: string): void {
    if (text.length <= ASCII_MAX && this.#ascii(text)) return;
    const bytes = encoder.encode(text);
    this.#stringLength(bytes.length);
    this.#bytes(bytes);
  }

  /** Writes a short string, if it is of ASCII; otherwise nothing. */
  #ascii(text: string): boolean {
    const { length } = text;
    const before = this.end;
    this.#stringLength(length);
    const at = this.#take(length);
    for (let index = 0; index < length; index++) {
      const letter = text.charCodeAt(index);
      if (letter >= 0x80) {
        this.end = before;
        return false;
      }
      this.buffer[at + index] = letter;
    }
    return true;
  }

  #stringLength(length: number): void {
    if (length < STRING_SHORT) this.#byte(Short.String | length);
    else this.#length(length, Format.String);
  }

  /** The length of an array or a map. */
  #elements(length: number, short: number, format: number): void {
    if (length < ELEMENTS_SHORT) this.#byte(short | length);
    else this.#integer(length, format, bytesOf(Math.max(length, 0x100)));
  }

  #length(length: number, format: number): void {
    this.#integer(length, format, bytesOf(length));
  }

  /** An integer of so many bytes, behind its format. */
  #integer(value: number, format: number, bytes: 1 | 2 | 4): void {
    const at = this.#take(1 + bytes);
    this.buffer[at] = format + (bytes >> 1);
    if (bytes === 1) this.buffer[at + 1] = value;
    else if (bytes === 2) this.#view.setUint16(at + 1, value);
    else this.#view.setUint32(at + 1, value);
  }

  #byte(value: number): void {
    const at = this.#take(1);
    this.buffer[at] = value;
  }

  #bytes(bytes: Uint8Array): void {
    const at = this.#take(bytes.length);
    this.buffer.set(bytes, at);
  }

  /** Makes room for so many bytes, maybe in another buffer; returns where they go. */
  #take(bytes: number): number {
    const at = this.end;
    this.end += bytes;
    if (this.end > this.buffer.length) {
      const larger = new Uint8Array(Math.max(2 * this.buffer.length, this.end));
      larger.set(this.buffer.subarray(0, at));
      this.buffer = larger;
      this.#view = new DataView(larger.buffer);
    }
    return at;
  }
}

/** How many bytes an unsigned integer of at most 32 bits has. */
function bytesOf(value: number): 1 | 2 | 4 {
  return value < 0x100 ? 1 : value < 0x1_0000 ? 2 : 4;
}

/** `Array.isArray` does not tell arrays that are read-only from maps. */
function isArray(value: readonly ValueType[] | ValueMap): value is readonly ValueType[] {
  return Array.isArray(value);
}
