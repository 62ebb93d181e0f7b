/** Nodes of one machine that know the directory by a name. */

import { assertEquals } from "@std/assert";
import { ProcessCluster, RemoteNode } from "../support/process_cluster.ts";

Deno.test("rendezvous dns: of nodes of one machine that start at once one hosts, and the others join", async () => {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr;
  listener.close();
  await using cluster = new ProcessCluster();
  const flags = [`--rendezvous=dns:127.0.0.1:${port}`, "--nodes=4", "--join-timeout=60000"];
  const processes = [1, 2, 3, 4].map(() => cluster.spawnNode(flags));
  const nodes = await Promise.all(processes.map((process) => RemoteNode.ready(process)));
  assertEquals(nodes.map(({ info }) => info.id).sort(), [1, 2, 3, 4]);
  assertEquals(nodes.find(({ info }) => info.id === 1)!.info.port, port);
});
