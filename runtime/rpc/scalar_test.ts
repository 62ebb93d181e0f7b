import { assertEquals } from "@std/assert";
import { decode } from "../std/msgpack_decode.js";
import { encode } from "../std/msgpack_encode.js";
import type { ValueType } from "../std/msgpack_encode.d.ts";
import { decodeScalar, decodeScalars, encodeScalar, encodeScalars } from "./scalar.ts";

const NUMBERS = [0, 1, 127, 128, -1, 2 ** 31 - 1, -(2 ** 31), 2 ** 31, 2 ** 53, 0.1, -1e300, NaN];
const SIMPLE = [...NUMBERS, Infinity, null, true, false];
const OTHERS = [-0, "text", 1n, {}, [], new Uint8Array(1), () => {}, Symbol()];

/** The same bytes in the middle of a buffer, as a ring gives them. */
function inside(bytes: Uint8Array): Uint8Array {
  const buffer = new Uint8Array(bytes.length + 9).fill(0xff);
  buffer.set(bytes, 5);
  return buffer.subarray(5, 5 + bytes.length);
}

Deno.test("encodeScalar: simple values arrive as they were, and are MessagePack", () => {
  for (const value of SIMPLE) {
    const bytes = encodeScalar(value)!;
    assertEquals(decode(bytes), value);
    assertEquals(decodeScalar(inside(bytes)), [value]);
    const list = encodeScalars([value, 5, value])!;
    assertEquals(decode(list), [value, 5, value]);
    assertEquals(decodeScalars(inside(list)), [value, 5, value]);
  }
  assertEquals(decodeScalars(inside(encodeScalars([])!)), []);
});

Deno.test("encodeScalar: undefined is what it is where values are tagged", () => {
  const bytes = encodeScalar(undefined)!;
  assertEquals(decode(bytes), { "": [0] });
  assertEquals(decodeScalar(inside(bytes)), [undefined]);
  assertEquals(encodeScalars([undefined]), undefined);
});

Deno.test("encodeScalar: other values, and too many, are left to others", () => {
  for (const value of OTHERS) {
    assertEquals([encodeScalar(value), encodeScalars([1, value])], [undefined, undefined]);
  }
  assertEquals(encodeScalars(new Array(8).fill(0.5))!.length, 73);
  assertEquals(encodeScalars(new Array(9).fill(0.5)), undefined);
});

Deno.test("decodeScalar: bytes that are cut short, too long or of another kind are left to others", () => {
  for (const value of SIMPLE) {
    for (const bytes of [encodeScalars([value, value])!, encodeScalar(value)!]) {
      const decoded = bytes[0] === 0x92 ? decodeScalars : decodeScalar;
      for (let length = 0; length < bytes.length; length++) {
        assertEquals(decoded(bytes.subarray(0, length)), undefined);
      }
      assertEquals(decoded(Uint8Array.of(...bytes, 0)), undefined);
    }
  }
  const others: ValueType[] = ["text", { a: 1 }, ["text"], -5, 200, new Uint8Array(3)];
  for (const value of others) assertEquals(decodeScalar(encode(value)), undefined);
  for (const list of [["text"], [[]], [-5]]) assertEquals(decodeScalars(encode(list)), undefined);
});
