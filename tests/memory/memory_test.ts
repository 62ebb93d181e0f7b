/**
 * Nodes at the limit of their memory: what they read is right, and the kernel kills none of them.
 */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { BoundedNodes, type Sizes, verify, write } from "./bounded_nodes.ts";
import { MemoryGroup } from "./memory_group.ts";
import {
  leaveWithMore,
  leaveWithTooMuch,
  onlyRead,
  type Outcome,
  writeAlone,
  writeAndReadAll,
  writeTooMuch,
} from "./scenarios.ts";

/** The limit of a node follows from its cgroup: all but 128 MiB. */
const LIMIT_MIB = 32;
const groupMiB = 128 + LIMIT_MIB;
const reason = MemoryGroup.obstacle();

/** A test that needs cgroups. */
function test(name: string, fn: () => Promise<void>): void {
  const skipped = reason === "" ? "" : ` (skipped: ${reason})`;
  Deno.test({ name: `memory: ${name}${skipped}`, ignore: reason !== "", fn });
}

/** Runs a scenario in which all goes well. */
async function assertBounded(
  scenario: (sizes: Sizes) => Promise<Outcome>,
  sizes: Sizes,
): Promise<Outcome> {
  const outcome = await scenario(sizes);
  assertEquals(outcome.killed, 0);
  for (const { memoryBytes, memoryLimitBytes } of outcome.stats) {
    assert(memoryBytes <= memoryLimitBytes, `${memoryBytes} of ${memoryLimitBytes} bytes`);
  }
  return outcome;
}

test("three nodes write and read more than each of them has room for", async () => {
  const { stats } = await assertBounded(writeAndReadAll, { groupMiB, dataMiB: 72 });
  assert(stats.every(({ pagesDropped }) => pagesDropped > 0));
  assertEquals(stats.map(({ memoryLimitBytes }) => memoryLimitBytes / 2 ** 20), [32, 32, 32]);
});

test("one node writes more than it has room for, and others take some of it over", async () => {
  const { stats } = await assertBounded(writeAlone, { groupMiB, dataMiB: 72 });
  assert(stats[2]!.pagesOffloaded > 0);
});

test("a node reads more than it has room for", async () => {
  const { stats: [reader] } = await assertBounded(onlyRead, { groupMiB, dataMiB: 128 });
  assert(reader!.pagesDropped > 0);
});

test("a node leaves with more than its home has room for", async () => {
  await assertBounded(leaveWithMore, { groupMiB, dataMiB: 96 });
});

test("three nodes write more than all have room for, and end with MemoryExhausted", async () => {
  const { killed, exits } = await writeTooMuch({ groupMiB, dataMiB: 120 });
  assertEquals(killed, 0);
  const causes = exits.filter(({ stderr }) => stderr.includes("(MemoryExhausted)"));
  assert(causes.length > 0, exits.map(({ stderr }) => stderr).join("\n"));
  for (const { code, stderr } of causes) {
    assertEquals(code, 70);
    assertMatch(stderr, /32MiB/);
  }
});

test("a node that leaves with more than all others have room for ends with MemoryExhausted", async () => {
  const { killed, exits: [leaver] } = await leaveWithTooMuch({ groupMiB, dataMiB: 64 });
  assertEquals([killed, leaver!.code], [0, 70]);
  assertEquals(leaver!.stderr.match(/tdsm: error: /g)?.length, 1, leaver!.stderr);
  assertMatch(
    leaver!.stderr,
    /^tdsm: error: Cannot close .*: No other node has had room .* only node 2 has, and they are lost\. .*\(MemoryExhausted\)$/m,
  );
});

Deno.test("memory: copies that others have overwritten are given back in idle time", async () => {
  const sizeMiB = 16;
  await using bounded = new BoundedNodes(sizeMiB);
  const [writer, reader] = [await bounded.start(), await bounded.start()];
  await write(writer, bounded.whole);
  await verify(reader, bounded.whole);
  const held = () => reader.evaluate((node) => node.stats().memoryBytes);
  assertEquals(await held(), sizeMiB * 2 ** 20);
  await write(writer, bounded.whole, 1);
  await reader.evaluate(async (node) => {
    while (node.stats().memoryBytes > 0) await new Promise((go) => setTimeout(go, 10));
  });
  const { pagesDiscarded, pagesDead } = await reader.evaluate((node) => node.stats());
  assertEquals([pagesDiscarded, pagesDead], [sizeMiB * 256, 0]);
  await verify(reader, bounded.whole, 1);
  await bounded.leave();
});

Deno.test("memory: a thread that waits gets the last free page, which another node keeps free", async () => {
  const limitPages = 18;
  const env = { RUN_PAGES: "1", READ_AHEAD: "0" };
  await using bounded = new BoundedNodes(1, env);
  const limit = `${4 * limitPages}KiB`;
  const nodes = [];
  while (nodes.length < 3) nodes.push(await bounded.start(undefined, limit));
  const pages = (from: number, count: number) => ({ from: from * 4096, bytes: count * 4096 });
  for (const [index, count] of [limitPages, limitPages, limitPages - 1].entries()) {
    await write(nodes[index]!, pages(index * limitPages, count));
  }
  const full = (await bounded.stats()).findIndex(({ pagesExclusive }) => {
    return pagesExclusive === limitPages;
  });
  // With the page behind them all, every node is full.
  const last = pages(3 * limitPages, 1);
  await write(nodes[full]!, last);
  await verify(nodes[full]!, last);
  const held = (await bounded.stats()).map(({ pagesExclusive }) => pagesExclusive);
  assertEquals(held, [limitPages, limitPages, limitPages]);
  await bounded.leave();
});
