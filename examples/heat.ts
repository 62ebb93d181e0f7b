/**
 * Heat that spreads over a plate (Jacobi's method): the nodes share two grids, each computes the rows of
 * its share, and all wait at a barrier after each step. Only rows at the edges of shares move.
 *
 * ```sh
 * deno run -A examples/heat.ts --png heat.png
 * ```
 */

import type { Node } from "../mod.ts";
import { count, ExampleError, runExample, share } from "./example.ts";
import { writePicture } from "./picture.ts";

const HELP = `Lets heat spread over a plate with cold edges, and checks it against one thread.

Usage: heat.ts [OPTIONS]

Options:
  --cells N      Width and height of the plate (default 512: then a row is a page)
  --steps N      How many steps (default 200)
  --png FILE     Write a picture of the plate
`;
const HOT = 100;

/** The values of the flags. */
interface Told {
  readonly cells: number;
  readonly steps: number;
  /** Where to write a picture, if anywhere. */
  readonly png: string | undefined;
}

/** Heats rows from `first` to `end` of the plate: rings around its middle. */
function heat(plate: Float64Array, cells: number, first: number, end: number): void {
  for (let row = first; row < end; row++) {
    for (let column = 1; column < cells - 1; column++) {
      const distance = Math.hypot(row - cells / 2, column - cells / 2) / cells;
      plate[row * cells + column] = Math.sin(40 * distance) > 0 ? HOT : 0;
    }
  }
}

/** Computes rows from `first` to `end` of the next step: each cell is the mean of its neighbours. */
function relax(
  from: Float64Array,
  to: Float64Array,
  cells: number,
  first: number,
  end: number,
): void {
  for (let row = first; row < end; row++) {
    for (let i = row * cells + 1; i < (row + 1) * cells - 1; i++) {
      to[i] = 0.25 * (from[i - cells]! + from[i + cells]! + from[i - 1]! + from[i + 1]!);
    }
  }
}

/** The same by one thread, in memory of its own; returns the last step's grid. */
function relaxAlone(cells: number, steps: number): Float64Array {
  const grids = [new Float64Array(cells * cells), new Float64Array(cells * cells)];
  heat(grids[0]!, cells, 1, cells - 1);
  for (let step = 0; step < steps; step++) {
    relax(grids[step % 2]!, grids[(step + 1) % 2]!, cells, 1, cells - 1);
  }
  return grids[steps % 2]!;
}

async function main(node: Node, nodes: number, told: Told): Promise<void> {
  const { cells, steps } = told;
  // By their names, every node gets the same grids. They start as zero.
  const even = await node.alloc(Float64Array, cells * cells, { name: "even steps" });
  const odd = await node.alloc(Float64Array, cells * cells, { name: "odd steps" });
  const step = node.barrier("step", nodes);
  // The edges stay cold. A page stays at the node that writes it first, until another node needs it.
  const [above, last] = share(cells - 2, nodes, node.id - 1);
  const [first, end] = [above + 1, last + 1];
  heat(even, cells, first, end);
  await step.wait();

  const since = performance.now();
  for (let done = 0; done < steps; done++) {
    const [from, to] = done % 2 === 0 ? [even, odd] : [odd, even];
    relax(from, to, cells, first, end);
    await step.wait();
  }
  const ms = performance.now() - since;

  if (node.id === 1) finish(steps % 2 === 0 ? even : odd, ms, told);
}

/** At node 1: checks the plate, and shows it. */
function finish(plate: Float64Array, ms: number, { cells, steps, png }: Told): void {
  const since = performance.now();
  const expected = relaxAlone(cells, steps);
  const aloneMs = performance.now() - since;
  // The same operations in the same order, so not a bit may differ.
  const wrong = plate.findIndex((heat, i) => heat !== expected[i]);
  if (wrong !== -1) {
    throw new ExampleError(`Cell ${wrong} has ${plate[wrong]}; one thread has ${expected[wrong]}`);
  }
  const rate = (cells - 2) ** 2 * steps / ms / 1000;
  console.log(
    `${steps} steps of ${cells} × ${cells} cells in ${ms.toFixed(0)} ms, ` +
      `${rate.toFixed(0)} million cells/s; one thread took ${aloneMs.toFixed(0)} ms`,
  );
  if (png === undefined) return;
  writePicture(png, cells, cells, (i) => {
    const warmth = plate[i]! / HOT;
    return [255 * warmth, 255 * warmth ** 3, 80 * (1 - warmth)];
  });
}

await runExample({
  program: import.meta.filename!,
  help: HELP,
  flags: ["cells", "steps", "png"],
  read: ({ cells, steps, png }) => ({
    cells: count(cells, "cells", 512, 3, 1 << 14),
    steps: count(steps, "steps", 200, 1, 100_000),
    png,
  }),
  main,
});
