/** The error of a node that needs a lost page: where the page was, and why that node is gone. */

import { assertEquals, assertMatch } from "@std/assert";
import { ProcessCluster, RemoteNode } from "../support/process_cluster.ts";
import { DamagingProxy } from "./damaging_proxy.ts";

const PAGE = 4096;

Deno.test("page lost: the requester's error says that bytes of the owner arrived changed", async () => {
  await using cluster = new ProcessCluster();
  const directory = await cluster.host("--size=1MiB");
  const { address: hostname, port } = directory.info;
  // Well behind all that the owner says before it sends pages, and within those.
  const damage = { kind: "flip", way: "there", after: 20 * PAGE, amount: 3 } as const;
  await using proxy = new DamagingProxy({ hostname, port }, damage);
  const owner = await RemoteNode.ready(cluster.spawnNode([`--directory-address=${proxy.at}`]));
  await owner.evaluate((node) => void node.memory.fill(1));
  const read = directory.evaluate((node) => {
    let sum = 0;
    for (const byte of node.memory) sum += byte;
    return sum;
  });
  read.catch(() => {});
  const { code, stderr } = await directory.process.exit();
  assertEquals([code, proxy.done], [70, true]);
  assertMatch(
    stderr,
    /Page \d+ \(bytes \d+ to \d+\) is lost: its only copy was on node 2, which is gone \(Frame .+\)\. Node 1 needs it and cannot go on \(PageLost\)/,
  );
});

Deno.test("page lost: a requester that was not connected to the owner cannot say why the owner is gone", async () => {
  await using cluster = new ProcessCluster();
  const [directory, asker, owner] = await cluster.start(3, "--size=64KiB");
  const at = await owner!.evaluate(async (node) => {
    const grid = await node.alloc(Int32Array, 1024, { name: "grid" });
    grid[0] = 1;
    return node.offsetOf(grid);
  });
  owner!.process.kill();
  await owner!.process.exit();
  await directory!.process.untilPrinted(/Node 3 is lost: (.+)\. Pages/);
  const read = asker!.load(at);
  read.catch(() => {});
  const { code, stderr } = await asker!.process.exit();
  assertEquals(code, 70);
  assertMatch(stderr, /its only copy was on node 3, which is gone\. Node 2 needs it/);
  // The directory node knows every name.
  directory!.load(at).catch(() => {});
  const end = await directory!.process.exit();
  assertMatch(
    end.stderr,
    /Page \d+ of "grid" \(bytes .+\) is lost: its only copy was on node 3, which is gone \(.+\)\. Node 1 needs it/,
  );
});
