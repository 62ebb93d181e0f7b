/** Nodes of two machines that know the directory by a name. Run by `./tdsm test:launchers`. */

import { assertEquals, assertStringIncludes } from "@std/assert";
import { ProcessCluster, RemoteNode } from "../support/process_cluster.ts";
import { testsWith } from "./needs.ts";
import { TwoMachines } from "./two_machines.ts";

const test = testsWith(["ip"]);

test("dns: the node on the machine that has the name hosts, others join in any order", async () => {
  await using machines = await TwoMachines.make();
  await using cluster = new ProcessCluster();
  const env = { TDSM_KEY: new Uint8Array(32).fill(2).toBase64() };
  const flags = ["--rendezvous=dns:n1:9700", "--join-timeout=60000", "--nodes=3"];
  const processes = [2, 2, 1].map((machine) =>
    cluster.spawnNode(flags, { env, prefix: machines.on(machine) })
  );
  const nodes = await Promise.all(processes.map((process) => RemoteNode.ready(process)));
  assertEquals(nodes[2]!.info.id, 1);
  assertEquals(nodes[2]!.at, "10.77.0.1:9700");
  await nodes[0]!.store(0, 6);
  assertEquals(await nodes[1]!.load(0), 6);
});

test("dns: a name of several machines, and nodes without a key, are refused", async () => {
  await using machines = await TwoMachines.make();
  await using cluster = new ProcessCluster();
  const start = (name: string, env: Record<string, string>) =>
    cluster.spawnNode([`--rendezvous=dns:${name}:9700`], { env, prefix: machines.on(1) }).exit();
  const both = await start("both", {});
  assertEquals(both.code, 2);
  assertStringIncludes(both.stderr, "it has 2 addresses. Name the one node that hosts");
  const open = await start("n1", { TDSM_KEY: "" });
  assertStringIncludes(open.stderr, "Cannot join without a key at 10.77.0.1:9700");
});
