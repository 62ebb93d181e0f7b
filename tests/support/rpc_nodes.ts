/** Nodes whose programs have the remote procedures of `programs/procedures.ts`. */

import { fileURLToPath } from "node:url";
import { type ProcessCluster, RemoteNode, type TestProcess } from "./process_cluster.ts";

const RPC_NODE = fileURLToPath(new URL("../nodes/programs/rpc_node.ts", import.meta.url));

/**
 * Starts the process of a node with these procedures.
 *
 * @param cluster The processes of the test.
 * @param flag `--directory`, or the node to join.
 * @param env More environment variables.
 * @returns The process.
 */
export function spawnRpcNode(
  cluster: ProcessCluster,
  flag: string,
  env: Record<string, string> = {},
): TestProcess {
  return cluster.spawn(`node with ${flag}`, {
    args: ["run", "-A", "--no-prompt", RPC_NODE, flag],
    env: { PORT: "0", SIZE: "4MiB", ...env },
  });
}

/**
 * Starts several such nodes, with ids in order; the first hosts the directory.
 *
 * @param cluster The processes of the test.
 * @param nodes How many.
 * @returns The nodes.
 */
export async function startRpcNodes(cluster: ProcessCluster, nodes: number): Promise<RemoteNode[]> {
  const all = [await RemoteNode.ready(spawnRpcNode(cluster, "--directory"))];
  while (all.length < nodes) {
    const joining = spawnRpcNode(cluster, `--directory-address=${all[0]!.at}`);
    all.push(await RemoteNode.ready(joining));
  }
  // When a node has joined, only the directory node is sure to know of it.
  for (const [index, node] of all.entries()) {
    if (index < nodes - 1) await node.evaluate((self, last) => self.waitForPeer(last), nodes);
  }
  return all;
}
