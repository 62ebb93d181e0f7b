/** Programs that need more memory than one node has, or than all have. */

import type { NodeStats } from "../../mod.ts";
import type { Exit } from "../support/process_cluster.ts";
import { BoundedNodes, type Sizes, verify, write } from "./bounded_nodes.ts";

/** What came of a scenario. */
export interface Outcome {
  /** The most memory that each cgroup had in use, in MiB. */
  readonly peaksMiB: readonly number[];
  /** How many processes the kernel has killed. */
  readonly killed: number;
  /** What the nodes have counted; none where they have ended. */
  readonly stats: readonly NodeStats[];
}

/** Each of three nodes writes a third of the data, and all three read all of it. */
export async function writeAndReadAll(sizes: Sizes): Promise<Outcome> {
  await using bounded = await BoundedNodes.three(sizes);
  const { nodes } = bounded;
  await Promise.all(nodes.map((node, index) => write(node, bounded.part(index, 3))));
  await Promise.all(nodes.map((node) => verifyThirds(bounded, node)));
  const stats = await bounded.stats();
  await bounded.leave();
  return { peaksMiB: bounded.peaksMiB, killed: bounded.killed, stats };
}

async function verifyThirds(
  bounded: BoundedNodes,
  node: BoundedNodes["nodes"][number],
): Promise<void> {
  for (const index of [0, 1, 2]) await verify(node, bounded.part(index, 3));
}

/** One of three nodes writes all of the data, and all three read all of it. */
export async function writeAlone(sizes: Sizes): Promise<Outcome> {
  await using bounded = await BoundedNodes.three(sizes);
  const { nodes } = bounded;
  await write(nodes[2]!, bounded.whole);
  for (const node of nodes) await verify(node, bounded.whole);
  const stats = await bounded.stats();
  await bounded.leave();
  return { peaksMiB: bounded.peaksMiB, killed: bounded.killed, stats };
}

/** Two nodes without a bound write the data, and one with a bound reads all of it. */
export async function onlyRead({ groupMiB, limit, dataMiB }: Sizes): Promise<Outcome> {
  await using bounded = new BoundedNodes(dataMiB);
  const writers = [await bounded.start(), await bounded.start()];
  const reader = await bounded.start(groupMiB, limit);
  await Promise.all(writers.map((node, index) => write(node, bounded.part(index, 2))));
  for (const index of [0, 1]) await verify(reader, bounded.part(index, 2));
  const stats = [await reader.evaluate((it) => it.stats())];
  await bounded.leave();
  return { peaksMiB: bounded.peaksMiB, killed: bounded.killed, stats };
}

/** A node leaves with all of the data, for which its home has no room, and another has. */
export async function leaveWithMore({ groupMiB, limit, dataMiB }: Sizes): Promise<Outcome> {
  await using bounded = new BoundedNodes(dataMiB);
  const home = await bounded.start(groupMiB, limit);
  const [leaver, taker] = [await bounded.start(), await bounded.start()];
  await write(leaver, bounded.whole);
  const { code, stderr } = await leaver.leave();
  if (code !== 0) throw new Error(`The node that leaves ended with code ${code}: ${stderr}`);
  bounded.nodes.splice(bounded.nodes.indexOf(leaver), 1);
  await verify(taker, bounded.whole);
  await verify(home, bounded.whole);
  const stats = [await home.evaluate((it) => it.stats())];
  await bounded.leave();
  return { peaksMiB: bounded.peaksMiB, killed: bounded.killed, stats };
}

/** What came of a scenario in which the memory does not suffice. */
export interface Exhaustion extends Omit<Outcome, "stats"> {
  /** How each node ended. */
  readonly exits: readonly Exit[];
}

/** Three nodes write more than all of them have room for. */
export async function writeTooMuch(sizes: Sizes): Promise<Exhaustion> {
  await using bounded = await BoundedNodes.three(sizes);
  const { nodes } = bounded;
  const writes = nodes.map((node, index) => write(node, bounded.part(index, 3)));
  await Promise.allSettled(writes);
  // Those that had room still may go on, until they need a page of one that has ended.
  const reads = nodes.map((node) => verifyThirds(bounded, node));
  await Promise.allSettled(reads);
  const exits = await Promise.all(nodes.map(async ({ process }) => {
    // Most have ended; what is left is told to.
    await process.write("leave").catch(() => {});
    return await process.exit();
  }));
  return { peaksMiB: bounded.peaksMiB, killed: bounded.killed, exits };
}

/** A node wants to leave with more than all others have room for. */
export async function leaveWithTooMuch({ groupMiB, limit, dataMiB }: Sizes): Promise<Exhaustion> {
  await using bounded = new BoundedNodes(dataMiB);
  const home = await bounded.start(groupMiB, limit);
  const leaver = await bounded.start();
  // The home has work of its own, so that it does not close with the other.
  await home.store(0, 1);
  await write(leaver, bounded.whole);
  const exits = [await leaver.leave()];
  await home.leave();
  return { peaksMiB: bounded.peaksMiB, killed: bounded.killed, exits };
}
