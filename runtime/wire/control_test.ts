import { decode } from "../std/msgpack_decode.js";
import { encode } from "../std/msgpack_encode.js";
import { assert, assertEquals, assertThrows } from "@std/assert";
import type { ValueType } from "../std/msgpack_encode.d.ts";
import { BOUNDS, CONTROLS, ofKind, readGoldenFrames } from "../../tests/support/frames.ts";
import { TdsmError } from "../errors.ts";
import {
  ADDRESS_MAX_BYTES,
  CONTROL_MAX_BYTES,
  CONTROL_TEXT_MAX,
  NODE_ID_MAX,
  NODES_MAX,
} from "../limits.ts";
import { decodeFrame } from "./page_frames.ts";
import { FRAME_HEADER_BYTES } from "./layout.ts";
import type { FrameReason } from "./reason.ts";
import { type Control, decodeControl, encodeControl, type WelcomeControl } from "./control.ts";
import { REGION_NAMES } from "./region_settings.ts";

const golden = readGoldenFrames();
const target = new Uint8Array(CONTROL_MAX_BYTES + 1);

function roundTrip(control: Control): Control {
  const size = encodeControl(control, target, 1);
  const frame = ofKind(decodeFrame(target, 1, 1 + size, BOUNDS), "control");
  assertEquals(frame.size, size);
  return ofKind(decodeControl(frame.body), "control").control;
}

/** A control message as MessagePack has it, to be spoiled. */
function example(label: string): Record<string, ValueType> {
  return decode(golden.get(label)!.slice(FRAME_HEADER_BYTES)) as Record<string, ValueType>;
}

Deno.test("encodeControl: every control message has its golden bytes, both ways", async (t) => {
  for (const [label, control] of CONTROLS) {
    await t.step(label, () => {
      const size = encodeControl(control, target, 0);
      assertEquals(target.slice(0, size), golden.get(label)!);
      assertEquals(roundTrip(control), control);
    });
  }
});

Deno.test("encodeControl: a welcome lists as many nodes as a cluster can have", () => {
  const peer = { id: NODE_ID_MAX, address: "x".repeat(ADDRESS_MAX_BYTES), port: 65_535 };
  const [, welcome] = CONTROLS.find(([label]) => label === "welcome")!;
  const full = { ...welcome as WelcomeControl, peers: Array(NODES_MAX).fill(peer) };
  assertEquals(roundTrip(full), full);
});

Deno.test("encodeControl: a control message out of bounds does not leave", () => {
  const wrong: readonly Control[] = [
    { kind: "accept", node: 0 },
    { kind: "freed", ticket: 1.5 },
    { kind: "peerJoined", id: 1, address: "x".repeat(ADDRESS_MAX_BYTES + 1), port: 1 },
    { kind: "peerJoined", id: 1, address: "", port: 1 },
    { kind: "refuse", code: "two words", reason: "" },
  ];
  for (const control of wrong) {
    const error = assertThrows(() => encodeControl(control, target, 0), TdsmError);
    assertEquals((error as TdsmError).code, "LimitExceeded");
  }
});

Deno.test("encodeControl: a reason that is too long arrives cut", () => {
  const reason = "r".repeat(CONTROL_TEXT_MAX);
  const refuse: Control = { kind: "refuse", code: "JoinRefused", reason };
  assertEquals(roundTrip({ ...refuse, reason: reason + "!" }), refuse);
});

Deno.test("decodeControl: control characters of a text arrive as spaces", () => {
  const reason = "\x1b]0;title\x07 first\r\nsecond\x9b2J";
  const arrived = " ]0;title  first second 2J";
  const abort = { kind: "abort", node: 2, reason } as const;
  assertEquals(roundTrip(abort), { ...abort, reason: arrived });
  const refuse = { kind: "refuse", code: "JoinRefused", reason } as const;
  assertEquals(roundTrip(refuse), { ...refuse, reason: arrived });
});

Deno.test("encodeControl: a target without room is refused", () => {
  assertThrows(() => encodeControl({ kind: "closing" }, new Uint8Array(40), 0), RangeError);
});

function reasonOf(value: ValueType): FrameReason {
  return ofKind(decodeControl(encode(value)), "malformed").reason;
}

Deno.test("decodeControl: a body that is no map is refused", () => {
  const values: readonly ValueType[] = [null, 1, "hello", [], ["kind"], new Uint8Array(3), true];
  for (const value of values) assertEquals(reasonOf(value), "ControlNotMap");
  const bodies: readonly Uint8Array[] = [
    new Uint8Array(0),
    new Uint8Array([0xc1]),
    new Uint8Array([0xdf, 0xff, 0xff, 0xff, 0xff]),
    new Uint8Array([...encode({ kind: "closing" }), 0]),
    new Uint8Array(CONTROL_MAX_BYTES).fill(0x91),
  ];
  for (const body of bodies) {
    assertEquals(ofKind(decodeControl(body), "malformed").reason, "ControlNotMap");
  }
});

Deno.test("decodeControl: a body cut anywhere is refused", () => {
  for (const [label] of CONTROLS) {
    const body = golden.get(label)!.slice(FRAME_HEADER_BYTES);
    for (let length = 0; length < body.length; length++) {
      assertEquals(
        ofKind(decodeControl(body.subarray(0, length)), "malformed").reason,
        "ControlNotMap",
      );
    }
  }
});

