// @ts-self-types="./msgpack_decode.d.ts"
// Bundled by bundle.ts from npm:deno-std@1.4.0/msgpack/decode.js.
// Copyright 2018-2026 the Deno authors. MIT license.
// deno-lint-ignore-file
function decode(data) {
  const pointer = {
    consumed: 0,
  };
  const dataView = new DataView(data.buffer, data.byteOffset, data.byteLength);
  const value = decodeSlice(data, dataView, pointer);
  if (pointer.consumed < data.length) {
    throw new EvalError("Messagepack decode did not consume whole array");
  }
  return value;
}
function decodeString(uint8, size, pointer) {
  pointer.consumed += size;
  const u8 = uint8.subarray(pointer.consumed - size, pointer.consumed);
  if (u8.length !== size) {
    throw new EvalError("Messagepack decode reached end of array prematurely");
  }
  return decoder.decode(u8);
}
function decodeArray(uint8, dataView, size, pointer) {
  const arr = [];
  for (let i = 0; i < size; i++) {
    const value = decodeSlice(uint8, dataView, pointer);
    arr.push(value);
  }
  return arr;
}
function decodeMap(uint8, dataView, size, pointer) {
  const map = {};
  for (let i = 0; i < size; i++) {
    const key = decodeSlice(uint8, dataView, pointer);
    const value = decodeSlice(uint8, dataView, pointer);
    if (typeof key !== "number" && typeof key !== "string") {
      throw new EvalError(
        "Cannot decode a key of a map: The type of key is invalid, keys must be a number or a string",
      );
    }
    map[key] = value;
  }
  return map;
}
var decoder = new TextDecoder();
var FIXMAP_BITS = 128;
var FIXMAP_MASK = 240;
var FIXARRAY_BITS = 144;
var FIXARRAY_MASK = 240;
var FIXSTR_BITS = 160;
var FIXSTR_MASK = 224;
function decodeSlice(uint8, dataView, pointer) {
  if (pointer.consumed >= uint8.length) {
    throw new EvalError("Messagepack decode reached end of array prematurely");
  }
  const type = dataView.getUint8(pointer.consumed);
  pointer.consumed++;
  if (type <= 127) {
    return type;
  }
  if ((type & FIXMAP_MASK) === FIXMAP_BITS) {
    const size = type & ~FIXMAP_MASK;
    return decodeMap(uint8, dataView, size, pointer);
  }
  if ((type & FIXARRAY_MASK) === FIXARRAY_BITS) {
    const size = type & ~FIXARRAY_MASK;
    return decodeArray(uint8, dataView, size, pointer);
  }
  if ((type & FIXSTR_MASK) === FIXSTR_BITS) {
    const size = type & ~FIXSTR_MASK;
    return decodeString(uint8, size, pointer);
  }
  if (type >= 224) {
    return type - 256;
  }
  switch (type) {
    case 192:
      return null;
    case 193:
      throw new Error("Messagepack decode encountered a type that is never used");
    case 194:
      return false;
    case 195:
      return true;
    case 196: {
      if (pointer.consumed >= uint8.length) {
        throw new EvalError("Messagepack decode reached end of array prematurely");
      }
      const length = dataView.getUint8(pointer.consumed);
      pointer.consumed++;
      const u8 = uint8.subarray(pointer.consumed, pointer.consumed + length);
      if (u8.length !== length) {
        throw new EvalError("Messagepack decode reached end of array prematurely");
      }
      pointer.consumed += length;
      return u8;
    }
    case 197: {
      if (pointer.consumed + 1 >= uint8.length) {
        throw new EvalError("Messagepack decode reached end of array prematurely");
      }
      const length = dataView.getUint16(pointer.consumed);
      pointer.consumed += 2;
      const u8 = uint8.subarray(pointer.consumed, pointer.consumed + length);
      if (u8.length !== length) {
        throw new EvalError("Messagepack decode reached end of array prematurely");
      }
      pointer.consumed += length;
      return u8;
    }
    case 198: {
      if (pointer.consumed + 3 >= uint8.length) {
        throw new EvalError("Messagepack decode reached end of array prematurely");
      }
      const length = dataView.getUint32(pointer.consumed);
      pointer.consumed += 4;
      const u8 = uint8.subarray(pointer.consumed, pointer.consumed + length);
      if (u8.length !== length) {
        throw new EvalError("Messagepack decode reached end of array prematurely");
      }
      pointer.consumed += length;
      return u8;
    }
    case 199:
    case 200:
    case 201:
      throw new Error("Cannot decode a slice: Large extension type 'ext' not implemented yet");
    case 202: {
      if (pointer.consumed + 3 >= uint8.length) {
        throw new EvalError("Messagepack decode reached end of array prematurely");
      }
      const value = dataView.getFloat32(pointer.consumed);
      pointer.consumed += 4;
      return value;
    }
    case 203: {
      if (pointer.consumed + 7 >= uint8.length) {
        throw new EvalError("Messagepack decode reached end of array prematurely");
      }
      const value = dataView.getFloat64(pointer.consumed);
      pointer.consumed += 8;
      return value;
    }
    case 204: {
      if (pointer.consumed >= uint8.length) {
        throw new EvalError("Messagepack decode reached end of array prematurely");
      }
      const value = dataView.getUint8(pointer.consumed);
      pointer.consumed += 1;
      return value;
    }
    case 205: {
      if (pointer.consumed + 1 >= uint8.length) {
        throw new EvalError("Messagepack decode reached end of array prematurely");
      }
      const value = dataView.getUint16(pointer.consumed);
      pointer.consumed += 2;
      return value;
    }
    case 206: {
      if (pointer.consumed + 3 >= uint8.length) {
        throw new EvalError("Messagepack decode reached end of array prematurely");
      }
      const value = dataView.getUint32(pointer.consumed);
      pointer.consumed += 4;
      return value;
    }
    case 207: {
      if (pointer.consumed + 7 >= uint8.length) {
        throw new EvalError("Messagepack decode reached end of array prematurely");
      }
      const value = dataView.getBigUint64(pointer.consumed);
      pointer.consumed += 8;
      return value;
    }
    case 208: {
      if (pointer.consumed >= uint8.length) {
        throw new EvalError("Messagepack decode reached end of array prematurely");
      }
      const value = dataView.getInt8(pointer.consumed);
      pointer.consumed += 1;
      return value;
    }
    case 209: {
      if (pointer.consumed + 1 >= uint8.length) {
        throw new EvalError("Messagepack decode reached end of array prematurely");
      }
      const value = dataView.getInt16(pointer.consumed);
      pointer.consumed += 2;
      return value;
    }
    case 210: {
      if (pointer.consumed + 3 >= uint8.length) {
        throw new EvalError("Messagepack decode reached end of array prematurely");
      }
      const value = dataView.getInt32(pointer.consumed);
      pointer.consumed += 4;
      return value;
    }
    case 211: {
      if (pointer.consumed + 7 >= uint8.length) {
        throw new EvalError("Messagepack decode reached end of array prematurely");
      }
      const value = dataView.getBigInt64(pointer.consumed);
      pointer.consumed += 8;
      return value;
    }
    case 212:
    case 213:
    case 214:
    case 215:
    case 216:
      throw new Error("Cannot decode a slice: 'fixext' not implemented yet");
    case 217: {
      if (pointer.consumed >= uint8.length) {
        throw new EvalError("Messagepack decode reached end of array prematurely");
      }
      const length = dataView.getUint8(pointer.consumed);
      pointer.consumed += 1;
      return decodeString(uint8, length, pointer);
    }
    case 218: {
      if (pointer.consumed + 1 >= uint8.length) {
        throw new EvalError("Messagepack decode reached end of array prematurely");
      }
      const length = dataView.getUint16(pointer.consumed);
      pointer.consumed += 2;
      return decodeString(uint8, length, pointer);
    }
    case 219: {
      if (pointer.consumed + 3 >= uint8.length) {
        throw new EvalError("Messagepack decode reached end of array prematurely");
      }
      const length = dataView.getUint32(pointer.consumed);
      pointer.consumed += 4;
      return decodeString(uint8, length, pointer);
    }
    case 220: {
      if (pointer.consumed + 1 >= uint8.length) {
        throw new EvalError("Messagepack decode reached end of array prematurely");
      }
      const length = dataView.getUint16(pointer.consumed);
      pointer.consumed += 2;
      return decodeArray(uint8, dataView, length, pointer);
    }
    case 221: {
      if (pointer.consumed + 3 >= uint8.length) {
        throw new EvalError("Messagepack decode reached end of array prematurely");
      }
      const length = dataView.getUint32(pointer.consumed);
      pointer.consumed += 4;
      return decodeArray(uint8, dataView, length, pointer);
    }
    case 222: {
      if (pointer.consumed + 1 >= uint8.length) {
        throw new EvalError("Messagepack decode reached end of array prematurely");
      }
      const length = dataView.getUint16(pointer.consumed);
      pointer.consumed += 2;
      return decodeMap(uint8, dataView, length, pointer);
    }
    case 223: {
      if (pointer.consumed + 3 >= uint8.length) {
        throw new EvalError("Messagepack decode reached end of array prematurely");
      }
      const length = dataView.getUint32(pointer.consumed);
      pointer.consumed += 4;
      return decodeMap(uint8, dataView, length, pointer);
    }
  }
  throw new Error("Unreachable");
}
export { decode };
