import { assert, assertEquals, assertThrows } from "@std/assert";
import { encode as encodeOfStd } from "@std/msgpack/encode";
import { encode, type ValueMap, type ValueType } from "./message_pack.ts";
import { decode } from "./std/msgpack_decode.js";
import { ENCODE_BUFFER_BYTES, ENCODE_BUFFER_MAX_BYTES } from "./limits.ts";

/** Checks that a value has the bytes that Deno's std writes. */
function check(value: ValueType): void {
  const [own, other] = [encode(value), encodeOfStd(value as never)];
  const differs = own.findIndex((byte, at) => byte !== other[at]);
  assert(own.length === other.length && differs < 0, `byte ${differs} of ${own.length}`);
}

Deno.test("encode: numbers, at each bound of a format", () => {
  const powers = [5, 7, 8, 15, 16, 31, 32, 53, 63, 64];
  for (const power of powers) {
    for (const offset of [-1, 0, 1]) {
      const number = 2 ** power + offset;
      check(number);
      check(-number);
      const bigint = 2n ** BigInt(power) + BigInt(offset);
      if (bigint < 2n ** 64n) check(bigint);
      if (bigint <= 2n ** 63n) check(-bigint);
    }
  }
  for (const number of [0, -0, 0.5, -0.5, NaN, Infinity, -Infinity, Number.MAX_VALUE]) {
    check(number);
  }
});

Deno.test("encode: texts, bytes, lists and maps, at each bound of a length", () => {
  check([null, true, false]);
  for (const length of [0, 1, 15, 16, 31, 32, 63, 64, 65, 255, 256, 65_535, 65_536]) {
    check("a".repeat(length));
    check("ä".repeat(length));
    check(`${"a".repeat(length)}\ud800`);
    check(new Uint8Array(length).fill(length));
    check(Array.from({ length }, (_, index) => index));
    const entries = Array.from({ length }, (_, index) => [`key${index}`, index] as const);
    check(Object.fromEntries(entries));
  }
  check(Object.assign(Object.create(null), { a: [{}, [], { b: null }] }));
});

Deno.test("encode: random values are read as what they were", () => {
  let seed = 1;
  const random = (below: number): number => {
    seed = (seed * 48_271) % 0x7fff_ffff;
    return seed % below;
  };
  const value = (depth: number): ValueType => {
    switch (random(depth > 4 ? 5 : 7)) {
      case 0:
        return random(2) === 0 ? null : random(2) === 0;
      case 1:
        return (random(2) === 0 ? -1 : 1) * Math.floor(2 ** random(50) + random(1000));
      case 2:
        return random(1 << 30) / 1000;
      case 3:
        return String.fromCharCode(...Array.from({ length: random(80) }, () => 1 + random(0x300)));
      case 4:
        return Uint8Array.from({ length: random(300) }, () => random(256));
      case 5:
        return Array.from({ length: random(20) }, () => value(depth + 1));
      default: {
        const map: ValueMap = {};
        for (let count = random(20); count > 0; count--) map[`k${random(1000)}`] = value(depth + 1);
        return map;
      }
    }
  };
  for (let round = 0; round < 300; round++) {
    const made = value(0);
    check(made);
    assertEquals(decode(encode(made)), made);
  }
});

Deno.test("encode: what MessagePack does not have is refused", () => {
  for (const value of [2n ** 64n, -(2n ** 63n) - 1n]) {
    assertThrows(() => encode(value), RangeError, "64 bits");
  }
  for (const value of [undefined, () => {}, Symbol("a"), new Date(), new Map(), [undefined]]) {
    assertThrows(() => encode(value as never), TypeError, "Cannot encode");
  }
  // The buffer of a value that was refused is of use again.
  check({ a: 1 });
});

Deno.test("encode: values that are encoded meanwhile, and larger than the buffer, keep their bytes", () => {
  const inner = {
    get inside(): number {
      assertEquals(decode(encode(["other", 1])), ["other", 1]);
      return 7;
    },
  };
  assertEquals(decode(encode(["before", inner, "behind"])), ["before", { inside: 7 }, "behind"]);
  for (const bytes of [ENCODE_BUFFER_BYTES, ENCODE_BUFFER_MAX_BYTES, 1 << 20]) {
    check(["a", new Uint8Array(bytes).fill(3), "b"]);
    check(["a"]);
  }
});
