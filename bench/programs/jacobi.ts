/**
 * Heat that spreads over a plate (Jacobi's method), as in `examples/heat.ts`: two grids, each node
 * computes the rows of its share, and all wait at a barrier after each step.
 */

import { PAGE_SIZE_DEFAULT_BYTES } from "../../runtime/limits.ts";
import {
  type Context,
  type Program,
  reads,
  shareOf,
  type Steps,
  wholePages,
  writes,
} from "./program.ts";

const CELL_BYTES = Float64Array.BYTES_PER_ELEMENT;
/** The cells of a page: what is traced at once. */
const PIECE_CELLS = PAGE_SIZE_DEFAULT_BYTES / CELL_BYTES;
/**
 * The steps before it is measured. In the first ones long runs of pages go to a neighbour that
 * reads just behind what it wrote first, and come back one by one.
 */
const WARM_STEPS = 4;
const HOT = 100;

/** Jacobi's method on a square plate. */
export class Jacobi implements Program {
  readonly name = "jacobi";
  readonly size: string;
  readonly unit = "cell updates";
  readonly bytes: number;
  readonly dependsOnData = false;
  readonly #cells: number;
  readonly #steps: number;

  /**
   * @param cells The cells of each side of the plate, the cold edges among them; at least 3.
   * @param steps How many steps.
   */
  constructor(cells: number, steps: number) {
    this.#cells = cells;
    this.#steps = steps;
    this.size = `${cells} x ${cells} cells, ${steps} steps`;
    this.bytes = 2 * this.#gridBytes;
  }

  *setup(context: Context): Steps {
    const cells = this.#cells;
    const [first, end] = this.#rows(context);
    for (const grid of [0, 1]) {
      const plate = this.#grid(context, grid);
      for (let row = first; row < end; row++) {
        if (context.traced) {
          const at = this.#offset(context, grid) + row * cells * CELL_BYTES;
          yield { kind: "work", touches: [writes(at, cells * CELL_BYTES)], units: cells };
        }
        if (!context.computed) continue;
        if (grid === 0) heat(plate, cells, row);
        // What a node writes first is there when it is measured.
        else plate.fill(0, row * cells, (row + 1) * cells);
      }
    }
  }

  *warmUp(context: Context): Steps {
    yield* this.#relax(context, 0, WARM_STEPS);
  }

  *work(context: Context): Steps {
    yield* this.#relax(context, WARM_STEPS, WARM_STEPS + this.#steps);
  }

  check(context: Context): void {
    const cells = this.#cells;
    const grids = [new Float64Array(cells * cells), new Float64Array(cells * cells)] as const;
    for (let row = 1; row < cells - 1; row++) heat(grids[0], cells, row);
    for (let done = 0; done < WARM_STEPS + this.#steps; done++) {
      const [from, to] = done % 2 === 0 ? grids : [grids[1], grids[0]];
      for (let row = 1; row < cells - 1; row++) relax(from, to, cells, row);
    }
    const last = (WARM_STEPS + this.#steps) % 2;
    const expected = grids[last]!;
    const plate = this.#grid(context, last);
    // The same operations in the same order, so not a bit may differ.
    const wrong = plate.findIndex((heat, i) => heat !== expected[i]);
    if (wrong !== -1) {
      throw new Error(`Cell ${wrong} has ${plate[wrong]}; one thread has ${expected[wrong]}`);
    }
  }

  /** Computes steps from `since` to `until`. */
  *#relax(context: Context, since: number, until: number): Steps {
    const cells = this.#cells;
    const [first, end] = this.#rows(context);
    for (let done = since; done < until; done++) {
      const [from, to] = [done % 2, (done + 1) % 2];
      const [source, target] = [this.#grid(context, from), this.#grid(context, to)];
      for (let row = first; row < end; row++) {
        if (context.traced) {
          yield* this.#trace(this.#offset(context, from), this.#offset(context, to), row);
        }
        if (context.computed) relax(source, target, cells, row);
      }
      yield { kind: "barrier", name: "jacobi/step" };
    }
  }

  get #gridBytes(): number {
    return wholePages(this.#cells ** 2 * CELL_BYTES);
  }

  #offset({ base }: Context, grid: number): number {
    return base + grid * this.#gridBytes;
  }

  #grid(context: Context, grid: number): Float64Array {
    return context.memory.view(Float64Array, this.#offset(context, grid), this.#cells ** 2);
  }

  /** A node's rows; those at the edges of the plate are nobody's. */
  #rows(context: Context): [first: number, end: number] {
    const [above, last] = shareOf(this.#cells - 2, context);
    return [above + 1, last + 1];
  }

  /** What {@linkcode relax} touches in a row, page by page. */
  *#trace(source: number, target: number, row: number): Steps {
    const cells = this.#cells;
    const last = (row + 1) * cells - 1;
    for (let cell = row * cells + 1; cell < last;) {
      const end = Math.min(last, (Math.floor(cell / PIECE_CELLS) + 1) * PIECE_CELLS);
      const bytes = (end - cell) * CELL_BYTES;
      const at = cell * CELL_BYTES;
      const touches = [
        reads(source + at - cells * CELL_BYTES, bytes),
        reads(source + at + cells * CELL_BYTES, bytes),
        reads(source + at - CELL_BYTES, bytes + 2 * CELL_BYTES),
        writes(target + at, bytes),
      ];
      yield { kind: "work", touches, units: end - cell };
      cell = end;
    }
  }
}

/** Heats a row of the plate: rings around its middle. */
function heat(plate: Float64Array, cells: number, row: number): void {
  for (let column = 1; column < cells - 1; column++) {
    const distance = Math.hypot(row - cells / 2, column - cells / 2) / cells;
    plate[row * cells + column] = Math.sin(40 * distance) > 0 ? HOT : 0;
  }
}

/** Computes a row of the next step: each cell is the mean of its neighbours. */
function relax(from: Float64Array, to: Float64Array, cells: number, row: number): void {
  for (let i = row * cells + 1; i < (row + 1) * cells - 1; i++) {
    to[i] = 0.25 * (from[i - cells]! + from[i + cells]! + from[i - 1]! + from[i + 1]!);
  }
}
