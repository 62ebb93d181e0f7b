/**
 * The kinds of array that a call can carry, by value or as views of the region, and making them of
 * what arrived.
 */

interface ViewType {
  readonly name: string;
  /** A `DataView` has none: it counts bytes. */
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
export function viewTypeOf(view: ArrayBufferView): string {
  return nameOfTypedArray.call(view) ?? DataView.name;
}

/**
 * What the length of a kind of view counts.
 *
 * @param type The name of the kind.
 * @returns The bytes of an element, or `undefined` where there is no such kind.
 */
export function elementBytes(type: string): number | undefined {
  const Type = BY_NAME.get(type);
  return Type === undefined ? undefined : Type.BYTES_PER_ELEMENT ?? 1;
}

/**
 * Makes a view.
 *
 * @param type The name of its kind.
 * @param buffer What it is a view of.
 * @param byteOffset Where it begins, in bytes.
 * @param length How many elements it has.
 * @returns The view; nothing is copied.
 * @throws {Error} When there is no such kind, or no such part of the buffer.
 */
export function makeView(
  type: string,
  buffer: ArrayBuffer,
  byteOffset: number,
  length: number,
): ArrayBufferView {
  const Type = BY_NAME.get(type);
  // The constructors would round or convert what is no whole number.
  if (Type === undefined || !Number.isSafeInteger(byteOffset) || !Number.isSafeInteger(length)) {
    throw new Error("a view is malformed");
  }
  return new Type(buffer, byteOffset, length);
}
