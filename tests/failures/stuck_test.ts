/** A wait at a barrier that nobody is left to end says so. */

import { assertEquals, assertMatch } from "@std/assert";
import { inlineProgram } from "../support/inline_program.ts";
import { ProcessCluster } from "../support/process_cluster.ts";

Deno.test("stuck: where every thread of every node waits, some at a barrier, the directory node says so", async () => {
  await using cluster = new ProcessCluster();
  const [first, second] = await cluster.start(2, "--size=64KiB");
  const waiting = first!.evaluate((node) => node.barrier("phase", 3).wait());
  const other = second!.evaluate((node) => node.semaphore(7n).acquire());
  const [line] = await first!.process.untilPrinted(/^.*tdsm: warning: Every thread .*$/m);
  assertMatch(
    line,
    /waits, so maybe for ever: barrier "phase" has 1 of 3 parties \(of node 1\), and 1 more wait for sem/,
  );
  // It is no more than a line: what was missing may come.
  await Promise.all(
    [1, 2].map(() => second!.evaluate((node) => void node.barrier("phase", 3).wait())),
  );
  assertEquals(await waiting, false);
  await first!.evaluate((node) => node.semaphore(7n).release());
  await other;
});

Deno.test("stuck: a directory node that waits for one that has left says so, too", async () => {
  await using cluster = new ProcessCluster();
  const program = `await run(async (node) => {
    if (node.id === 1) console.log(node.port);
    else return;
    await node.waitForPeer(2);
    await node.barrier("phase", 2).wait();
  });`;
  const first = inlineProgram(cluster, "first", program, { flags: ["--port=0"] });
  const [port] = await first.untilPrinted(/^\d+$/m);
  const flags = [`--directory-address=127.0.0.1:${port}`];
  await inlineProgram(cluster, "second", program, { flags }).exit();
  await first.untilPrinted(
    /tdsm: warning: Every thread .*: barrier "phase" has 1 of 2 parties \(of node 1\)/,
  );
});
