// @ts-self-types="./msgpack_encode.d.ts"
// Bundled by bundle.ts from npm:deno-std@1.4.0/msgpack/encode.js.
// Copyright 2018-2026 the Deno authors. MIT license.
// deno-lint-ignore-file
function concat(buffers) {
  let length = 0;
  for (const buffer of buffers) {
    length += buffer.length;
  }
  const output = new Uint8Array(length);
  let index = 0;
  for (const buffer of buffers) {
    output.set(buffer, index);
    index += buffer.length;
  }
  return output;
}

var FOUR_BITS = 16;
var FIVE_BITS = 32;
var SEVEN_BITS = 128;
var EIGHT_BITS = 256;
var FIFTEEN_BITS = 32768;
var SIXTEEN_BITS = 65536;
var THIRTY_ONE_BITS = 2147483648;
var THIRTY_TWO_BITS = 4294967296;
var SIXTY_THREE_BITS = 9223372036854775808n;
var SIXTY_FOUR_BITS = 18446744073709551616n;
var encoder = new TextEncoder();
function encode(object) {
  const byteParts = [];
  encodeSlice(object, byteParts);
  return concat(byteParts);
}
function encodeFloat64(num) {
  const dataView = new DataView(new ArrayBuffer(9));
  dataView.setFloat64(1, num);
  dataView.setUint8(0, 203);
  return new Uint8Array(dataView.buffer);
}
function encodeNumber(num) {
  if (!Number.isInteger(num)) {
    return encodeFloat64(num);
  }
  if (num < 0) {
    if (num >= -FIVE_BITS) {
      return new Uint8Array([
        num,
      ]);
    }
    if (num >= -SEVEN_BITS) {
      return new Uint8Array([
        208,
        num,
      ]);
    }
    if (num >= -FIFTEEN_BITS) {
      const dataView = new DataView(new ArrayBuffer(3));
      dataView.setInt16(1, num);
      dataView.setUint8(0, 209);
      return new Uint8Array(dataView.buffer);
    }
    if (num >= -THIRTY_ONE_BITS) {
      const dataView = new DataView(new ArrayBuffer(5));
      dataView.setInt32(1, num);
      dataView.setUint8(0, 210);
      return new Uint8Array(dataView.buffer);
    }
    return encodeFloat64(num);
  }
  if (num <= 127) {
    return new Uint8Array([
      num,
    ]);
  }
  if (num < EIGHT_BITS) {
    return new Uint8Array([
      204,
      num,
    ]);
  }
  if (num < SIXTEEN_BITS) {
    const dataView = new DataView(new ArrayBuffer(3));
    dataView.setUint16(1, num);
    dataView.setUint8(0, 205);
    return new Uint8Array(dataView.buffer);
  }
  if (num < THIRTY_TWO_BITS) {
    const dataView = new DataView(new ArrayBuffer(5));
    dataView.setUint32(1, num);
    dataView.setUint8(0, 206);
    return new Uint8Array(dataView.buffer);
  }
  return encodeFloat64(num);
}
function encodeSlice(object, byteParts) {
  if (object === null) {
    byteParts.push(
      new Uint8Array([
        192,
      ]),
    );
    return;
  }
  if (object === false) {
    byteParts.push(
      new Uint8Array([
        194,
      ]),
    );
    return;
  }
  if (object === true) {
    byteParts.push(
      new Uint8Array([
        195,
      ]),
    );
    return;
  }
  if (typeof object === "number") {
    byteParts.push(encodeNumber(object));
    return;
  }
  if (typeof object === "bigint") {
    if (object < 0) {
      if (object < -SIXTY_THREE_BITS) {
        throw new Error("Cannot safely encode bigint larger than 64 bits");
      }
      const dataView2 = new DataView(new ArrayBuffer(9));
      dataView2.setBigInt64(1, object);
      dataView2.setUint8(0, 211);
      byteParts.push(new Uint8Array(dataView2.buffer));
      return;
    }
    if (object >= SIXTY_FOUR_BITS) {
      throw new Error("Cannot safely encode bigint larger than 64 bits");
    }
    const dataView = new DataView(new ArrayBuffer(9));
    dataView.setBigUint64(1, object);
    dataView.setUint8(0, 207);
    byteParts.push(new Uint8Array(dataView.buffer));
    return;
  }
  if (typeof object === "string") {
    const encoded = encoder.encode(object);
    const len = encoded.length;
    if (len < FIVE_BITS) {
      byteParts.push(
        new Uint8Array([
          160 | len,
        ]),
      );
    } else if (len < EIGHT_BITS) {
      byteParts.push(
        new Uint8Array([
          217,
          len,
        ]),
      );
    } else if (len < SIXTEEN_BITS) {
      const dataView = new DataView(new ArrayBuffer(3));
      dataView.setUint16(1, len);
      dataView.setUint8(0, 218);
      byteParts.push(new Uint8Array(dataView.buffer));
    } else if (len < THIRTY_TWO_BITS) {
      const dataView = new DataView(new ArrayBuffer(5));
      dataView.setUint32(1, len);
      dataView.setUint8(0, 219);
      byteParts.push(new Uint8Array(dataView.buffer));
    } else {
      throw new Error("Cannot safely encode string with size larger than 32 bits");
    }
    byteParts.push(encoded);
    return;
  }
  if (object instanceof Uint8Array) {
    if (object.length < EIGHT_BITS) {
      byteParts.push(
        new Uint8Array([
          196,
          object.length,
        ]),
      );
    } else if (object.length < SIXTEEN_BITS) {
      const dataView = new DataView(new ArrayBuffer(3));
      dataView.setUint16(1, object.length);
      dataView.setUint8(0, 197);
      byteParts.push(new Uint8Array(dataView.buffer));
    } else if (object.length < THIRTY_TWO_BITS) {
      const dataView = new DataView(new ArrayBuffer(5));
      dataView.setUint32(1, object.length);
      dataView.setUint8(0, 198);
      byteParts.push(new Uint8Array(dataView.buffer));
    } else {
      throw new Error("Cannot safely encode Uint8Array with size larger than 32 bits");
    }
    byteParts.push(object);
    return;
  }
  if (Array.isArray(object)) {
    if (object.length < FOUR_BITS) {
      byteParts.push(
        new Uint8Array([
          144 | object.length,
        ]),
      );
    } else if (object.length < SIXTEEN_BITS) {
      const dataView = new DataView(new ArrayBuffer(3));
      dataView.setUint16(1, object.length);
      dataView.setUint8(0, 220);
      byteParts.push(new Uint8Array(dataView.buffer));
    } else if (object.length < THIRTY_TWO_BITS) {
      const dataView = new DataView(new ArrayBuffer(5));
      dataView.setUint32(1, object.length);
      dataView.setUint8(0, 221);
      byteParts.push(new Uint8Array(dataView.buffer));
    } else {
      throw new Error("Cannot safely encode array with size larger than 32 bits");
    }
    for (const obj of object) {
      encodeSlice(obj, byteParts);
    }
    return;
  }
  const prototype = Object.getPrototypeOf(object);
  if (prototype === null || prototype === Object.prototype) {
    const numKeys = Object.keys(object).length;
    if (numKeys < FOUR_BITS) {
      byteParts.push(
        new Uint8Array([
          128 | numKeys,
        ]),
      );
    } else if (numKeys < SIXTEEN_BITS) {
      const dataView = new DataView(new ArrayBuffer(3));
      dataView.setUint16(1, numKeys);
      dataView.setUint8(0, 222);
      byteParts.push(new Uint8Array(dataView.buffer));
    } else if (numKeys < THIRTY_TWO_BITS) {
      const dataView = new DataView(new ArrayBuffer(5));
      dataView.setUint32(1, numKeys);
      dataView.setUint8(0, 223);
      byteParts.push(new Uint8Array(dataView.buffer));
    } else {
      throw new Error("Cannot safely encode map with size larger than 32 bits");
    }
    for (const [key, value] of Object.entries(object)) {
      encodeSlice(key, byteParts);
      encodeSlice(value, byteParts);
    }
    return;
  }
  throw new Error("Cannot safely encode value into messagepack");
}
export { encode };
