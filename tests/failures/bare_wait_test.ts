/** A Worker that has not attached waits by V8's own `Atomics.wait` for a word of the region. */

import { assertEquals, assertMatch } from "@std/assert";
import { inlineProgram } from "../support/inline_program.ts";
import { ProcessCluster, RemoteNode } from "../support/process_cluster.ts";

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

const URL = `data:application/javascript,${encodeURIComponent(WORKER)}`;
/** In a program: waits in a Worker that has not attached, and prints how the waits have ended. */
const WAIT = `
  const worker = new Worker(${JSON.stringify(URL)}, { type: "module" });
  worker.postMessage(new Int32Array(node.shared, 0, ${PAGES * WORDS}));
  const ends = await new Promise((resolve) => worker.onmessage = ({ data }) => resolve(data));
  worker.terminate();
  console.log(ends);`;

Deno.test("bare wait: the node gets the page, or ends and says that its engine does not run", async () => {
  await using cluster = new ProcessCluster();
  const directory = await cluster.host("--size=1MiB");
  for (let page = 0; page < PAGES; page++) await directory.store(page * WORDS * 4, 1);
  const program = `await run(async (node) => {${WAIT}});`;
  const flags = [`--directory-address=${directory.at}`];
  const { code, stdout, stderr } = await inlineProgram(cluster, "waits", program, { flags }).exit();
  // Which of both depends on what V8's lock keeps from running meanwhile.
  if (code === 0) return assertEquals(stdout, "not-equal\n");
  assertEquals([code, stdout], [70, ""]);
  const why = /^tdsm: error: .*The engine of this node does not run, .* \(DirectoryLost\)\n$/;
  assertMatch(stderr, why);
  assertEquals(await directory.load(0), 1);
});

Deno.test("bare wait: a directory node gets the page, or says that its engine does not run", async () => {
  await using cluster = new ProcessCluster();
  const program = `await run(async (node) => {
    console.log(node.port);
    await node.barrier("written", 2).wait();${WAIT}});`;
  const flags = ["--directory", "--port=0", "--size=1MiB"];
  const directory = inlineProgram(cluster, "waits", program, { flags });
  const [, port] = await directory.untilPrinted(/^(\d+)\n/);
  const at = `--directory-address=127.0.0.1:${port}`;
  const writer = await RemoteNode.ready(cluster.spawnNode([at]));
  for (let page = 0; page < PAGES; page++) await writer.store(page * WORDS * 4, 1);
  await writer.evaluate(async (node) => await node.barrier("written", 2).wait());
  // Which of both depends on what V8's lock keeps from running meanwhile.
  const told = /^not-equal$|^tdsm: error: The engine of node 1 has not run for 10000 ms\. .*$/m;
  await directory.untilPrinted(told);
});
