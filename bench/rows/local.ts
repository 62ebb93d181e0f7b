/** Nodes that compute: on memory that is here, in turns with others, with too few cores. */

import type { BenchCluster } from "../nodes.ts";
import { atMost, type Family } from "../family.ts";
import { buildZig } from "../floor/build.ts";

/** The doubles that are added up: 2 MiB. */
const LENGTH = 262_144;
const SUMS = 20;
/** What counts as 1.00. */
const SAME = 1.02;

/** Sums of doubles. */
export const cached: Family = {
  name: "cached",
  rows: [
    {
      id: "cached-sum",
      title: "sum of 2 MiB of doubles in the region",
      unit: "us",
      against: [{ row: "plain-sum", goal: atMost(SAME) }],
    },
    {
      id: "cached-shared",
      title: "the same through node.shared",
      unit: "us",
      against: [{ row: "plain-sum", goal: atMost(SAME) }],
    },
    { id: "plain-sum", title: "sum of 2 MiB of doubles in a plain array", unit: "us" },
    {
      id: "cached-wasm",
      title: "the same sum by WebAssembly, in a memory of the region",
      unit: "us",
      against: [{ row: "plain-wasm", goal: atMost(SAME) }],
    },
    { id: "plain-wasm", title: "the same sum by WebAssembly, in a memory of its own", unit: "us" },
  ],
  rounds: { full: 20, quick: 6, warmUp: true },
  async open(context, stack) {
    const main = new URL("../actions/sum.zig", import.meta.url);
    const module = await buildZig({ name: "sum", kind: "module", main });
    const cluster = stack.use(await context.cluster(3));
    // Code that has seen both kinds of buffers is slower for either.
    const [plain, sharing] = [cluster.node(2), cluster.node(3)];
    const bytes = LENGTH * Float64Array.BYTES_PER_ELEMENT;
    await plain.run("fillOnes", { offset: 0, length: LENGTH });
    await sharing.run("fillOnes", { offset: bytes, length: LENGTH });
    const job = { length: LENGTH, times: SUMS };
    const sums = (offset: number) => () => plain.run("sums", { ...job, offset, shared: false });
    const wasm = (isRegion: boolean) => () => plain.run("wasmSums", { ...job, module, isRegion });
    return {
      take: {
        "cached-sum": sums(0),
        "cached-shared": () => sharing.run("sums", { ...job, offset: bytes, shared: true }),
        "plain-sum": sums(-1),
        "cached-wasm": wasm(true),
        "plain-wasm": wasm(false),
      },
    };
  },
};

/** How long a round goes on, in milliseconds. */
const ROUND_MS = { full: 1_000, quick: 500 };
const NODES = 3;
/** The pages that all work on. */
const PAGES = { first: 1, count: 512 };

/** Three nodes that work on two cores. */
export const busy: Family = {
  name: "busy",
  rows: [
    {
      id: "busy-polling",
      title: "three busy nodes that share 512 pages, a unit of work",
      unit: "us",
      against: [{ row: "busy-asleep", goal: atMost(1.1) }],
    },
    { id: "busy-asleep", title: "the same, never polling", unit: "us" },
  ],
  rounds: { full: 5, quick: 3, warmUp: true },
  async open(context, stack) {
    const polling = stack.use(await context.cluster(NODES));
    const asleep = stack.use(await context.cluster(NODES, { pollTimeUs: 0 }));
    const ms = context.quick ? ROUND_MS.quick : ROUND_MS.full;
    let seed = 0;
    const round = (cluster: BenchCluster) => async () => {
      const work = cluster.nodes.map((node) => node.run("work", { ...PAGES, ms, seed: ++seed }));
      const units = (await Promise.all(work)).reduce((sum, units) => sum + units, 0);
      return [ms * 1000 / units];
    };
    return {
      take: { "busy-polling": round(polling), "busy-asleep": round(asleep) },
    };
  },
};

/** The cells of a side, and how much of the time of one node two may take. */
const PLATES = [
  { cells: 1024, goal: atMost(1) },
  { cells: 2048, goal: atMost(0.67) },
];
const STEPS = { full: 50, quick: 10 };

/** Jacobi's method, the program of the textbooks: what two nodes gain. */
export const jacobi: Family = {
  name: "jacobi",
  rows: PLATES.flatMap(({ cells, goal }) => {
    const title = `a step of Jacobi, ${cells}² cells, native loop`;
    const one = `jacobi-${cells}-one`;
    const against = [{ row: one, goal }];
    return [
      { id: `jacobi-${cells}`, title: `${title}, two nodes`, unit: "ms" as const, against },
      { id: one, title: `${title}, one node`, unit: "ms" as const },
    ];
  }),
  rounds: { full: 5, quick: 1, warmUp: true },
  async open(context, stack) {
    const main = new URL("../actions/relax.zig", import.meta.url);
    const library = await buildZig({ name: "relax", kind: "library", main });
    const cluster = stack.use(await context.cluster(2, { size: "128MiB" }));
    const steps = context.quick ? STEPS.quick : STEPS.full;
    const round = (cells: number, nodes: number) => {
      let checks = true;
      return async () => {
        const plate = { library, cells, steps, nodes, checks };
        checks = false;
        const parts = cluster.nodes.slice(0, nodes).map((node) => node.run("jacobi", plate));
        return [Math.max(...await Promise.all(parts))];
      };
    };
    return {
      take: Object.fromEntries(PLATES.flatMap(({ cells }) => [
        [`jacobi-${cells}`, round(cells, 2)],
        [`jacobi-${cells}-one`, round(cells, 1)],
      ])),
    };
  },
};
