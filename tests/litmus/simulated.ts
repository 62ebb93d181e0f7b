/**
 * Runs litmus tests in the simulator. There a seed decides when each message, fault and thread goes
 * on, so schedules come up that real nodes hardly ever have. Its memory is sequentially consistent
 * within a node, so all outcomes have to be.
 */

import { InvariantError } from "../simulator/coherence/oracle.ts";
import type { PlantedBug } from "../simulator/coherence/planted_bugs.ts";
import {
  type Instruction as Access,
  type Program,
  runPrograms,
} from "../simulator/coherence/programs.ts";
import { Random } from "../simulator/coherence/random.ts";
import type { Histogram } from "./histogram.ts";
import { type Instruction, type Thread, wordsOf } from "./program.ts";

/** A way to place the words of a test in the simulator, where pages have few words. */
export interface SimulatedPlacement {
  /** Its name. */
  readonly name: string;
  /** What is special about it. */
  readonly about: string;
  /** Whether all words share a page. */
  readonly onePage: boolean;
  /** The most accesses of each thread before the test. */
  readonly warmUp: number;
}

/** Every placement. */
export const SIMULATED_PLACEMENTS: readonly SimulatedPlacement[] = [
  { name: "apart", about: "each word in a page of its own", onePage: false, warmUp: 0 },
  { name: "together", about: "all words in one page", onePage: true, warmUp: 0 },
  {
    name: "walk",
    about: "each word in a page of its own, after walks and turns over all pages",
    onePage: false,
    warmUp: 6,
  },
];

/** What became of many runs. */
export interface SimulatedRuns {
  /** How many had no outcome, because the simulator found something wrong by itself. */
  readonly broken: number;
  /** What it found in the first of these. */
  readonly failure: string | undefined;
}

function toAccess(instruction: Instruction, onePage: boolean): Access {
  const { word: number } = instruction;
  const [page, word] = onePage ? [0, number] : [number, 0];
  switch (instruction.kind) {
    case "load":
      return { kind: "read", page, word };
    case "store":
      return { kind: "write", page, word, value: instruction.value };
    case "add":
    case "exchange":
      return { kind: instruction.kind, page, word, value: instruction.value };
    case "compareExchange": {
      const { expected, value } = instruction;
      return { kind: "compareExchange", page, word, expected, value };
    }
    default:
      return instruction satisfies never;
  }
}

/** Deals the threads out over nodes; returns, for each node, which it has. */
function deal(random: Random, threads: readonly Thread[]): number[][] {
  const nodes: number[][] = Array.from({ length: random.between(2, 4) }, () => []);
  for (const index of threads.keys()) nodes[random.below(nodes.length)]!.push(index);
  return nodes;
}

/**
 * Runs a test so many times in the simulator.
 *
 * @param histogram Of the test; is given every outcome.
 * @param placement Where the words are.
 * @param iterations How many runs.
 * @param seed The first run's seed.
 * @param bug A planted fault. The simulator's own checks of each access are off then, so that what
 * threads see is all that tells of it.
 * @returns How many runs had no outcome.
 */
export function runSimulated(
  histogram: Histogram,
  { onePage, warmUp }: SimulatedPlacement,
  iterations: number,
  seed: number,
  bug?: PlantedBug,
): SimulatedRuns {
  const { threads, finals } = histogram.test;
  const programs: Program[] = threads.map((thread) =>
    thread.map((instruction) => toAccess(instruction, onePage))
  );
  const pages = onePage ? 1 : wordsOf(histogram.test);
  const options = { warmUp, checked: bug === undefined, ...(bug === undefined ? {} : { bug }) };
  let broken = 0;
  let failure: string | undefined;
  for (let run = 0; run < iterations; run++) {
    const dealt = deal(new Random(seed + run), threads);
    const nodes = dealt.map((own) => own.map((index) => programs[index]!));
    try {
      const { registers, memory } = runPrograms({ pages, nodes, options }, seed + run);
      const order = dealt.flat();
      const found = threads.flatMap((_, index) => registers[order.indexOf(index)]!);
      const rest = finals.map((word) => onePage ? memory[0]![word]! : memory[word]![0]!);
      histogram.add([...found, ...rest]);
    } catch (error) {
      if (!(error instanceof InvariantError)) throw error;
      broken++;
      failure ??= `seed ${seed + run}: ${error.message}`;
    }
  }
  return { broken, failure };
}
