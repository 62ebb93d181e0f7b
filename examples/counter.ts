// A native module on every node: its global variables are the same cells everywhere. The module,
// examples/native/counter.c, knows of no other node: it adds to a variable, and fills a table. It
// is built first, into the current folder.
//
//   gcc -shared -fPIC -Izig/include -Wl,-T,zig/rdma.ld -o libcounter.so examples/native/counter.c
//   ./tdsm launch -n 3 examples/counter.ts
import { type Node, run } from "@tdsm/runtime";

const BUMPS = 10_000;
const STEP = 0.5;

async function main(node: Node): Promise<void> {
  const nodes = node.peers().length + 1;
  const phase = node.barrier("phase", nodes);
  using counter = await node.loadModule("./libcounter.so", {
    bump: { parameters: [], result: "i32" },
    fill: { parameters: ["f64"], result: "void" },
    look_up: { parameters: ["i32"], result: "f64" },
  });
  const { bump, fill, look_up: lookUp } = counter.symbols;
  await phase.wait();

  let last = 0;
  for (let i = 0; i < BUMPS; i++) last = bump();
  if (node.id === 1) fill(STEP);
  await phase.wait();

  const found = lookUp(1000 * node.id);
  if (found !== 1000 * node.id * STEP) throw new Error(`Node ${node.id} reads ${found}`);
  console.log(`The counter was ${last} at the end of my part, and I read ${found} in the table`);
  await phase.wait();
  if (node.id !== 1) return;
  const total = bump() - 1;
  if (total !== nodes * BUMPS) throw new Error(`${nodes * BUMPS} additions became ${total}`);
  console.log(`${nodes} nodes added ${BUMPS} each to one C variable: ${total}`);
  console.log("OK");
}

// The module's table alone is as large as the region that there is by default.
await run(main, { size: "128MiB", programFlags: [] });
