/** A program that starts two nodes, one after the other, and says how large their regions are. */

import { join, run } from "../../../mod.ts";

await run(async (node) => {
  await using second = await join({ directory: true, port: 0 });
  console.log(node.size, second.size);
}, { port: 0 });
