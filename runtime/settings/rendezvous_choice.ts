/** How a node finds the directory: the setting `rendezvous` as text, and as it is used. */

import { type Address, parseAddress } from "../address.ts";
import { DIRECTORY_PORT_DEFAULT } from "../limits.ts";

/** How a node finds the directory. */
export type RendezvousChoice =
  /** By a launcher, where one is seen, and else by flags. */
  | { readonly kind: "auto" }
  /** By `directory` and `directoryAddress` alone. */
  | { readonly kind: "flags" }
  /** As a launcher tells by the environment. */
  | { readonly kind: LauncherKind }
  /** By a file that all nodes see. */
  | { readonly kind: "file"; readonly path: string }
  /** By a record in etcd. */
  | { readonly kind: "etcd"; readonly url: string; readonly prefix: string }
  /** By the name of the machine of the directory. */
  | { readonly kind: "dns"; readonly directory: Address };

/** A launcher that tells the processes that it has started of each other. */
export type LauncherKind = typeof LAUNCHERS[number];

const LAUNCHERS = ["slurm", "pmi", "openmpi"] as const;
/** What there is, for the message that something else was asked for. */
const RULE =
  "must be auto, flags, slurm, pmi, openmpi, file:PATH, etcd:URL/PREFIX or dns:NAME:PORT";

/**
 * What each launcher sets for the processes that it has started, and nothing else sets. One that
 * starts its own processes by another one comes before that.
 */
const SEEN_BY: readonly (readonly [LauncherKind, variable: string])[] = [
  ["pmi", "MPI_LOCALNRANKS"],
  ["openmpi", "OMPI_COMM_WORLD_SIZE"],
  // A job's script has most of Slurm's variables, too, and is no task of a step.
  ["slurm", "SLURM_STEP_NUM_TASKS"],
];

/**
 * Reads the setting.
 *
 * @param text What a flag, a variable or an option has.
 * @returns How the node finds the directory.
 * @throws {RangeError} If there is no such way; the message says which there are.
 */
export function parseRendezvous(text: string): RendezvousChoice {
  const kind = LAUNCHERS.find((known) => known === text);
  if (kind !== undefined) return { kind };
  if (text === "auto" || text === "flags") return { kind: text };
  const [, scheme, rest] = /^([a-z]+):(.*)$/s.exec(text) ?? [];
  if (scheme === "file") {
    if (rest === "" || rest!.includes("\0")) throw new RangeError("must have a path behind file:");
    return { kind: "file", path: rest! };
  }
  if (scheme === "etcd") return etcdOf(rest!);
  if (scheme === "dns") {
    return { kind: "dns", directory: parseAddress(rest!, DIRECTORY_PORT_DEFAULT) };
  }
  throw new RangeError(RULE);
}

/** Reads where etcd is, and with what the names of a cluster begin there. */
function etcdOf(text: string): RendezvousChoice {
  const url = URL.parse(text);
  const prefix = url?.pathname.replace(/^\/+|\/+$/g, "");
  if (url === null || !/^https?:$/.test(url.protocol) || !prefix || url.search || url.hash) {
    throw new RangeError("must be as etcd:http://HOST:2379/PREFIX");
  }
  if (url.username !== "" || url.password !== "") {
    throw new RangeError("must have no user: nodes do not log in to etcd");
  }
  return { kind: "etcd", url: url.origin, prefix };
}

/**
 * The launcher that has started this process.
 *
 * @param env Reads an environment variable.
 * @returns The launcher; `undefined` where none is seen.
 */
export function seenLauncher(
  env: (name: string) => string | undefined,
): LauncherKind | undefined {
  return SEEN_BY.find(([, variable]) => env(variable))?.[0];
}
