/**
 * The programs, in the sizes in which they are run and predicted, and what they take on one core.
 */

import { cpuUsage } from "node:process";
import { Jacobi } from "./jacobi.ts";
import { MatrixProduct } from "./matrix.ts";
import { type Context, type Memory, type Program, wholeRun } from "./program.ts";
import { Salesman } from "./salesman.ts";

/** The size of each program. */
export interface Size {
  readonly jacobi: { readonly cells: number; readonly steps: number };
  /** Rows and columns. */
  readonly matrix: number;
  readonly salesman: { readonly cities: number; readonly taskDepth: number };
}

/** What is run on real nodes, and simulated as well to compare. */
export const REAL_SIZE: Size = {
  jacobi: { cells: 1024, steps: 50 },
  matrix: 512,
  salesman: { cities: 15, taskDepth: 2 },
};
/** The same, in a few seconds. */
export const QUICK_SIZE: Size = {
  jacobi: { cells: 512, steps: 20 },
  matrix: 256,
  salesman: { cities: 14, taskDepth: 2 },
};
/** What a process runs by itself before it is measured, to have its code compiled. */
export const WARM_SIZE: Size = {
  jacobi: { cells: 256, steps: 20 },
  matrix: 128,
  salesman: { cities: 12, taskDepth: 2 },
};
/** What is predicted: as much work as makes it worth while to have more nodes. */
export const PREDICTED_SIZE: Size = {
  jacobi: { cells: 2048, steps: 50 },
  matrix: 1024,
  salesman: { cities: 18, taskDepth: 2 },
};

/**
 * Makes all programs.
 *
 * @param size Their sizes.
 * @returns The programs, always in the same order.
 */
export function makeSuite({ jacobi, matrix, salesman }: Size): Program[] {
  return [
    new Jacobi(jacobi.cells, jacobi.steps),
    new MatrixProduct(matrix),
    new Salesman(salesman.cities, salesman.taskDepth),
  ];
}

/** Tasks of the search that are small enough for 64 nodes, so many at a time. */
const FINE_TASK_DEPTH = 3;
const FINE_TASKS_A_TURN = 8;

/**
 * Makes the forms of each program: the first is that of {@linkcode makeSuite}, any other what its
 * author would change once there are many nodes.
 *
 * @param size Their sizes.
 * @returns The forms, of which each computes the same, in the order of the programs.
 */
export function makeForms(size: Size): Program[][] {
  const [jacobi, matrix, salesman] = makeSuite(size);
  return [
    [jacobi!],
    [matrix!, new MatrixProduct(size.matrix, true)],
    [salesman!, new Salesman(size.salesman.cities, FINE_TASK_DEPTH, FINE_TASKS_A_TURN)],
  ];
}

/**
 * How far the counts of a real run may be from those of the simulated one, as a ratio. In Jacobi's
 * method nearly all follow from the barriers, but not how much is read ahead in vain. In the
 * product, which pages a run brings depends on how far the other nodes are; in the search, which
 * tasks a node takes and which bound it sees do.
 */
export const RATIO_MAX: Readonly<Record<string, number>> = {
  jacobi: 2.5,
  matrix: 2,
  salesman: 3,
};
/** The messages, pages or misses by which they may differ in any case. */
export const RATIO_SLACK = 30;

/** What a program takes on one core, between its marks. */
export interface SerialRun {
  /** The time that it has a core, in milliseconds; the least of some runs. */
  readonly ms: number;
  /** Its work, in the program's units. */
  readonly units: number;
}

/**
 * Runs a program serially.
 *
 * @param program The program.
 * @param runs How often.
 * @returns How long it takes, and how much work it is.
 */
export function runSerially(program: Program, runs: number): SerialRun {
  const units = countUnits(program);
  let ms = Infinity;
  for (let run = 0; run < runs; run++) ms = Math.min(ms, time(program));
  return { ms, units };
}

function alone({ bytes }: Program, traced: boolean, computed: boolean): Context {
  const buffer = new ArrayBuffer(bytes);
  const memory: Memory = { view: (Type, offset, length) => new Type(buffer, offset, length) };
  return { memory, base: 0, rank: 0, nodes: 1, traced, computed };
}

function time(program: Program): number {
  const marks: number[] = [];
  for (const { kind } of wholeRun(program, alone(program, false, true))) {
    if (kind === "mark") marks.push(coreMs());
  }
  return marks[1]! - marks[0]!;
}

/** How long this process has had a core: what others take of the machine does not count. */
function coreMs(): number {
  const { user, system } = cpuUsage();
  return (user + system) / 1000;
}

function countUnits(program: Program): number {
  let units = 0;
  let marks = 0;
  for (const step of wholeRun(program, alone(program, true, program.dependsOnData))) {
    if (step.kind === "mark") marks++;
    else if (step.kind === "work" && marks === 1) units += step.units;
  }
  return units;
}
