/**
 * The values of remote calls as MessagePack.
 *
 * What MessagePack lacks, or `@std/msgpack` does not keep as it is, travels as a map whose one key
 * is the empty string: `{ "": [tag, …] }`. A map of the program with such a key, or another that
 * would not arrive as it left, is itself written with a tag, so no value of the program is mistaken
 * for one.
 *
 * | tag | fields                    | value                                                      |
 * | --- | ------------------------- | ---------------------------------------------------------- |
 * | 0   |                           | `undefined`                                                |
 * | 1   |                           | `-0`, which would arrive as `0`                            |
 * | 2   | milliseconds              | a `Date`                                                   |
 * | 3   | code units, little-endian | a string with a lone surrogate, or a byte order mark first |
 * | 4   | key, value, key, value …  | a map with keys that MessagePack's maps would not keep     |
 * | 5   | type, bytes               | a typed array or `DataView`, by value                      |
 * | 6   | type, byte offset, length | a view of the region, by reference                         |
 */

import { decode } from "../std/msgpack_decode.js";
import { encode } from "../std/msgpack_encode.js";
import { TdsmError, type TdsmErrorCode } from "../errors.ts";
import { RPC_DEPTH_MAX, RPC_MAX_BYTES, U64_MAX } from "../limits.ts";
import type { ValueMap, ValueType } from "../std/msgpack_encode.d.ts";
import { decodeScalar, decodeScalars, encodeScalar, encodeScalars } from "./scalar.ts";
import type { RpcContext } from "./types.ts";

const Tag = {
  Undefined: 0,
  NegativeZero: 1,
  Date: 2,
  CodeUnits: 3,
  Entries: 4,
  Array: 5,
  Reference: 6,
} as const;

/** Knows the views of the region. */
export type RegionOffsets = Pick<RpcContext, "offsetOf">;

/** The key of a map that stands for a value which MessagePack lacks. */
const TAG_KEY = "";
const I64_MIN = -(2n ** 63n);
const BYTE_ORDER_MARK = "\ufeff";

/**
 * Encodes the arguments of a call.
 *
 * @param procedure The name of the procedure, for messages.
 * @param args The arguments.
 * @param region Says which views are of the region: those are sent by reference.
 * @returns What {@linkcode decodeArguments} decodes, at most `RPC_MAX_BYTES`.
 * @throws {TdsmError} `InvalidArgument` for what cannot be sent, `LimitExceeded` for what is too
 * long or too deep.
 */
export function encodeArguments(
  procedure: string,
  args: readonly unknown[],
  region: RegionOffsets,
): Uint8Array<ArrayBuffer> {
  return encodeScalars(args) ?? encodeWith(
    `the arguments of rpc ${procedure}`,
    (writer) =>
      args.map((argument, index) =>
        writer.writeRoot(`argument ${index} of rpc ${procedure}`, argument)
      ),
    region,
  );
}

/**
 * Encodes the result of a call.
 *
 * @param procedure The name of the procedure, for messages.
 * @param result The result.
 * @param region Says which views are of the region: those are sent by reference.
 * @returns What {@linkcode decodeResult} decodes, at most `RPC_MAX_BYTES`.
 * @throws {TdsmError} `InvalidArgument` for what cannot be sent, `LimitExceeded` for what is too
 * long or too deep.
 */
export function encodeResult(
  procedure: string,
  result: unknown,
  region: RegionOffsets,
): Uint8Array<ArrayBuffer> {
  const scalar = encodeScalar(result);
  if (scalar !== undefined) return scalar;
  const what = `the result of rpc ${procedure}`;
  return encodeWith(what, (writer) => writer.writeRoot(what, result), region);
}

/**
 * Decodes the arguments of a call.
 *
 * @param payload What {@linkcode encodeArguments} encoded; it is not referred to afterwards.
 * @param memory The buffer of the region, for views of it.
 * @returns The arguments.
 * @throws {Error} When the payload is malformed.
 */
export function decodeArguments(payload: Uint8Array, memory: ArrayBuffer): unknown[] {
  const scalars = decodeScalars(payload);
  if (scalars !== undefined) return scalars;
  const args = decode(payload);
  if (!Array.isArray(args)) throw new Error("the arguments are no list");
  return args.map((argument) => readValue(argument, memory));
}

/**
 * Decodes the result of a call.
 *
 * @param payload What {@linkcode encodeResult} encoded; it is not referred to afterwards.
 * @param memory The buffer of the region, for views of it.
 * @returns The result.
 * @throws {Error} When the payload is malformed.
 */
