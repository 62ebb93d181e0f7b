/**
 * Real programs: what they move on real nodes, beside what the simulator says that they move, and
 * the speed-up that it predicts for machines that are not here.
 */

import { HOLD_TIME_DEFAULT_US, RUN_MAX_PAGES } from "../../runtime/limits.ts";
import { SETTINGS } from "../../runtime/settings/table.ts";
import { type Network, networks } from "./network.ts";
import type { Program } from "./program.ts";
import { measureLoopback, runReally } from "./real.ts";
import {
  type Comparison,
  type FormPrediction,
  type NetworkPrediction,
  type Prediction,
  type ProgramReport,
  ratioOf,
  type Run,
} from "./report.ts";
import {
  makeForms,
  makeSuite,
  PREDICTED_SIZE,
  QUICK_SIZE,
  RATIO_MAX,
  RATIO_SLACK,
  REAL_SIZE,
  runSerially,
  type SerialRun,
} from "./suite.ts";
import { simulate, type SimulatedRun, type SimulationOptions } from "./simulation.ts";

export { describe, type ProgramReport } from "./report.ts";

/** What to run. */
export interface ProgramsOptions {
  /** On how many real nodes; 1, 2, 4 and 8 where nothing is said. */
  readonly nodes?: readonly number[];
  /** Whether to take smaller sizes, for a first look. */
  readonly quick?: boolean;
  /** What an engine is assumed to work for each input and each message out, in microseconds. */
  readonly engineUs?: number;
  /** Told what is being done. */
  readonly progress?: (line: string) => void;
}

const NODES = [1, 2, 4, 8];
const PREDICTED_NODES = [1, 2, 4, 8, 16, 32, 64];
const SERIAL_RUNS = 3;

/** The settings that nodes have unless they are told otherwise, as the real ones have them. */
export const PROTOCOL: SimulationOptions["protocol"] = {
  runPages: RUN_MAX_PAGES,
  holdTimeUs: HOLD_TIME_DEFAULT_US,
  migration: true,
  readAhead: SETTINGS.readAhead.default,
  placement: SETTINGS.homes.default ?? "auto",
};

/**
 * Runs the programs on real nodes, simulates the same, and predicts larger ones.
 *
 * @param options What to run.
 * @returns A report for each program.
 * @throws {Error} When a result is wrong, or a node fails.
 */
export async function programs(options: ProgramsOptions = {}): Promise<ProgramReport[]> {
  const { nodes = NODES, quick = false, engineUs, progress = () => {} } = options;
  const size = quick ? QUICK_SIZE : REAL_SIZE;
  progress("a remote read miss");
  const missCosts = await measureLoopback();
  const runs = new Map<number, Run[]>();
  for (const count of nodes) {
    progress(`programs on ${count} real ${count === 1 ? "node" : "nodes"}`);
    runs.set(count, await runReally(size, count));
  }
  const all = networks(missCosts, engineUs);
  const predicted = makeForms(quick ? REAL_SIZE : PREDICTED_SIZE);
  return makeSuite(size).map((program, index) => {
    progress(`simulating ${program.name}`);
    const real = nodes.map((count): [number, Run] => [count, runs.get(count)![index]!]);
    const { name, unit } = program;
    return {
      name,
      unit,
      missCosts,
      ...compareAll(program, real, all[0]!),
      ...predictAll(predicted[index]!, all),
    };
  });
}

/** Simulates the runs that were real. */
function compareAll(program: Program, runs: [nodes: number, Run][], network: Network) {
  const serial = runSerially(program, SERIAL_RUNS);
  const comparisons = runs.map(([nodes, real]): Comparison => {
    const { us, counts, busiest } = run(program, nodes, serial, network);
    return {
      nodes,
      real,
      simulated: { ms: us / 1000, counts, busiest },
      ratio: ratioOf(real.counts, counts, RATIO_SLACK),
    };
  });
  const ratioMax = RATIO_MAX[program.name]!;
  const agrees = comparisons.every(({ ratio }) => ratio <= ratioMax);
  return { serial: { size: program.size, ...serial }, comparisons, ratioMax, agrees };
}

/** Simulates what cannot be run here; all forms of a program are compared with its first. */
function predictAll(forms: readonly Program[], all: readonly Network[]) {
  const first = forms[0]!;
  const serial = runSerially(first, SERIAL_RUNS);
  const predictions = forms.map((program): FormPrediction => ({
    size: program.size,
    networks: all.map((network): NetworkPrediction => ({
      network,
      runs: PREDICTED_NODES.map((nodes): Prediction => {
        const { us, ...rest } = run(program, nodes, serial, network);
        return { nodes, ms: us / 1000, speedUp: serial.ms * 1000 / us, ...rest };
      }),
    })),
  }));
  return { predictedSerial: { size: first.size, ...serial }, predictions };
}

function run(
  program: Program,
  nodes: number,
  { ms, units }: SerialRun,
  network: Network,
): SimulatedRun {
  const unitUs = ms * 1000 / units;
  return simulate({ program, nodes, network, unitUs, protocol: PROTOCOL });
}
