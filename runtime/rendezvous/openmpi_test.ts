import { assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { TdsmError } from "../errors.ts";
import { resolveSettings } from "../settings/settings.ts";
import { withVariables } from "../../tests/support/variables.ts";
import { OpenMpiRendezvous } from "./openmpi.ts";
import { portsOf } from "./ports.ts";
import type { Finding, Hosting, Joining } from "./rendezvous.ts";

const VARIABLES = {
  OMPI_COMM_WORLD_RANK: "0",
  OMPI_COMM_WORLD_SIZE: "2",
  OMPI_COMM_WORLD_LOCAL_SIZE: "2",
  OMPI_MCA_ess_base_jobid: String(25_806 * 2 ** 16 + 1),
  OMPI_MCA_orte_precondition_transports: "1381963feb6f52a3-68d98dcddc9fcbd5",
};

async function find(changes: Record<string, string> = {}): Promise<Finding> {
  using _variables = withVariables({ ...VARIABLES, ...changes });
  const { settings } = resolveSettings({ rendezvous: "openmpi" }, undefined, () => "");
  return await new OpenMpiRendezvous().find({ settings, giveUpAtMs: 0 });
}

Deno.test("OpenMpiRendezvous: port and key are made of what all processes of a job are told", async () => {
  const host = await find() as Hosting;
  const other = await find({ OMPI_COMM_WORLD_RANK: "1" }) as Joining;
  assertEquals(host.ports, portsOf(25_806, 1));
  assertEquals(other.directories.map(({ port }) => port), portsOf(25_806, 1) as number[]);
  assertEquals(other.key, host.key);
  assertEquals([host.place?.rank, other.place?.rank], [0, 1]);
  const next = await find({ OMPI_MCA_orte_precondition_transports: "0-1" });
  assertEquals(next.key!.toHex() === host.key!.toHex(), false);
});

Deno.test("OpenMpiRendezvous: what it does not tell, or wrong, is named", async () => {
  const cases: [changes: Record<string, string>, message: string][] = [
    [{ OMPI_COMM_WORLD_LOCAL_SIZE: "1" }, "on several machines, and it does not tell where. Let"],
    [{ OMPI_COMM_WORLD_RANK: "" }, "OMPI_COMM_WORLD_RANK is not set. Start the program by mpiexec"],
    [{ OMPI_COMM_WORLD_LOCAL_SIZE: "" }, "OMPI_COMM_WORLD_LOCAL_SIZE is not set. Start the"],
    [
      { OMPI_MCA_orte_precondition_transports: "" },
      "its processes share OMPI_MCA_orte_precondition_transports up to release 4, and here none. " +
      "Let them find each other by a file that all of them see, with --rendezvous file:PATH",
    ],
    [
      { OMPI_MCA_orte_precondition_transports: "", OMPI_MCA_ess_base_jobid: "" },
      "share OMPI_MCA_ess_base_jobid and OMPI_MCA_orte_precondition_transports up to release 4",
    ],
    [{ OMPI_MCA_ess_base_jobid: "x" }, 'OMPI_MCA_ess_base_jobid is "x", and must be a whole'],
  ];
  for (const [changes, message] of cases) {
    const error = await assertRejects(() => find(changes), TdsmError);
    assertEquals(error.code, "InvalidOption");
    assertStringIncludes(error.message, message);
  }
});