export function decodeResult(payload: Uint8Array, memory: ArrayBuffer): unknown {
  const scalar = decodeScalar(payload);
  return scalar === undefined ? readValue(decode(payload), memory) : scalar[0];
}

function encodeWith(
  what: string,
  write: (writer: ValueWriter) => ValueType,
  region: RegionOffsets,
): Uint8Array<ArrayBuffer> {
  const writer = new ValueWriter(what, region);
  const payload = encode(write(writer));
  if (payload.length > RPC_MAX_BYTES) throw writer.tooLong();
  return payload;
}

/** What to send instead of an instance of a class that programs often have. */
const REMEDIES: { readonly [className: string]: string } = {
  Array: "send a plain list, as [...it]",
  Map: "send its entries, as [...it]",
  Set: "send its values, as [...it]",
  ArrayBuffer: "send a view of it, such as a Uint8Array",
  SharedArrayBuffer: "send a view of it, such as a Uint8Array",
  Promise: "await it first",
  Error: "send its message",
  RegExp: "send its source",
};

/**
 * Turns values of a program into values of MessagePack. Its messages say where in a value a problem
 * is.
 */
class ValueWriter {
  readonly #what: string;
  readonly #region: RegionOffsets;
  /** The lists and maps that contain the value being written, each with its depth. */
  readonly #containers = new Map<object, number>();
  readonly #path: (string | number)[] = [];
  #root = "";
  /**
   * How many bytes may still be written. Each value counts with the least that it can take: enough
   * to stop early at a value that names one part so often that writing all of it would take for
   * ever.
   */
  #bytesLeft = RPC_MAX_BYTES;

  constructor(what: string, region: RegionOffsets) {
    this.#what = what;
    this.#region = region;
  }

  writeRoot(root: string, value: unknown): ValueType {
    this.#root = root;
    return this.#write(value);
  }

  tooLong(): TdsmError {
    const message =
      `Cannot send ${this.#what}: more than RPC_MAX_BYTES (${RPC_MAX_BYTES} bytes); ` +
      "put the data in the region and pass a view of it instead";
    return new TdsmError("LimitExceeded", message, { operation: "call" });
  }

