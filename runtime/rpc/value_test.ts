import { assert, assertEquals, assertStrictEquals, assertThrows } from "@std/assert";
import { encode } from "../std/msgpack_encode.js";
import { offsetsIn } from "../../tests/support/rpc_offsets.ts";
import { Random } from "../../tests/simulator/coherence/random.ts";
import { TdsmError } from "../errors.ts";
import { RPC_DEPTH_MAX, RPC_MAX_BYTES } from "../limits.ts";
import { decodeArguments, decodeResult, encodeArguments, encodeResult } from "./value.ts";
import type { ValueType } from "../std/msgpack_encode.d.ts";

const here = new ArrayBuffer(4096);
const offsets = offsetsIn(here);
const there = new ArrayBuffer(4096);

function roundTrip(value: unknown): unknown {
  return decodeResult(encodeResult("add", value, offsets), there);
}

/** How deep a value is nested: a list in a list is two deep. */
function nested(depth: number): unknown {
  let value: unknown = 1;
  for (let count = 0; count < depth; count++) value = [value];
  return value;
}

Deno.test("encodeArguments: every kind of value arrives as it left", async (t) => {
  const values: Record<string, unknown> = {
    integers: [0, 1, -1, 127, 128, -32, -33, 2 ** 31, -(2 ** 31), 2 ** 32, 2 ** 53, -(2 ** 53)],
    floats: [0.5, -1e300, Number.MIN_VALUE, NaN, Infinity, -Infinity, -0],
    bigints: [0n, 1n, -1n, 2n ** 63n, -(2n ** 63n), 2n ** 64n - 1n],
    strings: ["", "tDSM", "\0", "日本語", "😀", "\ufeffmark", "lone \ud800", "x".repeat(70_000)],
    constants: [null, undefined, true, false],
    dates: [new Date(0), new Date(-1), new Date(NaN)],
    "maps with every kind of key": {
      a: 1,
      "": 2,
      "\ufeff": 3,
      "\udfff": 4,
      nothing: undefined,
      ["__proto__"]: { constructor: 5, length: 6 },
    },
    "a map that looks like a tag": { "": [0] },
    "what such a map is made of": [4, "", [0]],
    "a map as the prototype": JSON.parse('{"__proto__": {"polluted": true}}'),
    bytes: [new Uint8Array(), Uint8Array.of(1, 2), new Uint8Array(70_000).fill(7)],
    "typed arrays": [
      Int8Array.of(-1),
      Uint8ClampedArray.of(300),
      Int16Array.of(-2),
      Uint16Array.of(2),
      Int32Array.of(-3, 4),
      Uint32Array.of(3),
      BigInt64Array.of(-4n),
      BigUint64Array.of(4n),
      Float16Array.of(0.5),
      Float32Array.of(0.25),
      Float64Array.of(0.1, -0, NaN),
      new DataView(Uint8Array.of(1, 2, 3).buffer),
    ],
  };
  for (const [label, value] of Object.entries(values)) {
    await t.step(label, () => assertEquals(roundTrip(value), value));
  }
});

Deno.test("encodeArguments: keys of maps neither become prototypes nor get lost", () => {
  const map = JSON.parse('{"__proto__": {"polluted": true}, "": 1}');
  const arrived = roundTrip(map) as Record<string, unknown>;
  assertEquals(Object.keys(arrived), ["__proto__", ""]);
  assertStrictEquals(Object.getPrototypeOf(arrived), Object.prototype);
  assertStrictEquals(arrived["polluted"], undefined);
});

Deno.test("encodeArguments: -0 arrives as -0, and a hole in a list as undefined", () => {
  assert(Object.is(roundTrip(-0), -0));
  assertEquals(roundTrip([1, , 3]), [1, undefined, 3]); // deno-lint-ignore-line no-sparse-arrays
});

Deno.test("decodeArguments: what arrives shares no memory with what left, nor with the payload", () => {
  const bytes = Uint8Array.of(1, 2, 3);
  const payload = encodeArguments("add", [bytes, Int16Array.of(4)], offsets);
  bytes.fill(9);
  const args = decodeArguments(payload, there);
  payload.fill(0);
  assertEquals(args, [Uint8Array.of(1, 2, 3), Int16Array.of(4)]);
});

Deno.test("encodeArguments: part of a buffer, of a shared one, and a subclass arrive as the array that they are", () => {
  const shared = new Uint8Array(new SharedArrayBuffer(4)).fill(5);
  class Special extends Uint8Array {}
  assertEquals(roundTrip(Int32Array.of(1, 2, 3).subarray(1, 2)), Int32Array.of(2));
  const part = roundTrip(new DataView(Uint8Array.of(1, 2, 3, 4).buffer, 1, 2)) as DataView;
  assertEquals([part.byteLength, part.getUint16(0)], [2, 0x203]);
  assertEquals(roundTrip(shared), Uint8Array.of(5, 5, 5, 5));
  assertEquals(roundTrip(new Special([6])), Uint8Array.of(6));
});

