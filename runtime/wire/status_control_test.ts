import { encode } from "../std/msgpack_encode.js";
import { assertEquals } from "@std/assert";
import type { ValueMap, ValueType } from "../std/msgpack_encode.d.ts";
import {
  ALLOCATIONS_TOLD_MAX,
  CELLS_MAX,
  CONTROL_MAX_BYTES,
  COUNTERS_MAX,
  EVENTS_MAX,
  HISTOGRAM_BUCKETS,
  NODES_MAX,
  REGION_MAX_BYTES,
} from "../limits.ts";
import { FRAME_HEADER_BYTES } from "./layout.ts";
import { type Control, decodeControl, encodeControl } from "./control.ts";
import type { StatusControl } from "./status_control.ts";

const EXAMPLES: readonly StatusControl[] = [
  { kind: "statusRequest", protocolVersion: 1 },
  {
    kind: "clusterStatus",
    size: REGION_MAX_BYTES,
    pageSize: 4096,
    compression: true,
    nodes: NODES_MAX,
  },
  {
    kind: "nodeStatus",
    id: 2,
    address: "fe80::2",
    port: 40_000,
    counters: { faults: 0, bytesSent: Number.MAX_SAFE_INTEGER },
  },
  { kind: "nodeStatus", id: 3, address: "10.0.0.3", port: 1 },
  {
    kind: "clusterStatus",
    size: 4096,
    pageSize: 4096,
    compression: false,
    nodes: 1,
    named: [{ name: "gr\u{1f4a1}d", first: 0, count: 2 ** 28 }, { name: "x", first: 1, count: 1 }],
  },
  { kind: "nodeStatus", id: 4, address: "::1", port: 1, counters: {}, moves: [2 ** 53 - 1, 0] },
  { kind: "statusRequest", protocolVersion: 1, since: 0, run: { first: 0, count: 2 ** 28 } },
  {
    kind: "clusterWaits",
    places: (["semaphore", "barrier", "mutex", "word"] as const).map((kind) => ({
      kind,
      name: "n",
      holder: 0,
      parties: 2,
      count: 1,
      waiting: [7],
    })),
  },
  {
    kind: "clusterEvents",
    events: [{ number: 1, atMs: 2 ** 42, level: 3, text: "Node 2 is here" }],
  },
  { kind: "statsRequest", ticket: 1 },
  { kind: "statsRequest", ticket: 2, runs: [{ first: 2 ** 28 - 1, count: 1 }] },
  { kind: "stats", ticket: 0xffff_ffff, counters: {} },
  { kind: "stats", ticket: 1, counters: {}, moves: Array(ALLOCATIONS_TOLD_MAX).fill(7) },
];

Deno.test("encodeControl: every message about the state of a cluster arrives as it left", () => {
  const target = new Uint8Array(CONTROL_MAX_BYTES);
  for (const control of EXAMPLES) {
    const body = target.slice(FRAME_HEADER_BYTES, encodeControl(control, target, 0));
    assertEquals(decodeControl(body), { kind: "control", control });
  }
});

/** An example with a field that is wrong. */
function spoil(kind: Control["kind"], field: string, value: ValueType): Uint8Array {
  const example = EXAMPLES.find((control) => control.kind === kind)!;
  return encode({ ...example as unknown as ValueMap, [field]: value });
}

function many(count: number): ValueMap {
  const letters = (number: number): string => String.fromCharCode(97 + number % 26);
  const names = Array.from({ length: count }, (_, at) => letters(at / 26 | 0) + letters(at));
  return Object.fromEntries(names.map((name) => [name, 1]));
}

Deno.test("decodeControl: counters that are none are refused", () => {
  const wrong: readonly ValueType[] = [
    null,
    7,
    [["faults", 1]],
    new Uint8Array(3),
    { faults: -1 },
    { faults: 1.5 },
    { faults: "1" },
    { faults: 2n ** 60n },
    { "two words": 1 },
    { "": 1 },
    many(COUNTERS_MAX + 1),
  ];
  for (const value of wrong) {
    const detail = "nodeStatus.counters";
    const expected = { kind: "malformed", reason: "ControlFieldInvalid", detail } as const;
    assertEquals(decodeControl(spoil("nodeStatus", "counters", value)), expected);
  }
  assertEquals(decodeControl(spoil("nodeStatus", "counters", many(COUNTERS_MAX))).kind, "control");
});

Deno.test("decodeControl: fields out of bounds are refused", () => {
  const wrong: readonly [kind: Control["kind"], field: string, value: ValueType][] = [
    ["statusRequest", "protocolVersion", 256],
    ["clusterStatus", "nodes", 0],
    ["clusterStatus", "nodes", NODES_MAX + 1],
    ["clusterStatus", "pageSize", 512],
    ["nodeStatus", "id", 0],
    ["statsRequest", "ticket", 0],
    ["stats", "ticket", 2n ** 32n],
    ["statusRequest", "since", -1],
    ["statusRequest", "run", [1, 0]],
    ["stats", "sources", [[0, 1]]],
    ["stats", "waits", Array(HISTOGRAM_BUCKETS + 2).fill(0)],
    ["stats", "cells", new Uint8Array(13)],
    ["stats", "cells", new Uint8Array(12 * (CELLS_MAX + 1))],
    ["stats", "cells", [1]],
    ["clusterWaits", "places", [[4, "a", 0, 0, 1, [1]]]],
    ["clusterWaits", "places", [[0, "a", 0, 0, 1, [0]]]],
    ["clusterEvents", "events", [[1, 2, 3]]],
    ["clusterEvents", "events", Array(EVENTS_MAX + 1).fill([1, 1, 1, "a"])],
    ["stats", "moves", [-1]],
    ["stats", "moves", 3],
    ["stats", "moves", Array(ALLOCATIONS_TOLD_MAX + 1).fill(1)],
    ["statsRequest", "runs", [[1, 0]]],
    ["statsRequest", "runs", [[1, 1, 1]]],
    ["statsRequest", "runs", [[2 ** 28, 1]]],
    ["clusterStatus", "named", [["", 0, 1]]],
    ["clusterStatus", "named", [["a", 0]]],
  ];
  for (const [kind, field, value] of wrong) {
    const expected = {
      kind: "malformed",
      reason: "ControlFieldInvalid",
      detail: `${kind}.${field}`,
    };
    assertEquals<unknown>(decodeControl(spoil(kind, field, value)), expected);
  }
});