Deno.test("decodeControl: a kind that is unknown is refused", () => {
  for (const kind of ["", "Hello", "toString", "__proto__", 1, null]) {
    assertEquals(reasonOf({ kind }), "ControlKindUnknown");
  }
  assertEquals(reasonOf({}), "ControlKindUnknown");
});

const OPTIONAL = new Set([
  ...REGION_NAMES.map((name) => `hello.${name}`),
  "hello.rank",
  "allocate.align",
  "allocate.name",
  "allocate.home",
  "allocated.reused",
  "clusterStatus.named",
  "nodeStatus.figures",
  ...["runs", "looks", "looked"].map((name) => `statsRequest.${name}`),
  "statusRequest.since",
  "statusRequest.looked",
  "settled.lacks",
]);

Deno.test("decodeControl: each field that is missing or unknown is refused", () => {
  for (const [label] of CONTROLS) {
    const whole = example(label);
    for (const name of Object.keys(whole).filter((key) => key !== "kind")) {
      const { [name]: _, ...rest } = whole;
      if (OPTIONAL.has(`${whole.kind}.${name}`)) continue;
      assertEquals(reasonOf(rest), "ControlFieldMissing", `${label} without ${name}`);
    }
    assertEquals(reasonOf({ ...whole, extra: 1 }), "ControlFieldUnknown", label);
  }
});

Deno.test("decodeControl: a field named __proto__ is one that no kind has", () => {
  // { "kind": "closing", "__proto__": { "extra": 1 } }
  const entries = [...encode("kind"), ...encode("closing"), ...encode("__proto__")];
  const body = new Uint8Array([0x82, ...entries, ...encode({ extra: 1 })]);
  assertEquals(ofKind(decodeControl(body), "malformed").reason, "ControlFieldUnknown");
});

const INVALID: readonly (readonly [label: string, name: string, values: readonly ValueType[]])[] = [
  ["hello of a peer", "session", [1, "1", -1n]],
  ["hello of a peer", "node", [-1, 0xffff_ffff, 1.5, "1", null, 2n ** 60n]],
  ["hello of a peer", "address", ["", 1, "a b", "a\n", "x".repeat(ADDRESS_MAX_BYTES + 1)]],
  ["hello of a peer", "port", [0, 65_536, NaN]],
  ["hello of a node that joins", "size", [0, 2 ** 41, "64MiB"]],
  ["hello of a node that joins", "pageSize", [0, 4095, 5000, 2 ** 30]],
  ["hello of a peer", "serving", [0, null, "yes"]],
  ["hello of a peer", "release", [1, "r".repeat(CONTROL_TEXT_MAX + 1)]],
  ["welcome", "runPages", [0, 129]],
  ["welcome to a cluster with homes on every node", "homes", ["", "everywhere", 1, null]],
  ["in default", "node", [0, -1]],
  ["room elsewhere", "spare", [-1, 2 ** 32]],
  ["welcome", "holdTimeUs", [-1, 1e9]],
  ["welcome", "compression", [0, null, "true"]],
  ["welcome", "peers", [
    null,
    {},
    [1],
    [[1, "a"]],
    [[1, "a", 1, 1]],
    [[0, "a", 1]],
    [[1, "", 1]],
    [[1, "a", 0]],
    Array(NODES_MAX + 1).fill([1, "a", 1]),
  ]],
  ["refuse", "code", ["", "No Code", 1, "x".repeat(65)]],
  ["accept", "node", [0, 0xffff_ffff]],
  ["freed", "ticket", [-1, 2 ** 32, true]],
  ["allocate", "type", ["Array", "toString", 1]],
  ["allocate", "length", [0, -1, 1.5, 2 ** 41]],
  ["allocate", "align", [0, 3, 2 ** 41]],
  ["allocate", "name", ["", "x".repeat(256), 1]],
  ["allocate", "packed", [1, null]],
  ["allocate with a home", "home", [0, -1, "all", null, 2 ** 32]],
  ["find home", "page", [-1, "1"]],
  ["home found", "node", [-1, null]],
  ["allocated", "offset", [-1, 2 ** 40]],
  ["allocated", "dirtyBytes", [-1, 2 ** 40 + 1, "all"]],
  ["allocated", "created", [1]],
  ["zeroed", "offset", [-1, null]],
  ["free", "bytes", [0, 0.5]],
  ["allocation failed", "code", ["", "no word"]],
];

Deno.test("decodeControl: each field out of its bounds is refused by name", () => {
  for (const [label, name, values] of INVALID) {
    const whole = example(label);
    for (const value of values) {
      const result = ofKind(decodeControl(encode({ ...whole, [name]: value })), "malformed");
      assertEquals(result.reason, "ControlFieldInvalid", `${label}, ${name}`);
      assertEquals(result.detail, `${whole.kind}.${name}`);
    }
  }
});

Deno.test("decodeControl: a number above 32 bits may come as a float or as an integer", () => {
  const hello = example("hello of a node that joins");
  for (const size of [2 ** 33, 2n ** 33n]) {
    const { control } = ofKind(decodeControl(encode({ ...hello, size })), "control");
    assert(control.kind === "hello" && control.size === 2 ** 33);
  }
});
