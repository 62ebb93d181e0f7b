// Nodes count together: ./tdsm launch -n 2 examples/hello.ts
import { run } from "@tdsm/runtime";

await run(async (node) => {
  await node.waitForPeer(2);
  const nodes = node.peers().length + 1;
  const count = node.view(Int32Array, 0, 1);
  for (let i = 0; i < 100_000; i++) Atomics.add(count, 0, 1);
  await node.barrier("counted", nodes).wait();
  console.log(`Node ${node.id} of ${nodes} reads ${count[0]}`);
});
