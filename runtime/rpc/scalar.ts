/**
 * The short way for what most calls carry: no arguments or a few numbers, `true`, `false`, `null`, and
 * results like these or none. The bytes are those of `value.ts`, in MessagePack; only how they are
 * made and read costs less here.
 */

/** MessagePack's first bytes of the values that are known here. */
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

/** `undefined`, as it is tagged: a map with the key `""` and the list `[0]`. */
const UNDEFINED = [0x81, 0xa0, 0x91, 0x00] as const;
/** The arguments that are looked at. */
const ARGUMENTS_MAX = 8;
/** A number takes most: its format and 8 bytes. */
const SCALAR_MAX_BYTES = 9;

const scratch = new Uint8Array(1 + ARGUMENTS_MAX * SCALAR_MAX_BYTES);
const view = new DataView(scratch.buffer);

/**
 * Encodes arguments, if they are as simple as that.
 *
 * @param args The arguments.
 * @returns Their bytes; `undefined` where others must do it.
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
 * Encodes a result, if it is as simple as that.
 *
 * @param value The result.
 * @returns Its bytes; `undefined` where others must do it.
 */
export function encodeScalar(value: unknown): Uint8Array<ArrayBuffer> | undefined {
  if (value === undefined) return Uint8Array.from(UNDEFINED);
  const end = put(value, 0);
  return end === undefined ? undefined : scratch.slice(0, end);
}

/**
 * Decodes arguments, if they are as simple as that.
 *
 * @param payload Their bytes.
 * @returns The arguments; `undefined` where others must do it, or say what is wrong.
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
 * Decodes a result, if it is as simple as that.
 *
 * @param payload Its bytes.
 * @returns The result in a list, for it may be `undefined`; `undefined` where others must do it.
 */
export function decodeScalar(payload: Uint8Array): [unknown] | undefined {
  if (payload.length === UNDEFINED.length && UNDEFINED.every((byte, at) => payload[at] === byte)) {
    return [undefined];
  }
  return sizeAt(payload, 0) === payload.length ? [take(payload, 0)] : undefined;
}

/** Writes a value; where it ends, or `undefined` where it is another kind. */
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

/** The bytes of the value that begins here; `undefined` where it is another kind, or cut short. */
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

/** The value that begins here, of which {@linkcode sizeAt} knows the size. */
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
