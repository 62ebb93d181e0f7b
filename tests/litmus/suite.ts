/**
 * Every litmus test, by every back end, in every placement.
 *
 * What is asked of which nodes:
 *
 * - **`Atomics` on real nodes: sequential consistency.** That is what the region promises, of any
 *   threads, on one node or on several.
 * - **Plain loads and stores on real nodes: total store order.** The region orders what nodes see
 *   of each other. It cannot order what threads of one node see of each other, where a processor
 *   has stores in its store buffer. So plain words promise what the machine promises its own
 *   threads, as far as the compiler keeps the order of accesses. On x86-64 that is total store
 *   order. Elsewhere plain words are not judged, and not run.
 * - **The simulator: sequential consistency.** Its threads have no store buffer.
 */

import { Histogram, type Seen } from "./histogram.ts";
import type { MemoryModel } from "./models.ts";
import { PLACEMENTS } from "./placements.ts";
import type { LitmusTest } from "./program.ts";
import { RealNodes, TOPOLOGIES, type Topology } from "./real.ts";
import { runSimulated, SIMULATED_PLACEMENTS } from "./simulated.ts";

/** What to run. */
export interface SuiteOptions {
  /** The tests. */
  readonly tests: readonly LitmusTest[];
  /** How many runs of each in each placement, at least. */
  readonly iterations: number;
  /** What chance starts from. */
  readonly seed: number;
  /** Whether to run them on real nodes. */
  readonly real: boolean;
  /** Whether to run them in the simulator. */
  readonly simulated: boolean;
  /** More flags of the directory node. */
  readonly nodeFlags: readonly string[];
}

/** What became of one test in one placement. */
export interface Report {
  readonly test: string;
  /** Where it ran: the simulator, or real nodes and with how many threads. */
  readonly where: string;
  readonly placement: string;
  /** How words were loaded and stored. */
  readonly accesses: "Atomics" | "plain";
  /** What says which outcomes are allowed. */
  readonly model: MemoryModel;
  /** How many runs had an outcome. */
  readonly runs: number;
  /** How many outcomes the model allows. */
  readonly allowed: number;
  /** Every outcome that was seen. */
  readonly outcomes: readonly Seen[];
  /** How many runs had an outcome that the model does not allow. */
  readonly forbidden: number;
  /** How often the outcome was seen that the test is known for. */
  readonly relaxed: number;
  /** What the simulator found wrong by itself, if anything. */
  readonly failure: string | undefined;
  /** The outcomes in print, a line each. */
  readonly histogram: string;
}

function report(
  histogram: Histogram,
  from: Pick<Report, "where" | "placement" | "accesses"> & { failure?: string | undefined },
): Report {
  const { test, model, runs, allowedCount, forbidden, relaxedTimes } = histogram;
  return {
    test: test.name,
    model,
    runs,
    allowed: allowedCount,
    outcomes: histogram.seen(),
    forbidden: forbidden.reduce((sum, { times }) => sum + times, 0),
    relaxed: relaxedTimes,
    failure: undefined,
    histogram: histogram.print(),
    ...from,
  };
}

/** Whether plain loads and stores make another test of it, and one that can be judged here. */
function differsPlain({ threads }: LitmusTest): boolean {
  const plain = threads.flat().some(({ kind }) => kind === "load" || kind === "store");
  return plain && Deno.build.arch === "x86_64";
}

/** Nodes are started anew after so many calls. */
const CALLS_MAX = 500;

/** The nodes of each topology, started when they are needed for the first time. */
class Nodes implements AsyncDisposable {
  readonly #running = new Map<Topology, RealNodes>();
  readonly #flags: readonly string[];

  constructor(flags: readonly string[]) {
    this.#flags = flags;
  }

  async of(topology: Topology): Promise<RealNodes> {
    const old = this.#running.get(topology);
    if (old !== undefined && old.calls < CALLS_MAX) return old;
    this.#running.delete(topology);
    await old?.[Symbol.asyncDispose]();
    const nodes = await RealNodes.start(topology, ...this.#flags);
    this.#running.set(topology, nodes);
    return nodes;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const nodes of this.#running.values()) await nodes[Symbol.asyncDispose]();
  }
}

async function* runReal(
  test: LitmusTest,
  topology: Topology,
  { iterations, seed }: SuiteOptions,
  all: Nodes,
): AsyncGenerator<Report> {
  for (const atomic of differsPlain(test) ? [true, false] : [true]) {
    for (const placement of PLACEMENTS) {
      const nodes = await all.of(topology);
      const histogram = new Histogram(test, atomic ? "SC" : "TSO");
      await nodes.run(histogram, placement, atomic, iterations, seed);
      const accesses = atomic ? "Atomics" : "plain";
      yield report(histogram, { where: topology.name, placement: placement.name, accesses });
    }
  }
}

/**
 * Runs litmus tests.
 *
 * @param options Which, where, how often.
 * @returns What became of each test in each placement, one after the other.
 */
export async function* runSuite(options: SuiteOptions): AsyncGenerator<Report> {
  const { tests, iterations, seed, nodeFlags } = options;
  await using nodes = new Nodes(nodeFlags);
  for (const test of tests) {
    for (const placement of options.simulated ? SIMULATED_PLACEMENTS : []) {
      const histogram = new Histogram(test, "SC");
      const { failure } = runSimulated(histogram, placement, iterations, seed);
      const { name } = placement;
      yield report(histogram, {
        where: "simulator",
        placement: name,
        accesses: "Atomics",
        failure,
      });
    }
    for (const topology of options.real ? TOPOLOGIES : []) {
      yield* runReal(test, topology, options, nodes);
    }
  }
}
