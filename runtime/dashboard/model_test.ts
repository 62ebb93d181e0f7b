import { assert, assertEquals } from "@std/assert";
import { encodeCells } from "../wire/status_control.ts";
import { describePlace, heatOf, History, isFought } from "./model.ts";
import type { ClusterSnapshot, NodeSnapshot, Pages } from "./snapshot.ts";

const ALLOCATIONS = [
  { name: "grid", first: 0, count: 100 },
  { name: "totals", first: 100, count: 1 },
];

function node(id: number, parts: Partial<NodeSnapshot> = {}): NodeSnapshot {
  return {
    id,
    at: `h:${id}`,
    stats: {},
    moves: [0, 0],
    waits: [],
    sources: [],
    cells: null,
    ...parts,
  };
}

function snapshot(
  atMs: number,
  nodes: NodeSnapshot[],
  run: Pages | null = null,
  parts: Partial<ClusterSnapshot> = {},
): ClusterSnapshot {
  return {
    kind: "cluster",
    atMs,
    session: 1,
    directory: "h:1",
    size: 2 ** 20,
    pageSize: 4096,
    allocations: ALLOCATIONS,
    nodes,
    run,
    cellPages: 1,
    places: [],
    events: [],
    ...parts,
  };
}

function cells(...moves: number[]): string {
  return encodeCells(moves.map((count) => ({ moves: count, shared: 0, exclusive: 1 }))).toBase64();
}

Deno.test("History: what nodes have counted becomes what they do in a second", () => {
  const past = new History();
  const first = past.take(snapshot(0, [
    node(1, { stats: { faults: 10, pagesMoved: 5 }, moves: [1, 4] }),
    node(2, { stats: { faults: 0, pagesMoved: 0 }, sources: [[1, 3]] }),
  ]));
  assertEquals(first.nodes.map(({ rates }) => rates), [{}, {}]);
  assertEquals(first.allocations.map(({ perSecond }) => perSecond), [0, 0]);
  const second = past.take(snapshot(2000, [
    node(1, { stats: { faults: 30, pagesMoved: 105 }, moves: [1, 84] }),
    node(2, { stats: { faults: 4, pagesMoved: 60 }, moves: [2, 40], sources: [[1, 23], [3, 2]] }),
    node(3, { stats: { faults: 1000 } }),
    node(4, { stats: null }),
  ]));
  assertEquals(second.nodes.map(({ rates }) => rates.faults), [10, 2, undefined, undefined]);
  assertEquals(second.sums, { faults: 12, pagesMoved: 80 });
  assertEquals(second.allocations, [
    {
      name: "totals",
      first: 100,
      count: 1,
      perSecond: 60,
      byNode: [{ node: 1, perSecond: 40 }, { node: 2, perSecond: 20 }],
      isFought: true,
    },
    {
      name: "grid",
      first: 0,
      count: 100,
      perSecond: 1,
      byNode: [{ node: 2, perSecond: 1 }],
      isFought: false,
    },
  ]);
  assertEquals(second.othersPerSecond, 19);
  assertEquals(second.links, [
    { from: 1, to: 2, pagesPerSecond: 10 },
    { from: 3, to: 2, pagesPerSecond: 1 },
  ]);
});

Deno.test("History: an allocation keeps its counts where others come before it, and begins anew elsewhere", () => {
  const past = new History();
  past.take(snapshot(0, [node(1, { moves: [10, 7] })]));
  const allocations = [
    { name: "new", first: 7, count: 1 },
    { name: "totals", first: 100, count: 1 },
    { name: "grid", first: 300, count: 100 },
  ];
  const { allocations: seen } = past.take(
    snapshot(1000, [node(1, { moves: [1, 9, 10] })], null, { allocations }),
  );
  assertEquals(seen.map(({ name, perSecond }) => [name, perSecond]), [
    ["totals", 2],
    ["new", 0],
    ["grid", 0],
  ]);
});

Deno.test("History: rates are those since about a second ago, and none reach into another session", () => {
  const past = new History();
  const at = (atMs: number, faults: number, session = 1) =>
    past.take(snapshot(atMs, [node(1, { stats: { faults } })], null, { session })).sums.faults;
  assertEquals(at(0, 0), undefined);
  assertEquals(at(100, 100), 1000);
  assertEquals(at(1000, 1000), 1000);
  // A moment with nothing in it is none in which nothing happens.
  assertEquals(at(1100, 1000), 900);
  assertEquals(at(2000, 2000, 2), undefined);
});

