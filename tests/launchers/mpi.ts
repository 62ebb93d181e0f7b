/**
 * Processes of real MPI launchers find each other: MPICH's Hydra and Open MPI. Run by
 * `./tdsm test:launchers`, as root.
 */

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { ProcessCluster } from "../support/process_cluster.ts";
import { testsWith } from "./needs.ts";
import { assertEnded, placesProgram } from "./places.ts";
import { TwoMachines } from "./two_machines.ts";

const HYDRA = "mpiexec.hydra";
/** Root has to say so, and cores are few. */
const OPEN_MPI = ["mpiexec.openmpi", "--allow-run-as-root", "--oversubscribe"];

const testMpich = testsWith([HYDRA]);
const testMpichMachines = testsWith([HYDRA, "ip"]);
const testOpenMpi = testsWith(["mpiexec.openmpi"]);
const testOpenMpiMachines = testsWith(["mpiexec.openmpi", "ip"]);

testMpichMachines(
  "MPICH: processes of mpiexec find each other, on one machine and on two",
  async () => {
    await using cluster = new ProcessCluster();
    const args = placesProgram();
    const local = cluster.spawn("local", { args, prefix: [HYDRA, "-n", "4"] });
    assertEnded(4, await local.exit());
    await using machines = await TwoMachines.make();
    const ssh = ["-launcher", "ssh", "-launcher-exec", `${machines.folder}/ssh`];
    const hosts = ["-hosts", "n1,n2", "-ppn", "2", "-n", "4"];
    const prefix = [...machines.on(1), HYDRA, ...ssh, ...hosts];
    assertEnded(4, await cluster.spawn("two machines", { args, prefix }).exit());
  },
);

testMpich("MPICH: where rank 0 cannot host, the others end with it, and do not wait", async () => {
  await using cluster = new ProcessCluster();
  using taken = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const args = placesProgram([], [`--port=${taken.addr.port}`, "--join-timeout=600000"]);
  const { code, stderr } = await cluster.spawn("mpiexec", { args, prefix: [HYDRA, "-n", "3"] })
    .exit();
  assert(code !== 0);
  assertStringIncludes(stderr, "the port is in use");
});

testMpich("MPICH: runs at the same time do not mix", async () => {
  await using cluster = new ProcessCluster();
  const exits = await Promise.all([2, 3, 4].map((nodes) => {
    const prefix = [HYDRA, "-n", String(nodes)];
    return cluster.spawn(`${nodes} nodes`, { args: placesProgram(), prefix }).exit();
  }));
  for (const [index, exit] of exits.entries()) assertEnded(2 + index, exit);
});

testOpenMpi("Open MPI: processes of mpiexec on one machine find each other", async () => {
  await using cluster = new ProcessCluster();
  const exits = await Promise.all([2, 4].map((nodes) => {
    const prefix = [...OPEN_MPI, "-n", String(nodes)];
    return cluster.spawn(`${nodes} nodes`, { args: placesProgram(), prefix }).exit();
  }));
  assertEnded(2, exits[0]!);
  assertEnded(4, exits[1]!);
});

testOpenMpiMachines(
  "Open MPI: on several machines its processes are told to use a file, and find each other by it",
  async () => {
    await using cluster = new ProcessCluster();
    await using machines = await TwoMachines.make();
    const ssh = ["-mca", "plm_rsh_agent", `${machines.folder}/ssh`];
    const hosts = ["--host", "n1:2,n2:2", "-n", "4"];
    const prefix = [...machines.on(1), ...OPEN_MPI, ...ssh, ...hosts];
    const told = await cluster.spawn("no file", { args: placesProgram(), prefix }).exit();
    assertEquals(told.code, 2);
    assertStringIncludes(told.stderr, "with --rendezvous file:PATH (InvalidOption)");
    const file = `${machines.folder}/cluster`;
    const flags = [`--allow-read=${file}`, `--allow-write=${file}`];
    const args = placesProgram(flags, [`--rendezvous=file:${file}`, "--address=0.0.0.0"]);
    assertEnded(4, await cluster.spawn("a file", { args, prefix }).exit());
  },
);
