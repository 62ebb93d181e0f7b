import { decode } from "../std/msgpack_decode.js";
import { encode } from "../std/msgpack_encode.js";
import { assertEquals } from "@std/assert";
import {
  CONTROL_TEXT_MAX,
  NODE_ID_MAX,
  REGION_MAX_BYTES,
  REUSE_MAX_PAGES,
  REUSED_RUNS_MAX,
} from "../limits.ts";
import type { ValueType } from "../std/msgpack_encode.d.ts";
import { ALLOCATOR_SHAPES } from "./allocation_control.ts";
import type { AllocatorControl } from "../protocol/allocation/messages.ts";
import { ELEMENT_BYTES, type ElementType } from "../protocol/allocation/messages.ts";
import type { FieldCodec } from "./control_fields.ts";

/** Each kind with every field, at its least and at its greatest. */
const MESSAGES: readonly AllocatorControl[] = [
  {
    kind: "allocate",
    ticket: 0,
    type: "Int8Array",
    length: 1,
    align: 1,
    packed: false,
    name: "grid",
  },
  {
    kind: "allocate",
    ticket: 0xffff_ffff,
    type: "BigUint64Array",
    length: REGION_MAX_BYTES,
    align: REGION_MAX_BYTES,
    packed: true,
    name: "é".repeat(127) + "!",
    home: NODE_ID_MAX,
  },
  {
    kind: "allocate",
    ticket: 5,
    type: "Float64Array",
    length: 1,
    packed: false,
    home: "spread",
  },
  { kind: "allocated", ticket: 1, offset: 0, dirtyBytes: 0, created: true },
  {
    kind: "allocated",
    ticket: 1,
    offset: REGION_MAX_BYTES - 1,
    dirtyBytes: REGION_MAX_BYTES,
    created: false,
  },
  {
    kind: "allocated",
    ticket: 1,
    offset: 4096,
    dirtyBytes: 0,
    reused: [{ first: 1, count: REUSE_MAX_PAGES }, { first: 2 ** 28 - 1, count: 1 }],
    created: true,
  },
  { kind: "zeroed", offset: 2 ** 32 },
  { kind: "free", ticket: 2, offset: 4096, bytes: 1 },
  { kind: "free", ticket: 2, offset: 2 ** 39, bytes: 2 ** 39 },
  { kind: "freed", ticket: 3 },
  { kind: "findHome", ticket: 6, page: 0 },
  { kind: "findHome", ticket: 6, page: 2 ** 28 - 1 },
  { kind: "homeFound", ticket: 6, node: 0 },
  { kind: "homeFound", ticket: 6, node: NODE_ID_MAX },
  { kind: "allocationFailed", ticket: 4, code: "OutOfMemory", reason: "Cannot allocate" },
];

function shape(kind: string): [string, FieldCodec<unknown>][] {
  return Object.entries(ALLOCATOR_SHAPES[kind as keyof typeof ALLOCATOR_SHAPES]);
}

/** What arrives of a message. */
function travel(message: AllocatorControl): Record<string, unknown> {
  const arrived: Record<string, unknown> = { kind: message.kind };
  for (const [name, field] of shape(message.kind)) {
    const value = (message as unknown as Record<string, unknown>)[name];
    if (value === undefined && field.optional) continue;
    arrived[name] = field.read(decode(encode(field.write(value))));
  }
  return arrived;
}

Deno.test("ALLOCATOR_SHAPES: every message of the allocator arrives as it left", () => {
  for (const message of MESSAGES) assertEquals(travel(message), { ...message });
  assertEquals(
    new Set(MESSAGES.map(({ kind }) => kind)).size,
    Object.keys(ALLOCATOR_SHAPES).length,
  );
});

Deno.test("ALLOCATOR_SHAPES: numbers beyond 32 bits leave as integers of 64", () => {
  assertEquals(ALLOCATOR_SHAPES.zeroed.offset.write(2 ** 32), 2n ** 32n);
  assertEquals(ALLOCATOR_SHAPES.zeroed.offset.write(2 ** 32 - 1), 2 ** 32 - 1);
});

Deno.test("ALLOCATOR_SHAPES: only alignment, name and home of a request, and the pages of an answer, may be left out", () => {
  const all = Object.keys(ALLOCATOR_SHAPES).flatMap(shape);
  const left = all.filter(([, field]) => field.optional).map(([name]) => name);
  assertEquals(left, ["align", "name", "home", "reused"]);
});

Deno.test("ALLOCATOR_SHAPES: every kind of typed array is one that JavaScript has", () => {
  for (const [type, bytes] of Object.entries(ELEMENT_BYTES)) {
    const constructor =
      (globalThis as unknown as Record<string, { BYTES_PER_ELEMENT: number }>)[type];
    assertEquals(constructor?.BYTES_PER_ELEMENT, bytes, type);
    assertEquals(ALLOCATOR_SHAPES.allocate.type.read(type), type as ElementType);
  }
});

const INVALID: readonly (readonly [kind: string, name: string, values: readonly ValueType[]])[] = [
  ["allocate", "ticket", [-1, 2 ** 32, 0.5, "1", null]],
  ["allocate", "type", ["", "Array", "DataView", "toString", "__proto__", 1, null]],
  ["allocate", "length", [0, -1, 1.5, NaN, REGION_MAX_BYTES + 1, 2n ** 60n, "1"]],
  ["allocate", "align", [0, 3, 2 ** 41, -8, 0.5, 2n ** 63n, null, "8"]],
  ["allocate", "packed", [0, 1, null, "true"]],
  ["allocate", "name", ["", "x".repeat(256), "é".repeat(128), "\ud800", 1, null, ["x"]]],
  ["allocate", "home", [0, -1, NODE_ID_MAX + 1, 0.5, "", "first-touch", "2", null]],
  ["findHome", "page", [-1, 2 ** 28, 0.5, "1", null]],
  ["homeFound", "node", [-1, NODE_ID_MAX + 1, 0.5, "spread", null]],
  ["allocated", "offset", [-1, REGION_MAX_BYTES, 0.5, null]],
  ["allocated", "dirtyBytes", [-1, REGION_MAX_BYTES + 1, "0"]],
  ["allocated", "reused", [
    null,
    [[1]],
    [[1, 0]],
    [[2 ** 28, 1]],
    [[1, REUSE_MAX_PAGES + 1]],
    Array(REUSED_RUNS_MAX + 1).fill([1, 1]),
  ]],
  ["allocated", "created", [1, null]],
  ["zeroed", "offset", [-1, REGION_MAX_BYTES, 2n ** 63n]],
  ["free", "offset", [-1, REGION_MAX_BYTES, null]],
  ["free", "bytes", [0, REGION_MAX_BYTES + 1, 1.5]],
  ["allocationFailed", "code", ["", "two words", 1]],
  ["allocationFailed", "reason", [1, "r".repeat(CONTROL_TEXT_MAX + 1)]],
];

Deno.test("ALLOCATOR_SHAPES: a field out of its bounds is refused", () => {
  for (const [kind, name, values] of INVALID) {
    const field = new Map(shape(kind)).get(name)!;
    for (const value of values) assertEquals(field.read(value), undefined, `${kind}.${name}`);
  }
});