  #write(value: unknown): ValueType {
    this.#spend(1);
    switch (typeof value) {
      case "number":
        return Object.is(value, -0) ? tagged(Tag.NegativeZero) : value;
      case "string":
        return this.#writeText(value);
      case "bigint":
        if (value < I64_MIN || value > U64_MAX) {
          throw this.#refusal("is a bigint beyond 64 bits; send it as text");
        }
        return value;
      case "boolean":
        return value;
      case "undefined":
        return tagged(Tag.Undefined);
      case "object":
        return value === null ? null : this.#writeObject(value);
      case "function":
        throw this.#refusal("is a function; make it an rpc and send its name");
      default:
        throw this.#refusal(`is a ${typeof value}; send its description`);
    }
  }

  #writeText(text: string): ValueType {
    this.#spend(text.length);
    return isPlainText(text) ? text : tagged(Tag.CodeUnits, codeUnits(text));
  }

  #writeObject(value: object): ValueType {
    if (ArrayBuffer.isView(value)) return this.#writeView(value);
    const prototype = Object.getPrototypeOf(value);
    if (prototype === Date.prototype) return tagged(Tag.Date, (value as Date).getTime());
    const isList = Array.isArray(value) && prototype === Array.prototype;
    if (!isList && prototype !== Object.prototype && prototype !== null) {
      const name = prototype.constructor?.name || "a class";
      const known = Array.isArray(value) ? "Array" : name;
      const remedy = REMEDIES[known] ?? "send its fields, as { ...it }";
      throw this.#refusal(`is an instance of ${name}; ${remedy}`);
    }
    const depth = this.#containers.get(value);
    if (depth !== undefined) {
      throw this.#refusal(`refers back to ${this.#place(depth)}; send each part once`);
    }
    if (this.#containers.size >= RPC_DEPTH_MAX) {
      const problem = `is deeper than RPC_DEPTH_MAX (${RPC_DEPTH_MAX}); send a flat list`;
      throw this.#refusal(problem, "LimitExceeded");
    }
    this.#containers.set(value, this.#path.length);
    const written = isList ? this.#writeList(value) : this.#writeMap(value);
    this.#containers.delete(value);
    return written;
  }

  #writeList(list: readonly unknown[]): ValueType[] {
    const written: ValueType[] = [];
    // Not `map`, which skips holes: a list of a billion holes would count as no bytes.
    for (let index = 0; index < list.length; index++) {
      written.push(this.#writeAt(index, list[index]));
    }
    return written;
  }

  #writeMap(map: object): ValueType {
    if (Object.getOwnPropertySymbols(map).length > 0) {
      throw this.#refusal("has a symbol as a key; use text");
    }
    const entries = Object.entries(map);
    const fields = entries.flatMap(([key, value]) => [
      this.#writeText(key),
      this.#writeAt(key, value),
    ]);
    if (!entries.every(([key]) => isPlainKey(key))) return tagged(Tag.Entries, ...fields);
    return Object.fromEntries(entries.map(([key], index) => [key, fields[2 * index + 1]!]));
  }

  #writeAt(key: string | number, value: unknown): ValueType {
    this.#path.push(key);
    const written = this.#write(value);
    this.#path.pop();
    return written;
  }

  #writeView(view: ArrayBufferView): ValueType {
    const { buffer, byteOffset, byteLength } = view;
    if (buffer instanceof ArrayBuffer && buffer.detached) {
      throw this.#refusal("is a view of memory that is gone");
    }
    const type = viewTypeOf(view);
    const offset = this.#region.offsetOf(view);
    if (offset !== undefined) {
      return tagged(Tag.Reference, type, offset, byteLength / elementBytes(type)!);
    }
    this.#spend(byteLength);
    const bytes = new Uint8Array(buffer, byteOffset, byteLength);
    return type === "Uint8Array" ? bytes : tagged(Tag.Array, type, bytes);
  }

  #spend(bytes: number): void {
    this.#bytesLeft -= bytes;
    if (this.#bytesLeft < 0) throw this.tooLong();
  }

  #refusal(problem: string, code: TdsmErrorCode = "InvalidArgument"): TdsmError {
    const place = this.#path.length === 0 ? "it" : this.#place(this.#path.length);
    const message = `Cannot send ${this.#root}: ${place} ${problem}`;
    return new TdsmError(code, message, { operation: "call" });
  }

  /** The path to the value at a depth, or to the one that is being written. */
  #place(depth: number): string {
    if (depth === 0) return "the whole";
    return this.#path.slice(0, depth).map((key) => {
      if (typeof key === "number") return `[${key}]`;
      return /^[\p{ID_Start}$_][\p{ID_Continue}$]*$/u.test(key)
        ? `.${key}`
        : `[${JSON.stringify(key)}]`;
    }).join("");
  }
}

function tagged(tag: number, ...fields: ValueType[]): ValueMap {
  return { [TAG_KEY]: [tag, ...fields] };
}

/**
 * Whether a string arrives as it left: the encoder replaces lone surrogates, the decoder drops a
 * mark.
 */
function isPlainText(text: string): boolean {
  return text.isWellFormed() && !text.startsWith(BYTE_ORDER_MARK);
}

/** Whether a key arrives as it left: assigning to `__proto__` would set the prototype. */
function isPlainKey(key: string): boolean {
  return key !== TAG_KEY && key !== "__proto__" && isPlainText(key);
}

function codeUnits(text: string): Uint8Array {
  const bytes = new DataView(new ArrayBuffer(2 * text.length));
  for (let index = 0; index < text.length; index++) {
    bytes.setUint16(2 * index, text.charCodeAt(index), true);
  }
  return new Uint8Array(bytes.buffer);
}

function textOf(codeUnits: Uint8Array): string {
  const bytes = new DataView(codeUnits.buffer, codeUnits.byteOffset, codeUnits.byteLength);
  let text = "";
  for (let offset = 0; offset < bytes.byteLength; offset += 2) {
    text += String.fromCharCode(bytes.getUint16(offset, true));
  }
  return text;
}

function readValue(value: ValueType, memory: ArrayBuffer): unknown {
  if (typeof value !== "object" || value === null) return value;
  // The decoder's arrays are views of the payload, which belongs to the transport.
  if (value instanceof Uint8Array) return value.slice();
  if (Array.isArray(value)) return value.map((item) => readValue(item, memory));
  const map = value as ValueMap;
  // The decoder has assigned this key: what that does depends on the flag `--unsafe-proto`.
  if (Object.hasOwn(map, "__proto__") || Object.getPrototypeOf(map) !== Object.prototype) {
    throw new Error("a map sets its prototype");
  }
  if (Object.hasOwn(map, TAG_KEY)) return readTagged(map, memory);
  return Object.fromEntries(
    Object.entries(map).map(([key, item]) => [key, readValue(item, memory)]),
  );
}

