// Heat spreads over a plate (Jacobi's method). The nodes share two grids; each node computes the
// rows of its share, and all nodes wait at a barrier after each step. Only rows at the edges of
// shares move.
//
//   ./tdsm launch -n 3 examples/heat.ts
import { type Node, run } from "@tdsm/runtime";

/** Width and height of the plate; a row of 512 cells is one page of 4 KiB. */
const CELLS = 512;
const STEPS = 200;
const HOT = 100;

/** Heats rows from `first` to `end` of the plate: rings around its middle. */
function heat(plate: Float64Array, first: number, end: number): void {
  for (let row = first; row < end; row++) {
    for (let column = 1; column < CELLS - 1; column++) {
      const distance = Math.hypot(row - CELLS / 2, column - CELLS / 2) / CELLS;
      plate[row * CELLS + column] = Math.sin(40 * distance) > 0 ? HOT : 0;
    }
  }
}

/**
 * Computes rows from `first` to `end` of the next step: each cell is the mean of its neighbours.
 */
function relax(from: Float64Array, to: Float64Array, first: number, end: number): void {
  for (let row = first; row < end; row++) {
    for (let i = row * CELLS + 1; i < (row + 1) * CELLS - 1; i++) {
      to[i] = 0.25 * (from[i - CELLS]! + from[i + CELLS]! + from[i - 1]! + from[i + 1]!);
    }
  }
}

/** All steps by one thread, in memory of its own; returns the last step's grid. */
function relaxAlone(): Float64Array {
  let [from, to] = [new Float64Array(CELLS * CELLS), new Float64Array(CELLS * CELLS)];
  heat(from, 1, CELLS - 1);
  for (let step = 0; step < STEPS; step++) {
    relax(from, to, 1, CELLS - 1);
    [from, to] = [to, from];
  }
  return from;
}

async function main(node: Node): Promise<void> {
  const nodes = node.peers().length + 1;
  // By their names, every node gets the same grids. They start as zero.
  let from = await node.alloc(Float64Array, CELLS * CELLS, { name: "even steps" });
  let to = await node.alloc(Float64Array, CELLS * CELLS, { name: "odd steps" });
  const step = node.barrier("step", nodes);
  // The edges stay cold, so there are two rows fewer to share.
  const first = 1 + Math.floor((CELLS - 2) * (node.id - 1) / nodes);
  const end = 1 + Math.floor((CELLS - 2) * node.id / nodes);
  heat(from, first, end);
  await step.wait();

  const since = performance.now();
  for (let done = 0; done < STEPS; done++) {
    relax(from, to, first, end);
    await step.wait();
    [from, to] = [to, from];
  }
  const ms = performance.now() - since;
  const { faults, pagesReceived, pagesSent } = node.stats();
  console.log(`${faults} faults; ${pagesReceived} pages came in, ${pagesSent} went out`);
  if (node.id === 1) check(from, ms);
}

/** Compares the plate with that of one thread. */
function check(plate: Float64Array, ms: number): void {
  const since = performance.now();
  const expected = relaxAlone();
  const aloneMs = performance.now() - since;
  // The same operations in the same order, so not a bit may differ.
  const wrong = plate.findIndex((heat, i) => heat !== expected[i]);
  if (wrong !== -1) {
    throw new Error(`Cell ${wrong} has ${plate[wrong]}; one thread has ${expected[wrong]}`);
  }
  console.log(
    `${STEPS} steps of ${CELLS} × ${CELLS} cells in ${ms.toFixed(0)} ms; ` +
      `one thread took ${aloneMs.toFixed(0)} ms`,
  );
  console.log("OK");
}

await run(main, { programFlags: [] });
