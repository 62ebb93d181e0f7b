// Two nodes count together: ./tdsm launch -n 2 examples/hello.ts
import { run } from "@tdsm/runtime";

await run(async (node) => {
  const count = node.view(Int32Array, 0, 1);
  const both = node.barrier("both", 2);
  await both.wait();
  for (let i = 0; i < 100_000; i++) Atomics.add(count, 0, 1);
  await both.wait();
  console.log(`Node ${node.id} of 2 reads ${count[0]}`);
});