Deno.test("encodeArguments: a value that is there twice arrives twice", () => {
  const part = { x: 1 };
  assertEquals(roundTrip([part, part]), [{ x: 1 }, { x: 1 }]);
});

Deno.test("encodeArguments: views of the region travel by reference, wherever they are", () => {
  const views = [
    new Int32Array(here, 8, 4),
    new Uint8Array(here),
    new Float64Array(here, 4096, 0),
    new DataView(here, 3, 5),
  ];
  const arrived = roundTrip({ list: views }) as { list: ArrayBufferView[] };
  for (const [index, view] of arrived.list.entries()) {
    assertStrictEquals(view.buffer, there);
    assertStrictEquals(view.constructor, views[index]!.constructor);
    assertEquals([view.byteOffset, view.byteLength], [
      views[index]!.byteOffset,
      views[index]!.byteLength,
    ]);
  }
  assert(encodeResult("add", views, offsets).length < 200);
});

Deno.test("encodeArguments: what cannot be sent is named with its place", async (t) => {
  const cycle: Record<string, unknown> = { a: { b: {} } };
  (cycle["a"] as Record<string, unknown>)["b"] = { up: cycle["a"] };
  const detached = new Uint8Array(4);
  detached.buffer.transfer();
  class Point {}
  const cases: [unknown, string][] = [
    [
      { items: [0, 1, 2, { callback: () => 1 }] },
      ".items[3].callback is a function; make it an rpc and send its name",
    ],
    [() => 1, "it is a function; make it an rpc and send its name"],
    [[Symbol("s")], "[0] is a symbol; send its description"],
    [{ [Symbol("s")]: 1 }, "it has a symbol as a key; use text"],
    [{ "two words": 2n ** 64n }, '["two words"] is a bigint beyond 64 bits; send it as text'],
    [-(2n ** 63n) - 1n, "it is a bigint beyond 64 bits; send it as text"],
    [{ p: new Point() }, ".p is an instance of Point; send its fields, as { ...it }"],
    [new Map(), "it is an instance of Map; send its entries, as [...it]"],
    [new Set(), "it is an instance of Set; send its values, as [...it]"],
    [[Promise.resolve(1)], "[0] is an instance of Promise; await it first"],
    [new (class extends Array {})(), "it is an instance of a class; send a plain list, as [...it]"],
    [
      new ArrayBuffer(1),
      "it is an instance of ArrayBuffer; send a view of it, such as a Uint8Array",
    ],
    [cycle, ".a.b.up refers back to .a; send each part once"],
    [{ detached }, ".detached is a view of memory that is gone"],
  ];
  const self: unknown[] = [];
  self.push(self);
  cases.push([self, "[0] refers back to the whole; send each part once"]);
  for (const [value, problem] of cases) {
    await t.step(problem, () => {
      const error = assertThrows(() => encodeArguments("add", [1, value], offsets), TdsmError);
      assertEquals((error as TdsmError).code, "InvalidArgument");
      assertEquals((error as TdsmError).message, `Cannot send argument 1 of rpc add: ${problem}`);
    });
  }
});

Deno.test("encodeResult: a result that cannot be sent says so", () => {
  const error = assertThrows(() => encodeResult("add", [() => 1], offsets), TdsmError);
  assertEquals(
    (error as TdsmError).message,
    "Cannot send the result of rpc add: [0] is a function; make it an rpc and send its name",
  );
});

Deno.test("encodeArguments: values may be as deep and as long as the bounds say, and no more", () => {
  assertEquals(roundTrip(nested(RPC_DEPTH_MAX)), nested(RPC_DEPTH_MAX));
  const deep = assertThrows(() => roundTrip(nested(RPC_DEPTH_MAX + 1)), TdsmError) as TdsmError;
  assertEquals(deep.code, "LimitExceeded");
  assert(
    deep.message.endsWith(`is deeper than RPC_DEPTH_MAX (${RPC_DEPTH_MAX}); send a flat list`),
  );

  // A byte string of this size has five bytes before it.
  const longest = new Uint8Array(RPC_MAX_BYTES - 5);
  assertEquals((roundTrip(longest) as Uint8Array).length, longest.length);
  const long = assertThrows(
    () => encodeArguments("add", [new Uint8Array(RPC_MAX_BYTES - 5)], offsets),
    TdsmError,
  ) as TdsmError;
  assertEquals(long.code, "LimitExceeded");
  assertEquals(
    long.message,
    `Cannot send the arguments of rpc add: more than RPC_MAX_BYTES (${RPC_MAX_BYTES} bytes); ` +
      "put the data in the region and pass a view of it instead",
  );
});

