// Two nodes count together: start it twice, the second time with --directory-address 127.0.0.1.
import { run } from "@tdsm/runtime";

await run(async (node) => {
  const count = node.view(Int32Array, 0, 1);
  const finished = node.view(Int32Array, node.pageSize, 1);
  await node.waitForPeer(2);
  for (let i = 0; i < 100_000; i++) Atomics.add(count, 0, 1);
  Atomics.add(finished, 0, 1);
  while (Atomics.load(finished, 0) < 2) await new Promise((resolve) => setTimeout(resolve, 10));
  console.log(`Node ${node.id} of 2 reads ${count[0]}`);
});
