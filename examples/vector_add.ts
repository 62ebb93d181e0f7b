/**
 * Adds two vectors on all nodes: node 1 calls a procedure of each other node with views of the region.
 * The views travel by reference, so no number is in a message: pages come when they are touched.
 *
 * ```sh
 * deno run -A examples/vector_add.ts
 * ```
 */

import { type Node, rpc } from "../mod.ts";
import { count, ExampleError, runExample, share } from "./example.ts";

const HELP = `Adds two vectors on all nodes, by calls with views of shared memory.

Usage: vector_add.ts [OPTIONS]

Options:
  --length N     Numbers in a vector (default 1000000)
`;
const MIB = 1 << 20;

// At the top level: every node knows the procedure before it joins.
const add = rpc("add", (a: Float64Array, b: Float64Array, sum: Float64Array): void => {
  for (let i = 0; i < sum.length; i++) sum[i] = a[i]! + b[i]!;
});

async function main(node: Node, nodes: number, length: number): Promise<void> {
  const a = await node.alloc(Float64Array, length);
  const b = await node.alloc(Float64Array, length);
  const sum = await node.alloc(Float64Array, length);
  for (let i = 0; i < length; i++) {
    a[i] = i;
    b[i] = 2 * i;
  }

  const since = performance.now();
  const servers = nodes - 1;
  const page = node.pageSize / Float64Array.BYTES_PER_ELEMENT;
  const pages = Math.ceil(length / page);
  await Promise.all(Array.from({ length: servers }, (_, index) => {
    // Whole pages, so that no two nodes write to one.
    const [first, end] = share(pages, servers, index).map((at) => at * page);
    const part = (whole: Float64Array) => whole.subarray(first, end);
    return add.on(2 + index)(part(a), part(b), part(sum));
  }));
  const ms = performance.now() - since;

  for (let i = 0; i < length; i++) {
    if (sum[i] !== 3 * i) throw new ExampleError(`${i} + ${2 * i} is ${sum[i]} in the region`);
  }
  const speed = a.byteLength * 3 / MIB / (ms / 1000);
  console.log(
    `${servers} nodes added ${length} numbers in ${ms.toFixed(1)} ms, ${speed.toFixed(0)} MiB/s`,
  );
  for (const vector of [a, b, sum]) await node.free(vector);
}

await runExample({
  program: import.meta.filename!,
  help: HELP,
  flags: ["length"],
  read: ({ length }) => count(length, "length", 1_000_000, 1, 2_000_000),
  serving: true,
  main,
});
