/** A program of ranks: all add to one word, and each says its place and what they came to. */

import { run } from "../../../mod.ts";

await run(async (node) => {
  const { id, rank, nodeCount } = node;
  const word = node.view(Int32Array, 0, 1);
  const all = node.barrier("all", nodeCount);
  Atomics.add(word, 0, rank! + 1);
  await all.wait();
  console.log(
    `rank ${rank} of ${nodeCount} is node ${id}, the sum is ${word[0]}`,
  );
  await all.wait();
});
