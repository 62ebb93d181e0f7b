/** Arrays of all nodes, combined element by element. */

import { checkOptions } from "../arguments/options.ts";
import { show } from "../arguments/show.ts";
import { TdsmError } from "../errors.ts";
import { ALLOCATION_NAME_MAX_BYTES } from "../limits.ts";
import { checkName } from "./arguments.ts";
import type { NodeThread } from "./thread.ts";
import type { TypedArrayConstructor } from "./types.ts";

/**
 * An array that can be combined with others of its kind, element by element.
 *
 * @example The largest element of all nodes
 * ```ts
 * import { join, type ReducibleArray } from "@tdsm/runtime";
 *
 * await using node = await join({ directory: true, port: 0 });
 * const mine = Int32Array.of(7) satisfies ReducibleArray;
 * console.log(await node.reduce(mine, Math.max)); // Int32Array(1) [ 7 ]
 * ```
 */
export type ReducibleArray =
  | Int8Array
  | Uint8Array
  | Int16Array
  | Uint16Array
  | Int32Array
  | Uint32Array
  | Float32Array
  | Float64Array
  | BigInt64Array
  | BigUint64Array;

/**
 * Combines the arrays that all nodes give, as `node.reduce` says.
 *
 * @param node This node.
 * @param values Its array, which is left as it is.
 * @param combine Combines two elements.
 * @param options The name.
 * @returns A new array.
 */
export async function reduce<Values extends ReducibleArray>(
  node: NodeThread,
  values: Values,
  combine: (a: Values[number], b: Values[number]) => Values[number],
  options: { readonly name?: string },
): Promise<Values> {
  const { name = "reduce" } = checkOptions(options, ["name"], "reduce", '{ name: "sum" }');
  const cellsName = `tdsm.reduce/${name}`;
  checkName(cellsName, "reduction", ALLOCATION_NAME_MAX_BYTES);
  if (!ArrayBuffer.isView(values) || !("length" in values) || values.length === 0) {
    throw new TypeError(
      `Cannot reduce ${show(values)}: give a typed array with an element or more`,
    );
  }
  if (typeof combine !== "function") {
    throw new TypeError(`Cannot reduce with ${show(combine)}: give a function of two elements`);
  }
  const { nodeCount } = node;
  const place = placeIn(node);
  // A page or more for each node: no two write to the same one.
  const step = Math.ceil(values.byteLength / node.pageSize) * node.pageSize /
    values.BYTES_PER_ELEMENT;
  const Type = values.constructor as TypedArrayConstructor<Values>;
  // So that other lengths and types are other allocations, which a name cannot have as well.
  const length = (nodeCount - 1) * step + values.length;
  const cells = await node.alloc(Type, length, { name: cellsName });
  const all = node.barrier(cellsName, nodeCount);
  cells.set(values as never, place * step);
  await all.wait();
  try {
    return combined(values, combine, nodeCount, (index) => cells.subarray(index * step) as Values);
  } finally {
    // All have read: the next call may write.
    await all.wait();
  }
}

/** Combines the arrays of all, from the first to the last: so all nodes have the same bits. */
function combined<Values extends ReducibleArray>(
  { length }: Values,
  combine: (a: Values[number], b: Values[number]) => Values[number],
  nodeCount: number,
  arrayOf: (index: number) => Values,
): Values {
  const result = arrayOf(0).slice(0, length) as Values;
  for (let index = 1; index < nodeCount; index++) {
    const array = arrayOf(index);
    for (let at = 0; at < length; at++) result[at] = combine(result[at]!, array[at]!);
  }
  return result;
}

/** Which part a node has, of those that were started together. */
function placeIn({ id, rank = id - 1, nodeCount }: NodeThread): number {
  if (rank < nodeCount) return rank;
  throw new TdsmError(
    "InvalidOption",
    `Cannot reduce: node ${id} is none of the ${nodeCount} that were started together. Start them ` +
      "by a launcher, or give each the setting nodes",
    { operation: "reduce" },
  );
}
