/** Programs on real nodes: processes of this machine, over its loopback. */

import { ProcessCluster, type RemoteNode } from "../../tests/support/process_cluster.ts";
import { PAGE_SIZE_DEFAULT_BYTES } from "../../runtime/limits.ts";
import { busiestOf, type Run, total } from "./report.ts";
import type { MissCosts } from "./network.ts";
import { missBytes, type Part, type PartReport } from "./part.ts";
import { layOut } from "./program.ts";
import { makeSuite, type Size } from "./suite.ts";

const PART = import.meta.resolve("./part.ts");

/**
 * Runs all programs, one after the other.
 *
 * @param size Their sizes.
 * @param nodes On how many nodes.
 * @param flags Settings of the nodes.
 * @returns How each went, between its marks.
 * @throws {Error} When a result is wrong, or a node fails.
 */
export async function runReally(
  size: Size,
  nodes: number,
  flags: readonly string[] = [],
): Promise<Run[]> {
  const programs = makeSuite(size);
  await using cluster = new ProcessCluster();
  // Read-ahead is each node's own business, so all are told.
  const host = await cluster.host(`--size=${layOut(programs).bytes}`, ...flags);
  const remotes = [host];
  while (remotes.length < nodes) remotes.push(await cluster.join(host, ...flags));
  const runs: Run[] = [];
  for (const index of programs.keys()) {
    const part: Part = { size, index, nodes };
    const reports = await Promise.all(remotes.map((remote) => take(remote, part)));
    const counts = reports.map(({ counts }) => counts);
    runs.push({
      ms: Math.max(...reports.map(({ ms }) => ms)),
      counts: total(counts),
      busiest: busiestOf(counts),
    });
  }
  await leave(remotes);
  return runs;
}

/**
 * Measures remote read misses between two nodes.
 *
 * @returns What they cost.
 */
export async function measureLoopback(): Promise<MissCosts> {
  await using cluster = new ProcessCluster();
  const remotes = await cluster.start(2, `--size=${missBytes(PAGE_SIZE_DEFAULT_BYTES)}`);
  const costs = await Promise.all(remotes.map((remote) =>
    remote.evaluate(
      async (node, part): Promise<MissCosts | undefined> =>
        (await import(part)).measureMisses(node),
      PART,
    )
  ));
  await leave(remotes);
  return costs[1]!;
}

function take(remote: RemoteNode, part: Part): Promise<PartReport> {
  return remote.evaluate(
    async (node, url, part): Promise<PartReport> => (await import(url)).takePart(node, part),
    PART,
    part,
  );
}

/** Ends all nodes, that with the directory last. */
async function leave(remotes: readonly RemoteNode[]): Promise<void> {
  for (const remote of remotes.toReversed()) {
    const { code, stderr } = await remote.leave();
    if (code !== 0) throw new Error(`Node ${remote.info.id} ended with ${code}: ${stderr}`);
  }
}
