/** How other nodes go on, or end, when a node is gone without leaving. */

import { assertEquals, assertMatch } from "@std/assert";
import { ProcessCluster, type RemoteNode } from "../support/process_cluster.ts";

/** Ignores a call that never returns, because its node ends. */
function never(call: Promise<unknown>): void {
  call.catch(() => {});
}

/** Checks that two nodes still share a page. */
async function assertShared([a, b]: readonly RemoteNode[], offset: number): Promise<void> {
  for (let round = 1; round <= 20; round++) {
    await a!.store(offset, round);
    assertEquals(await b!.load(offset), round);
    await b!.store(offset, -round);
    assertEquals(await a!.load(offset), -round);
  }
}

Deno.test("lost node: a node that needs a page that only the lost node had ends; others go on", async () => {
  await using cluster = new ProcessCluster();
  const [directory, asker, owner, ...others] = await cluster.start(5, "--size=1MiB");
  const page = 7;
  const kept = 20;
  await owner!.store(page * 4096, 1);
  await owner!.store(kept * 4096, 99);
  assertEquals(await others[0]!.load(kept * 4096), 99, "a copy of this page is elsewhere");
  owner!.process.kill();
  await owner!.process.exit();
  never(asker!.load(page * 4096));
  const { code, stdout, stderr } = await asker!.process.exit();
  assertEquals(code, 70, stderr);
  assertMatch(stderr, /Page 7 \(bytes 28672 to 32767\) is lost: its only copy was on node 3/);
  assertEquals(stdout.trimEnd().split("\n").length, 1);
  // The lost node was the home of the first chunk, whose untouched pages are lost with it.
  await assertShared(others, 130 * 4096);
  await assertShared([directory!, others[1]!], 131 * 4096);
  for (const node of [directory!, ...others]) assertEquals(await node.load(kept * 4096), 99);
  const late = await cluster.join(directory!);
  await assertShared([late, others[0]!], 132 * 4096);
  const peers = await late.evaluate((node) => node.peers().map(({ id }) => id));
  assertEquals(peers, [1, 4, 5]);
});

Deno.test("lost node: a write to a page that only the lost node had ends the writer too", async () => {
  await using cluster = new ProcessCluster();
  const [, writer, owner] = await cluster.start(3, "--size=1MiB");
  await owner!.store(0, 1);
  owner!.process.kill();
  await owner!.process.exit();
  never(writer!.store(0, 2));
  const { code, stderr } = await writer!.process.exit();
  assertEquals(code, 70, stderr);
  assertMatch(stderr, /Page 0 \(bytes 0 to 4095\) is lost: its only copy was on node 3/);
});

/**
 * Has a node touch page 1, and waits until the directory has heard of it. Its answer may never
 * come.
 */
async function startAsking(
  directory: RemoteNode,
  asker: RemoteNode,
  write: boolean,
): Promise<{ call: Promise<number> }> {
  const heard = () => directory.evaluate((node) => node.stats().messagesReceived);
  const before = await heard();
  const call = asker.evaluate((node, write) => {
    if (write) node.memory[4096] = 6;
    return node.memory[4096]!;
  }, write);
  never(call);
  while (await heard() === before);
  return { call };
}

/**
 * Two nodes ask for a page whose owner is stopped, and the one that wants to write is killed before
 * the owner goes on. Returns what the other reads.
 */
async function readBesideKilledWriter(writerFirst: boolean): Promise<number | "lost"> {
  await using cluster = new ProcessCluster();
  const [directory, owner, writer, reader] = await cluster.start(4, "--size=64KiB");
  await owner!.store(4096, 5);
  // Stopped, it gives nothing away.
  owner!.process.kill("SIGSTOP");
  const calls: { [id: number]: Promise<number> } = {};
  for (const asker of writerFirst ? [writer!, reader!] : [reader!, writer!]) {
    const { call } = await startAsking(directory!, asker, asker === writer);
    calls[asker.info.id] = call;
  }
  writer!.process.kill();
  await directory!.process.untilPrinted(/Node 3 is lost/);
  owner!.process.kill("SIGCONT");
  try {
    return await calls[reader!.info.id]!;
  } catch {
    const { code, stderr } = await reader!.process.exit();
    assertEquals(code, 70, stderr);
    assertMatch(stderr, /Page 1 \(bytes 4096 to 8191\) is lost: its only copy was on node 3/);
    await assertShared([directory!, owner!], 8192);
    return "lost";
  }
}

Deno.test("lost node: a node that is killed while its request is queued is passed over", async () => {
  assertEquals(await readBesideKilledWriter(false), 5);
});

Deno.test("lost node: a node that is killed while a page is on its way to it may take the page along", async () => {
  const found = await readBesideKilledWriter(true);
  if (found !== "lost") assertEquals(found, 5);
});

Deno.test("lost node: waitForPeer for it ends with an error", async () => {
  await using cluster = new ProcessCluster();
  const [directory, other] = await cluster.start(2);
  other!.process.kill();
  await directory!.process.untilPrinted(/Node 2 is lost/);
  const error = await directory!.evaluate((node) =>
    node.waitForPeer(2).then(() => "", ({ code }) => code as string)
  );
  assertEquals(error, "PeerLost");
  const third = await cluster.join(directory!);
  assertEquals(third.info.id, 3, "ids are not given again");
});

Deno.test("lost directory: every node says so and ends, also one that does nothing", async () => {
  await using cluster = new ProcessCluster();
  const [directory, idle, sleeping] = await cluster.start(3);
  never(sleeping!.evaluate(() => new Promise((done) => setTimeout(done, 1_000_000))));
  directory!.process.kill();
  for (const node of [idle!, sleeping!]) {
    const { code, stderr } = await node.process.exit();
    assertEquals(code, 70, stderr);
    assertMatch(stderr, /\(DirectoryLost\)$/m);
  }
});

Deno.test("lost directory: a node that waits for a page says so and ends", async () => {
  await using cluster = new ProcessCluster();
  const [directory, reader] = await cluster.start(2);
  // It answers nothing while it is stopped, so that the reader does wait.
  directory!.process.kill("SIGSTOP");
  const reading = reader!.evaluate((node) => {
    console.error("reading");
    return node.memory[40_960];
  });
  never(reading);
  await reader!.process.untilPrinted(/^reading$/m);
  directory!.process.kill("SIGKILL");
  const { code, stderr } = await reader!.process.exit();
  assertEquals(code, 70, stderr);
  assertMatch(stderr, /DirectoryLost/);
});

Deno.test("lost directory: a directory node that has fallen silent is lost too", async () => {
  await using cluster = new ProcessCluster();
  const [directory, other] = await cluster.start(2);
  directory!.process.kill("SIGSTOP");
  const { code, stderr } = await other!.process.exit();
  assertEquals(code, 70, stderr);
  assertMatch(stderr, /answered nothing.* \(DirectoryLost\)$/m);
});