function readTagged(map: ValueMap, memory: ArrayBuffer): unknown {
  const content = map[TAG_KEY];
  if (!Array.isArray(content) || Object.keys(map).length !== 1) {
    throw new Error("a tagged value is no list");
  }
  const [tag, ...fields] = content as ValueType[];
  const [first, second, third] = fields;
  switch (tag) {
    case Tag.Undefined:
      return undefined;
    case Tag.NegativeZero:
      return -0;
    case Tag.Date:
      if (typeof first === "number") return new Date(first);
      break;
    case Tag.CodeUnits:
      if (first instanceof Uint8Array && first.length % 2 === 0) return textOf(first);
      break;
    case Tag.Entries:
      return readEntries(fields, memory);
    case Tag.Array:
      if (typeof first === "string" && second instanceof Uint8Array) {
        const length = second.length / (elementBytes(first) ?? 1);
        return makeView(first, second.slice().buffer, 0, length);
      }
      break;
    case Tag.Reference:
      if (typeof first === "string" && typeof second === "number" && typeof third === "number") {
        return makeView(first, memory, second, third);
      }
  }
  throw new Error("a tagged value is malformed");
}

function readEntries(fields: readonly ValueType[], memory: ArrayBuffer): object {
  if (fields.length % 2 !== 0) throw new Error("a key has no value");
  const entries: [string, unknown][] = [];
  for (let index = 0; index < fields.length; index += 2) {
    const key = readValue(fields[index]!, memory);
    if (typeof key !== "string") throw new Error("a key is no string");
    entries.push([key, readValue(fields[index + 1]!, memory)]);
  }
  // Unlike an assignment, this makes "__proto__" a key as any other.
  return Object.fromEntries(entries);
}

interface ViewType {
  readonly name: string;
  /** `DataView` has none: its length is in bytes. */
  readonly BYTES_PER_ELEMENT?: number;
  new (buffer: ArrayBuffer, byteOffset: number, length: number): ArrayBufferView;
}

const VIEW_TYPES: readonly ViewType[] = [
  Int8Array,
  Uint8Array,
  Uint8ClampedArray,
  Int16Array,
  Uint16Array,
  Int32Array,
  Uint32Array,
  BigInt64Array,
  BigUint64Array,
  Float16Array,
  Float32Array,
  Float64Array,
  DataView,
];
const BY_NAME: ReadonlyMap<string, ViewType> = new Map(VIEW_TYPES.map((Type) => [Type.name, Type]));

/** Unlike `constructor.name`, this sees through subclasses such as Node's `Buffer`. */
const nameOfTypedArray = Object.getOwnPropertyDescriptor(
  Object.getPrototypeOf(Uint8Array.prototype),
  Symbol.toStringTag,
)!.get!;

/**
 * The kind of a view.
 *
 * @param view A typed array or `DataView`.
 * @returns Its name, such as `Int32Array`.
 */
function viewTypeOf(view: ArrayBufferView): string {
  return nameOfTypedArray.call(view) ?? DataView.name;
}

/**
 * The size of one element of a kind of view.
 *
 * @param type The name of the kind.
 * @returns The size in bytes, or `undefined` where there is no such kind.
 */
function elementBytes(type: string): number | undefined {
  const Type = BY_NAME.get(type);
  return Type === undefined ? undefined : Type.BYTES_PER_ELEMENT ?? 1;
}

/**
 * Makes a view.
 *
 * @param type The name of the view's kind.
 * @param buffer The memory that the view is of.
 * @param byteOffset Where the view begins, in bytes.
 * @param length How many elements the view has.
 * @returns The view; nothing is copied.
 * @throws {Error} When there is no such kind, or no such part of the buffer.
 */
function makeView(
  type: string,
  buffer: ArrayBuffer,
  byteOffset: number,
  length: number,
): ArrayBufferView {
  const Type = BY_NAME.get(type);
  // The constructors would round or convert a number that is not whole.
  if (Type === undefined || !Number.isSafeInteger(byteOffset) || !Number.isSafeInteger(length)) {
    throw new Error("a view is malformed");
  }
  return new Type(buffer, byteOffset, length);
}
