/** A program that has its own file read into a page that nobody has touched. */

import { run } from "../../../mod.ts";

await run((node) => {
  using file = Deno.openSync(new URL(import.meta.url));
  file.readSync(node.memory.subarray(8192, 8196));
}, { directory: true, port: 0 });
