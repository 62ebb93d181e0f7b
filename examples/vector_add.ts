// Node 1 adds two vectors with the help of all other nodes: it calls a procedure on each of them,
// with views of the region. Views travel by reference, so no number is in a message: pages come
// when they are touched.
//
//   ./tdsm launch -n 3 --rpc-server examples/vector_add.ts
import { type Node, rpc, run } from "@tdsm/runtime";

const LENGTH = 1_000_000;

// At the top level of the program, so that every node has the procedure before it joins.
const add = rpc("add", (a: Float64Array, b: Float64Array, sum: Float64Array): void => {
  for (let i = 0; i < sum.length; i++) sum[i] = a[i]! + b[i]!;
});

async function main(node: Node): Promise<void> {
  const servers = node.peers();
  if (node.id !== 1 || servers.length === 0) {
    throw new Error("Start node 1, and beside it nodes with --rpc-server, which only serve calls");
  }
  const a = await node.alloc(Float64Array, LENGTH);
  const b = await node.alloc(Float64Array, LENGTH);
  const sum = await node.alloc(Float64Array, LENGTH);
  for (let i = 0; i < LENGTH; i++) {
    a[i] = i;
    b[i] = 2 * i;
  }

  const since = performance.now();
  // Each share is whole pages, so that no two nodes write to one page.
  const page = node.pageSize / Float64Array.BYTES_PER_ELEMENT;
  const share = Math.ceil(LENGTH / page / servers.length) * page;
  await Promise.all(servers.map(({ id }, index) => {
    const part = (whole: Float64Array) => whole.subarray(index * share, (index + 1) * share);
    return add.on(id)(part(a), part(b), part(sum));
  }));
  const ms = performance.now() - since;

  const wrong = sum.findIndex((value, i) => value !== 3 * i);
  if (wrong !== -1) throw new Error(`${wrong} + ${2 * wrong} is ${sum[wrong]} in the region`);
  const { pagesSent, pagesReceived } = node.stats();
  console.log(`${servers.length} nodes added ${LENGTH} numbers in ${ms.toFixed(0)} ms`);
  console.log(`Node 1 sent ${pagesSent} pages and received ${pagesReceived}`);
  console.log("OK");
}

await run(main, { programFlags: [] });
