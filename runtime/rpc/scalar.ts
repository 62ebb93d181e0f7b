/**
 * A fast path for the arguments and results that most calls have: a few scalars, which are numbers,
 * `true`, `false` and `null`, or nothing at all. The bytes are the same MessagePack that `value.ts`
 * writes and reads; this file only takes less time for them.
 */

/** The first byte of each kind of scalar in MessagePack. */
const Format = {
  FixedInt: 0x00,
  FixedIntEnd: 0x80,
  FixedArray: 0x90,
  FixedArrayEnd: 0xa0,
  Null: 0xc0,
  False: 0xc2,
  True: 0xc3,
  Float64: 0xcb,
  Int32: 0xd2,
} as const;

/** `undefined` as `value.ts` writes it: a map with the key `""` and the list `[0]`. */
const UNDEFINED = [0x81, 0xa0, 0x91, 0x00] as const;
/** A call with more arguments is left to `value.ts`. */
const ARGUMENTS_MAX = 8;
/** The longest scalar is a float: a byte for its kind, and 8 bytes. */
const SCALAR_MAX_BYTES = 9;

const scratch = new Uint8Array(1 + ARGUMENTS_MAX * SCALAR_MAX_BYTES);
const view = new DataView(scratch.buffer);

/**
 * Encodes arguments, if all of them are scalars.
 *
 * @param args The arguments.
 * @returns Their bytes; `undefined` where `value.ts` must encode them.
 */
export function encodeScalars(args: readonly unknown[]): Uint8Array<ArrayBuffer> | undefined {
  if (args.length > ARGUMENTS_MAX) return undefined;
  scratch[0] = Format.FixedArray + args.length;
  let end = 1;
  for (let index = 0; index < args.length; index++) {
    const next = put(args[index], end);
    if (next === undefined) return undefined;
    end = next;
  }
  return scratch.slice(0, end);
}

/**
 * Encodes a result, if it is a scalar or `undefined`.
 *
 * @param value The result.
 * @returns Its bytes; `undefined` where `value.ts` must encode it.
 */
export function encodeScalar(value: unknown): Uint8Array<ArrayBuffer> | undefined {
  if (value === undefined) return Uint8Array.from(UNDEFINED);
  const end = put(value, 0);
  return end === undefined ? undefined : scratch.slice(0, end);
}

/**
 * Decodes arguments, if all of them are scalars.
 *
 * @param payload Their bytes.
 * @returns The arguments; `undefined` where `value.ts` must decode them, or say what is wrong.
 */
export function decodeScalars(payload: Uint8Array): unknown[] | undefined {
  const count = payload[0]! - Format.FixedArray;
  if (!(count >= 0 && count <= ARGUMENTS_MAX)) return undefined;
  const args: unknown[] = [];
  let at = 1;
  while (args.length < count) {
    const size = sizeAt(payload, at);
    if (size === undefined) return undefined;
    args.push(take(payload, at));
    at += size;
  }
  return at === payload.length ? args : undefined;
}

/**
 * Decodes a result, if it is a scalar or `undefined`.
 *
 * @param payload Its bytes.
 * @returns The result in a list, because it may be `undefined`; `undefined` itself where `value.ts`
 * must decode it.
 */
export function decodeScalar(payload: Uint8Array): [unknown] | undefined {
  if (payload.length === UNDEFINED.length && UNDEFINED.every((byte, at) => payload[at] === byte)) {
    return [undefined];
  }
  return sizeAt(payload, 0) === payload.length ? [take(payload, 0)] : undefined;
}

/**
 * Writes a value into `scratch`; returns the offset behind it, or `undefined` where it is no
 * scalar.
 */
function put(value: unknown, at: number): number | undefined {
  switch (typeof value) {
    case "number":
      return Object.is(value, -0) ? undefined : putNumber(value, at);
    case "boolean":
      scratch[at] = value ? Format.True : Format.False;
      return at + 1;
    default:
      if (value !== null) return undefined;
      scratch[at] = Format.Null;
      return at + 1;
  }
}

function putNumber(value: number, at: number): number {
  if (value === (value | 0)) {
    if (value >= 0 && value < Format.FixedIntEnd) {
      scratch[at] = Format.FixedInt + value;
      return at + 1;
    }
    scratch[at] = Format.Int32;
    view.setInt32(at + 1, value);
    return at + 5;
  }
  scratch[at] = Format.Float64;
  view.setFloat64(at + 1, value);
  return at + 9;
}

/** The size in bytes of the value at an offset; `undefined` where it is no scalar, or cut short. */
function sizeAt(payload: Uint8Array, at: number): number | undefined {
  const format = payload[at];
  if (format === undefined) return undefined;
  if (format < Format.FixedIntEnd) return 1;
  switch (format) {
    case Format.Null:
    case Format.False:
    case Format.True:
      return 1;
    case Format.Int32:
      return at + 5 <= payload.length ? 5 : undefined;
    case Format.Float64:
      return at + 9 <= payload.length ? 9 : undefined;
    default:
      return undefined;
  }
}

/** The value at an offset, for which {@linkcode sizeAt} has returned a size. */
function take(payload: Uint8Array, at: number): unknown {
  const format = payload[at]!;
  switch (format) {
    case Format.Null:
      return null;
    case Format.False:
    case Format.True:
      return format === Format.True;
    case Format.Int32:
      return viewOf(payload).getInt32(at + 1);
    case Format.Float64:
      return viewOf(payload).getFloat64(at + 1);
    default:
      return format;
  }
}

function viewOf({ buffer, byteOffset, byteLength }: Uint8Array): DataView {
  return new DataView(buffer, byteOffset, byteLength);
}
