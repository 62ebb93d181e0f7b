/** How a node ends whose engine itself has failed. */

import { assertEquals, assertMatch } from "@std/assert";
import { ProcessCluster } from "../support/process_cluster.ts";

Deno.test("failed engine: an engine that can do nothing ends its process, though a thread keeps calling it", async () => {
  await using cluster = new ProcessCluster();
  const node = await cluster.host("--size=1MiB");
  const asking = node.evaluate((node) => {
    const libc = Deno.dlopen("libc.so.6", { close: { parameters: ["i32"], result: "i32" } });
    for (const { name } of [...Deno.readDirSync("/proc/self/fd")]) {
      try {
        const target = Deno.readLinkSync(`/proc/self/fd/${name}`);
        // Without it no fault can be read, nor refused.
        if (target === "anon_inode:[userfaultfd]") libc.symbols.close(Number(name));
      } catch (error) {
        // That by which the folder was read.
        if (!(error instanceof Deno.errors.NotFound)) throw error;
      }
    }
    for (;;) {
      try {
        node.semaphore(1n).acquireSync();
      } catch (error) {
        console.error((error as Error).message);
      }
    }
  });
  asking.catch(() => {});
  const { code, stderr } = await node.process.exit();
  assertEquals(code, 70, stderr);
  assertMatch(stderr, /^tdsm: error: Cannot .* \(\w+\)$/m);
});
