/**
 * Processes of `mpiexec` of Open MPI on one machine: rank 0 hosts, on a port made of the number of
 * the job, with a key made of the job's own secret. Of other machines its environment does not
 * tell.
 */

import { type Finding, KNOWN_TO_ALL, type Rendezvous, type Seeker } from "./rendezvous.ts";
import { addressesAt, portsOf } from "./ports.ts";
import { placeBy, variablesOf } from "./variables.ts";

/** What all processes of a job have, and no other job; from release 5 on they do not. */
const JOB = "OMPI_MCA_ess_base_jobid";
/** What nobody else knows. */
const SECRET = "OMPI_MCA_orte_precondition_transports";
const BY_FILE =
  "Let them find each other by a file that all of them see, with --rendezvous file:PATH";

/** The processes of one `mpiexec`. */
export class OpenMpiRendezvous implements Rendezvous {
  /**
   * Has rank 0 host.
   *
   * @param seeker The node.
   * @returns What the node is to do.
   * @throws {TdsmError} `PermissionMissing`, or `InvalidOption` where Open MPI's variables are no
   * use, or its processes are on several machines.
   */
  async find({ settings }: Seeker): Promise<Finding> {
    const variables = variablesOf("openmpi");
    const place = placeBy("openmpi", variables);
    if (variables.number("OMPI_COMM_WORLD_LOCAL_SIZE", 1) < place.nodeCount) {
      throw variables.wrong(
        `its processes are on several machines, and it does not tell where. ${BY_FILE}`,
      );
    }
    const missing = [JOB, SECRET].filter((name) => variables.find(name) === undefined);
    if (missing.length > 0) {
      throw variables.wrong(
        `its processes share ${
          missing.join(" and ")
        } up to release 4, and here none. ${BY_FILE}. ` +
          "Or, where mpiexec has not started them, use --rendezvous flags",
      );
    }
    const job = variables.number(JOB);
    const secret = variables.text(SECRET);
    const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(secret));
    const key = settings.key === undefined ? new Uint8Array(digest) : undefined;
    // The upper half is of the launcher, the lower one of the job that it runs.
    const ports = portsOf(Math.floor(job / 2 ** 16), job % 2 ** 16);
    const found = { place, key, plain: true };
    if (place.rank === 0) return { kind: "host", ports, ...KNOWN_TO_ALL, ...found };
    return { kind: "join", directories: addressesAt("127.0.0.1", ports), ...found };
  }
}
