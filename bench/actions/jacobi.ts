/** Jacobi's method, by nodes that compute in native code and meet at a barrier after each step. */

import type { Node } from "../../mod.ts";

/** The steps before those that are timed: pages move to where they are used. */
const WARM_STEPS = 4;
const HOT = 100;
/** A node that fails comes to no barrier, and must not keep the process of the other one. */
const PATIENCE = { timeoutMs: 30_000 };

/** What is computed, and by how many nodes: those with the lowest ids. */
export interface Plate {
  /** The path of the library that `relax.zig` makes. */
  readonly library: string;
  /** The cells of each side, the edges among them. */
  readonly cells: number;
  readonly steps: number;
  readonly nodes: number;
  /** Whether the first node compares the result with its own, bit by bit. */
  readonly checks: boolean;
}

/**
 * Computes this node's share of the rows.
 *
 * @param node The node.
 * @param plate What is computed.
 * @returns How long a step took, in milliseconds.
 * @throws {Error} At the first node, when the result is wrong.
 */
export function jacobi(node: Node, plate: Plate): number {
  const native = Deno.dlopen(plate.library, {
    relax: { parameters: ["buffer", "buffer", "usize", "usize", "usize"], result: "void" },
  });
  try {
    return compute(node, plate, native.symbols.relax);
  } finally {
    native.close();
  }
}

/** `relax` of `relax.zig`: two grids, the cells of a side, the first row and the one behind. */
type Relax = (
  from: Float64Array,
  to: Float64Array,
  cells: bigint,
  first: bigint,
  end: bigint,
) => void;

function compute(node: Node, plate: Plate, relax: Relax): number {
  const { cells, steps, nodes } = plate;
  const bytes = cells * cells * Float64Array.BYTES_PER_ELEMENT;
  const grids = [0, bytes].map((offset) => node.view(Float64Array, offset, cells * cells));
  const barrier = node.barrier(`jacobi of ${nodes}`, nodes);
  const first = shareOf(cells, (node.id - 1) / nodes);
  const end = shareOf(cells, node.id / nodes);
  heat(grids, cells, first === 1 ? 0 : first, end === cells - 1 ? cells : end);
  barrier.waitSync(PATIENCE);
  let begin = 0;
  for (let step = 0; step < WARM_STEPS + steps; step++) {
    if (step === WARM_STEPS) begin = performance.now();
    relax(grids[step % 2]!, grids[(step + 1) % 2]!, BigInt(cells), BigInt(first), BigInt(end));
    barrier.waitSync(PATIENCE);
  }
  const ms = (performance.now() - begin) / steps;
  const wrong = plate.checks && node.id === 1 ? wrongCell(grids, plate, relax) : undefined;
  // Until then the others change nothing.
  barrier.waitSync(PATIENCE);
  if (wrong !== undefined) throw new Error(wrong);
  return ms;
}

/**
 * Computes all of it alone, by the same operations in the same order: not a bit may differ. Returns
 * which cell is wrong, if one is.
 */
function wrongCell(
  grids: readonly Float64Array[],
  { cells, steps }: Plate,
  relax: Relax,
): string | undefined {
  const own = grids.map(({ length }) => new Float64Array(length));
  heat(own, cells, 0, cells);
  for (let step = 0; step < WARM_STEPS + steps; step++) {
    relax(own[step % 2]!, own[(step + 1) % 2]!, BigInt(cells), 1n, BigInt(cells - 1));
  }
  const last = (WARM_STEPS + steps) % 2;
  const wrong = own[last]!.findIndex((heat, cell) => heat !== grids[last]![cell]);
  if (wrong < 0) return undefined;
  return `cell ${wrong} has ${grids[last]![wrong]}; alone it has ${own[last]![wrong]}`;
}

/** The row at which a part of the plate ends; those at its edges stay as they are. */
function shareOf(cells: number, part: number): number {
  return 1 + Math.floor((cells - 2) * part);
}

/** Writes some rows of both grids: one cell in four is hot, and the edges are cold. */
function heat(grids: readonly Float64Array[], cells: number, first: number, end: number): void {
  for (const grid of grids) {
    for (let row = first; row < end; row++) {
      const [start, last] = [row * cells, row * cells + cells - 1];
      for (let cell = start; cell <= last; cell++) grid[cell] = cell % 4 === 0 ? HOT : 0;
      if (row === 0 || row === cells - 1) grid.fill(0, start, last);
      grid[start] = grid[last] = 0;
    }
  }
}