Deno.test("History: cells tell which nodes take and have pages, once the same ones were seen twice", () => {
  const past = new History();
  const run = { first: 40, count: 2 };
  const nodes = (one: string | null, two: string | null) => [
    node(1, { cells: one }),
    node(2, { cells: two }),
  ];
  const [unknown] = past.take(snapshot(0, nodes(cells(5, 0), null), run)).cells;
  assertEquals([unknown!.perSecond, unknown!.owners], [undefined, [{ node: 1, pages: 1 }]]);
  // The count of node 2 has begun anew behind 2^32.
  const seen = past.take(snapshot(1000, nodes(cells(8, 0), cells(6, 0)), run)).cells;
  assertEquals(seen.map(({ first, perSecond }) => [first, perSecond]), [[40, 9], [41, 0]]);
  assertEquals(seen[0]!.byNode, [{ node: 2, perSecond: 6 }, { node: 1, perSecond: 3 }]);
  const wrapped = past.take(snapshot(2000, nodes(cells(2 ** 32 + 3, 0), cells(6, 0)), run)).cells;
  assertEquals(wrapped[0]!.byNode, [{ node: 1, perSecond: 2 ** 32 - 5 }]);
  const other = past.take(snapshot(3000, nodes(cells(9), null), { first: 41, count: 1 })).cells;
  assertEquals(other.map(({ perSecond }) => perSecond), [undefined]);
});

Deno.test("History: a node that does not answer once seems to do nothing, then and next time", () => {
  const past = new History();
  const run = { first: 40, count: 1 };
  const counts = { stats: { faults: 9 }, moves: [50, 0], waits: [0, 9], cells: cells(50) };
  const nodes = [
    node(1, { ...counts, sources: [[2, 50]] }),
    node(1, { stats: null, moves: [] }),
    node(1, { ...counts, sources: [[2, 50]] }),
  ];
  for (const [index, node] of nodes.entries()) {
    const { allocations, links, latency, cells } = past.take(snapshot(1000 * index, [node], run));
    assertEquals(allocations.map(({ perSecond }) => perSecond), [0, 0]);
    assertEquals([links, latency, cells[0]!.byNode], [[], undefined, []]);
  }
});

Deno.test("History: latency is made of what all nodes have waited since", () => {
  const past = new History();
  assertEquals(past.take(snapshot(0, [node(1, { waits: [0, 9] })])).latency, undefined);
  const waits = [0, 9, 0, 0, 0, 100];
  const { latency } = past.take(snapshot(1000, [node(1, { waits }), node(2, { waits })]));
  // All are between 16 and 32 us.
  assertEquals(latency?.medianUs, 24);
  assert(latency!.worstUs > 31 && latency!.worstUs < 32);
  const still = past.take(snapshot(2000, [node(1, { waits }), node(2, { waits })])).latency;
  assertEquals(still, undefined);
});

Deno.test("isFought: several nodes take the same pages, and not a large array that is passed on", () => {
  const byNode = (...rates: number[]) =>
    rates.map((perSecond, index) => ({ node: index + 1, perSecond }));
  assertEquals(isFought({ count: 1, byNode: byNode(300, 200) }), true);
  assertEquals(isFought({ count: 1, byNode: byNode(500) }), false);
  assertEquals(isFought({ count: 1, byNode: byNode(9, 8) }), false);
  assertEquals(isFought({ count: 1000, byNode: byNode(300, 200) }), false);
});

Deno.test("heatOf: one more for each power of ten", () => {
  const rates = [undefined, 0, 0.02, 0.5, 1, 9.9, 10, 100, 1000, 1e6];
  assertEquals(rates.map(heatOf), [0, 0, 1, 1, 2, 2, 3, 4, 5, 5]);
});

Deno.test("describePlace says which nodes wait, and for which", () => {
  const place = {
    kind: "mutex",
    name: "a",
    holder: 3,
    parties: 0,
    count: 2,
    waiting: [2, 2],
  } as const;
  assertEquals(describePlace(place), "node 2 waiting for node 3");
  assertEquals(describePlace({ ...place, count: 0, waiting: [] }), "held by node 3");
  assertEquals(
    describePlace({
      ...place,
      kind: "barrier",
      holder: 0,
      parties: 4,
      count: 3,
      waiting: [1, 2, 4],
    }),
    "3 of 4 have arrived (nodes 1, 2, 4); 1 lacking",
  );
  const many = { ...place, holder: 0, count: 40, waiting: [1, 2] };
  assertEquals(describePlace({ ...many, kind: "semaphore" }), "nodes 1, 2, … waiting for a permit");
  assertEquals(describePlace({ ...many, kind: "word" }), "nodes 1, 2, … waiting for a notify");
});
