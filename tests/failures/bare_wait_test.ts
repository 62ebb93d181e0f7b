/** A Worker that has not attached waits by V8's own `Atomics.wait` for a word of the region. */

import { assertEquals, assertMatch } from "@std/assert";
import { inlineProgram } from "../support/inline_program.ts";
import { ProcessCluster } from "../support/process_cluster.ts";

const PAGES = 16;
const WORDS = 1024;

/** Waits for a word of each page, on which another node has written. */
const WORKER = `onmessage = ({ data: cells }) => {
  const ends = [];
  for (let page = 0; page < ${PAGES}; page++) {
    ends.push(Atomics.wait(cells, page * ${WORDS}, 0));
  }
  postMessage([...new Set(ends)].join());
};`;

Deno.test("bare wait: the node gets the page, or ends and says that its engine does not run", async () => {
  await using cluster = new ProcessCluster();
  const directory = await cluster.host("--size=1MiB");
  for (let page = 0; page < PAGES; page++) await directory.store(page * WORDS * 4, 1);
  const url = `data:application/javascript,${encodeURIComponent(WORKER)}`;
  const program = `await run(async (node) => {
    const worker = new Worker(${JSON.stringify(url)}, { type: "module" });
    worker.postMessage(new Int32Array(node.shared, 0, ${PAGES * WORDS}));
    const ends = await new Promise((resolve) => worker.onmessage = ({ data }) => resolve(data));
    worker.terminate();
    console.log(ends);
  });`;
  const flags = [`--directory-address=${directory.at}`];
  const { code, stdout, stderr } = await inlineProgram(cluster, "waits", program, { flags }).exit();
  // Which of both depends on what V8's lock keeps from running meanwhile.
  if (code === 0) return assertEquals(stdout, "not-equal\n");
  assertEquals([code, stdout], [70, ""]);
  const why = /^tdsm: error: .*The engine of this node does not run, .* \(DirectoryLost\)\n$/;
  assertMatch(stderr, why);
  assertEquals(await directory.load(0), 1);
});
