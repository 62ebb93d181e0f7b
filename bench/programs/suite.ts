/** The programs, in the sizes in which they are run and predicted. */

import { Jacobi } from "./jacobi.ts";
import { MatrixProduct } from "./matrix.ts";
import type { Program } from "./program.ts";
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

/**
 * How far the counts of a real run may be from those of the simulated one, as a ratio. In Jacobi's
 * method nearly all follow from the barriers, but not how much is read ahead in vain. In the product,
 * which pages a run brings depends on how far the other nodes are; in the search, which tasks a node
 * takes and which bound it sees do.
 */
export const RATIO_MAX: Readonly<Record<string, number>> = {
  jacobi: 2.5,
  matrix: 2,
  salesman: 3,
};
/** The messages, pages or misses by which they may differ in any case. */
export const RATIO_SLACK = 30;
