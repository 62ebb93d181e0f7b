import { encode } from "../std/msgpack_encode.js";
import { assert, assertEquals } from "@std/assert";
import type { ValueMap, ValueType } from "../std/msgpack_encode.d.ts";
import {
  ADDRESS_MAX_BYTES,
  ALLOCATIONS_TOLD_MAX,
  CELLS_MAX,
  CONTROL_MAX_BYTES,
  COUNTERS_MAX,
  EVENTS_MAX,
  FIGURES_MAX_BYTES,
  HISTOGRAM_BUCKETS,
  LOOK_RUNS_MAX,
  NODE_ID_MAX,
  NODES_MAX,
  REGION_MAX_BYTES,
} from "../limits.ts";
import { FRAME_HEADER_BYTES } from "./layout.ts";
import { type Control, decodeControl, encodeControl } from "./control.ts";
import {
  decodeFigures,
  encodeFigures,
  type Figures,
  type StatusControl,
} from "./status_control.ts";

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
    figures: encodeFigures({ counters: { faults: 0, bytesSent: Number.MAX_SAFE_INTEGER } }),
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
  {
    kind: "nodeStatus",
    id: 4,
    address: "::1",
    port: 1,
    figures: new Uint8Array(FIGURES_MAX_BYTES),
  },
  { kind: "statusRequest", protocolVersion: 1, since: 0, looked: [{ first: 0, count: 2 ** 28 }] },
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
  { kind: "stats", ticket: 0xffff_ffff, figures: encodeFigures({ counters: {} }) },
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

/** What nodes tell of themselves, from the least to the most. */
const FIGURES: readonly Figures[] = [
  { counters: {} },
  { counters: { faults: 0, bytesSent: Number.MAX_SAFE_INTEGER }, moves: [2 ** 53 - 1, 0] },
  {
    counters: many(COUNTERS_MAX) as Figures["counters"],
    moves: Array(ALLOCATIONS_TOLD_MAX).fill(Number.MAX_SAFE_INTEGER),
    sources: Array(NODES_MAX).fill({ node: NODE_ID_MAX, pages: Number.MAX_SAFE_INTEGER }),
    waits: Array(HISTOGRAM_BUCKETS + 1).fill(Number.MAX_SAFE_INTEGER),
    cells: Array(LOOK_RUNS_MAX).fill(new Uint8Array(12 * CELLS_MAX)),
  },
];

Deno.test("encodeFigures: what a node tells of itself arrives as it left, and one frame has the most", () => {
  for (const figures of FIGURES) {
    const written = encodeFigures(figures);
    assert(written.length <= FIGURES_MAX_BYTES);
    assertEquals(decodeFigures(written), figures);
    for (let length = 0; length < Math.min(written.length, 100); length++) {
      assertEquals(decodeFigures(written.subarray(0, length)), undefined);
    }
  }
  const most = encodeFigures(FIGURES.at(-1)!);
  const address = "a".repeat(ADDRESS_MAX_BYTES);
  const target = new Uint8Array(CONTROL_MAX_BYTES);
  const control = { kind: "nodeStatus", id: NODE_ID_MAX, address, port: 65_535, figures: most };
  encodeControl(control as StatusControl, target, 0);
});

Deno.test("encodeControl: a message that is sent to several nodes is the same bytes for each", () => {
  const first = { kind: "statsRequest", ticket: 1 } as const;
  const other = { kind: "statsRequest", ticket: 2 } as const;
  const encoded = [first, first, other, first].map((control) => {
    const target = new Uint8Array(CONTROL_MAX_BYTES);
    return target.slice(0, encodeControl(control, target, 0));
  });
  assertEquals(encoded[1], encoded[0]);
  assertEquals(encoded[3], encoded[0]);
  assertEquals(decodeControl(encoded[2]!.subarray(FRAME_HEADER_BYTES)), {
    kind: "control",
    control: other,
  });
});

/** What a node tells of itself, with a field that is wrong. */
function spoilFigures(field: string, value: ValueType): Uint8Array {
  return encode({ counters: {}, [field]: value });
}

Deno.test("decodeFigures: counters that are none are refused", () => {
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
    assertEquals(decodeFigures(spoilFigures("counters", value)), undefined);
  }
  assertEquals(decodeFigures(spoilFigures("counters", many(COUNTERS_MAX)))?.moves, undefined);
});

Deno.test("decodeFigures: fields out of bounds, missing or unknown are refused", () => {
  const wrong: readonly [field: string, value: ValueType][] = [
    ["sources", [[0, 1]]],
    ["waits", Array(HISTOGRAM_BUCKETS + 2).fill(0)],
    ["cells", [new Uint8Array(0)]],
    ["cells", [new Uint8Array(13)]],
    ["cells", [new Uint8Array(12 * (CELLS_MAX + 1))]],
    ["cells", [1]],
    ["cells", new Uint8Array(12)],
    ["cells", Array(LOOK_RUNS_MAX + 1).fill(new Uint8Array(12))],
    ["moves", [-1]],
    ["moves", 3],
    ["moves", Array(ALLOCATIONS_TOLD_MAX + 1).fill(1)],
    ["more", 1],
  ];
  for (const [field, value] of wrong) {
    assertEquals(decodeFigures(spoilFigures(field, value)), undefined, field);
  }
  assertEquals(decodeFigures(encode({ moves: [1] })), undefined);
  assertEquals(decodeFigures(encode([1])), undefined);
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
    ["statusRequest", "looked", [[1, 0]]],
    ["statusRequest", "looked", Array(LOOK_RUNS_MAX + 1).fill([1, 1])],
    ["stats", "figures", new Uint8Array(0)],
    ["stats", "figures", new Uint8Array(FIGURES_MAX_BYTES + 1)],
    ["nodeStatus", "figures", { counters: {} }],
    ["clusterWaits", "places", [[4, "a", 0, 0, 1, [1]]]],
    ["clusterWaits", "places", [[0, "a", 0, 0, 1, [0]]]],
    ["clusterEvents", "events", [[1, 2, 3]]],
    ["clusterEvents", "events", Array(EVENTS_MAX + 1).fill([1, 1, 1, "a"])],
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