Deno.test("encodeArguments: what would take forever to encode is refused in time", () => {
  let shared: unknown[] = [1];
  for (let count = 0; count < 60; count++) shared = [shared, shared];
  for (const value of [shared, new Array(4e9), new Array(64).fill(new Uint8Array(2 ** 28))]) {
    const error = assertThrows(() => roundTrip(value), TdsmError);
    assertEquals((error as TdsmError).code, "LimitExceeded");
  }
});

Deno.test("decodeArguments: what does not come from the other side's encoder is refused", async (t) => {
  const malformed: Record<string, ValueType> = {
    "a tag that is no list": { "": 0 },
    "a tag beside other keys": { "": [0], a: 1 },
    "no tag": { "": [] },
    "an unknown tag": { "": [99] },
    "a tag of a wrong type": { "": ["0"] },
    "a date of no number": { "": [2, "today"] },
    "half a code unit": { "": [3, new Uint8Array(1)] },
    "a key without a value": { "": [4, "a"] },
    "a key that is no string": { "": [4, 1, 1] },
    "an array of an unknown type": { "": [5, "Array", new Uint8Array(4)] },
    "an array of half an element": { "": [5, "Int16Array", new Uint8Array(3)] },
    "an array without bytes": { "": [5, "Int16Array", [1]] },
    "a reference of an unknown type": { "": [6, "constructor", 0, 1] },
    "a reference out of alignment": { "": [6, "Int32Array", 2, 1] },
    "a reference beyond the region": { "": [6, "Int32Array", 4096, 1] },
    "a reference before the region": { "": [6, "Int32Array", -4, 1] },
    "a reference of negative length": { "": [6, "Int32Array", 0, -1] },
    "a reference to a fraction": { "": [6, "Uint8Array", 0.5, 1] },
    "a reference without a length": { "": [6, "Uint8Array", 0] },
    "a reference by bigints": { "": [6, "Uint8Array", 0n, 1n] },
  };
  for (const [label, value] of Object.entries(malformed)) {
    await t.step(label, () => {
      assertThrows(() => decodeResult(encode(value), there));
      assertThrows(() => decodeArguments(encode([[value]]), there));
    });
  }
  await t.step("a map that sets its prototype", () => {
    // { "__proto__": { "a": 1 } }, as no encoder here writes it.
    const name = new TextEncoder().encode("__proto__");
    const bytes = Uint8Array.of(0x81, 0xa0 | name.length, ...name, 0x81, 0xa1, 0x61, 1);
    assertThrows(() => decodeResult(bytes, there), Error, "sets its prototype");
  });
  await t.step("arguments that are no list", () => {
    assertThrows(() => decodeArguments(encode({ length: 1 }), there), Error, "no list");
  });
  await t.step("lists without end", () => {
    assertThrows(() => decodeResult(new Uint8Array(1_000_000).fill(0x91), there));
  });
});

/** A value of any kind, at most four deep. */
function anyValue(random: Random, depth = 0): unknown {
  const makers: (() => unknown)[] = [
    () => random.next() - 2 ** 31,
    () => random.next() / 2 ** 16 * (random.chance(50) ? 1 : -0),
    () => BigInt(random.next()) << BigInt(random.below(33)),
    () => anyText(random),
    () => random.chance(50),
    () => random.chance(50) ? null : undefined,
    () => new Date(random.next()),
    () => Uint8Array.from({ length: random.below(300) }, () => random.below(256)),
    () => Float64Array.from({ length: random.below(9) }, () => random.next() / 3),
    () => Array.from({ length: random.below(20) }, () => anyValue(random, depth + 1)),
    () =>
      Object.fromEntries(
        Array.from({ length: random.below(20) }, () => [
          random.chance(10) ? "__proto__" : anyText(random),
          anyValue(random, depth + 1),
        ]),
      ),
  ];
  return makers[random.below(depth < 4 ? makers.length : makers.length - 2)]!();
}

/** A string of any code units, well formed or not. */
function anyText(random: Random): string {
  const units = [0, 0x61, 0x7a, 0xe9, 0xd83d, 0xde00, 0xfeff, 0xffff];
  return Array.from(
    { length: random.below(6) },
    () => String.fromCharCode(units[random.below(units.length)]!),
  ).join("");
}

Deno.test("encodeArguments: any value arrives as it left", () => {
  for (let seed = 0; seed < 500; seed++) {
    const value = anyValue(new Random(seed));
    assertEquals(roundTrip(value), value, `seed ${seed}`);
  }
});

Deno.test("decodeArguments: spoiled bytes are refused or are some other value, whatever they are", () => {
  let refused = 0;
  for (let seed = 0; seed < 500; seed++) {
    const random = new Random(seed);
    const payload = encodeArguments("add", [anyValue(random)], offsets);
    payload[random.below(payload.length)] = random.below(256);
    try {
      assert(Array.isArray(decodeArguments(payload, there)));
    } catch (error) {
      assert(error instanceof Error);
      refused++;
    }
  }
  assert(refused > 50);
});
