/**
 * The product of two square matrices: each node writes its rows of both factors, and zeros for
 * its rows of the product; then it adds to these, for which it needs all of the second factor.
 */

import {
  type Context,
  type Program,
  reads,
  shareOf,
  type Steps,
  wholePages,
  writes,
} from "./program.ts";

const ENTRY_BYTES = Float64Array.BYTES_PER_ELEMENT;
/** The rows of the second factor that are traced at once: few, as pages can come meanwhile. */
const BLOCK_ROWS = 8;

/** The left factor's entry: a small whole number, so that sums are exact in any order. */
function leftEntry(row: number, column: number): number {
  return (3 * row + 5 * column) % 17;
}

/** The right factor's entry. */
function rightEntry(row: number, column: number): number {
  return (7 * row + 2 * column) % 13;
}

/** An entry of the product before anything was added to it. */
function noEntry(): number {
  return 0;
}

/** A product of matrices. */
export class MatrixProduct implements Program {
  readonly name = "matrix";
  readonly size: string;
  readonly unit = "multiplications";
  readonly bytes: number;
  readonly dependsOnData = false;
  readonly #order: number;
  readonly #fromOwnRows: boolean;

  /**
   * @param order The rows and columns of each matrix.
   * @param fromOwnRows Whether each node begins with its own rows of the second factor, and goes on
   * behind them. Otherwise all begin with the first row, and ask the same node for the same pages
   * at the same time.
   */
  constructor(order: number, fromOwnRows = false) {
    this.#order = order;
    this.#fromOwnRows = fromOwnRows;
    this.size = `${order} x ${order} doubles`;
    if (fromOwnRows) this.size += ", from own rows on";
    this.bytes = 3 * this.#matrixBytes;
  }

  *setup(context: Context): Steps {
    const order = this.#order;
    const rowBytes = order * ENTRY_BYTES;
    const [first, end] = shareOf(order, context);
    for (const [index, entry] of [leftEntry, rightEntry, noEntry].entries()) {
      const matrix = this.#matrix(context, index);
      const offset = this.#offset(context, index);
      for (let row = first; row < end; row++) {
        if (context.traced) {
          const touches = [writes(offset + row * rowBytes, rowBytes)];
          yield { kind: "work", touches, units: order };
        }
        if (context.computed) fill(matrix, order, row, entry);
      }
    }
  }

  *work(context: Context): Steps {
    const order = this.#order;
    const rowBytes = order * ENTRY_BYTES;
    const [left, right, product] = [0, 1, 2].map((index) => this.#matrix(context, index));
    const [atLeft, atRight, atProduct] = [0, 1, 2].map((index) => this.#offset(context, index));
    const [first, end] = shareOf(order, context);
    const blocks = Math.ceil(order / BLOCK_ROWS);
    const firstBlock = this.#fromOwnRows ? Math.floor(first / BLOCK_ROWS) : 0;
    for (let row = first; row < end; row++) {
      for (let block = 0; block < blocks; block++) {
        const from = (firstBlock + block) % blocks * BLOCK_ROWS;
        const to = Math.min(order, from + BLOCK_ROWS);
        if (context.traced) {
          const touches = [
            reads(atLeft! + row * rowBytes + from * ENTRY_BYTES, (to - from) * ENTRY_BYTES),
            reads(atRight! + from * rowBytes, (to - from) * rowBytes),
            writes(atProduct! + row * rowBytes, rowBytes),
          ];
          yield { kind: "work", touches, units: (to - from) * order };
        }
        if (context.computed) multiply(left!, right!, product!, order, row, from, to);
      }
    }
  }

  check(context: Context): void {
    const order = this.#order;
    const [left, right, expected] = [0, 1, 2].map(() => new Float64Array(order * order));
    for (let row = 0; row < order; row++) {
      fill(left!, order, row, leftEntry);
      fill(right!, order, row, rightEntry);
    }
    for (let row = 0; row < order; row++) multiply(left!, right!, expected!, order, row, 0, order);
    const product = this.#matrix(context, 2);
    const wrong = product.findIndex((entry, i) => entry !== expected![i]);
    if (wrong !== -1) {
      throw new Error(`Entry ${wrong} is ${product[wrong]}; one thread has ${expected![wrong]}`);
    }
  }

  get #matrixBytes(): number {
    return wholePages(this.#order ** 2 * ENTRY_BYTES);
  }

  #offset({ base }: Context, index: number): number {
    return base + index * this.#matrixBytes;
  }

  #matrix(context: Context, index: number): Float64Array {
    return context.memory.view(Float64Array, this.#offset(context, index), this.#order ** 2);
  }
}

function fill(
  matrix: Float64Array,
  order: number,
  row: number,
  entry: (row: number, column: number) => number,
): void {
  for (let column = 0; column < order; column++) matrix[row * order + column] = entry(row, column);
}

/** Adds to a row of the product what the right factor's rows `from` to `to` give. */
function multiply(
  left: Float64Array,
  right: Float64Array,
  product: Float64Array,
  order: number,
  row: number,
  from: number,
  to: number,
): void {
  const start = row * order;
  for (let k = from; k < to; k++) {
    const factor = left[start + k]!;
    const offset = k * order;
    for (let j = 0; j < order; j++) product[start + j]! += factor * right[offset + j]!;
  }
}
