/** Memory that is here: the region against an array of the program's own. */

import type { Node } from "../../mod.ts";

const plain = new Map<number, Float64Array>();

/** An array of the program's own, filled. */
function plainArray(length: number): Float64Array {
  let array = plain.get(length);
  if (array === undefined) plain.set(length, array = new Float64Array(length).fill(1));
  return array;
}

/**
 * Adds up doubles.
 *
 * @param node The node.
 * @param job Where they are in the region, in bytes, or -1 for an array of the program's own; how many;
 * how often.
 * @returns How long each sum took, in microseconds.
 * @throws {Error} When the sum is wrong.
 */
export function sums(
  node: Node,
  { offset, length, times }: {
    readonly offset: number;
    readonly length: number;
    readonly times: number;
  },
): number[] {
  const cells = offset < 0 ? plainArray(length) : node.view(Float64Array, offset, length);
  const us: number[] = [];
  for (let time = 0; time < times; time++) {
    const begin = performance.now();
    const sum = sumOf(cells);
    us.push((performance.now() - begin) * 1000);
    if (sum !== length) throw new Error(`the sum of ${length} ones is ${sum}`);
  }
  return us;
}

/**
 * Fills doubles of the region with ones, so that their pages are here.
 *
 * @param node The node.
 * @param cells Where, in bytes, and how many.
 */
export function fillOnes(
  node: Node,
  { offset, length }: { readonly offset: number; readonly length: number },
): void {
  node.view(Float64Array, offset, length).fill(1);
}

function sumOf(cells: Float64Array): number {
  let sum = 0;
  for (let index = 0; index < cells.length; index++) sum += cells[index]!;
  return sum;
}
