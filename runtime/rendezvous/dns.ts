/**
 * Nodes that know the directory by a name, as of a pod behind a headless service of Kubernetes: the
 * node on the machine that has that name hosts, and the others join there.
 */

import { resolveName } from "../../ffi/resolve.ts";
import { type Address, formatAddress } from "../address.ts";
import { reasonOf, TdsmError } from "../errors.ts";
import { RENDEZVOUS_LOOK_MS } from "../limits.ts";
import { refused } from "../settings/flags.ts";
import { mayUseNet, netPermission } from "../settings/permissions.ts";
import { type Finding, KNOWN_TO_ALL, type Rendezvous, type Seeker } from "./rendezvous.ts";
import { placeSeen } from "./variables.ts";

/** A name by which nodes know the directory. */
export class DnsRendezvous implements Rendezvous {
  readonly #directory: Address;

  /**
   * @param directory The name, and the port of the directory.
   */
  constructor(directory: Address) {
    this.#directory = directory;
  }

  /**
   * Hosts the directory if this machine has the name, and otherwise joins there. A name that nobody
   * knows yet is waited for, as that of a pod that starts.
   *
   * @param seeker The node.
   * @returns What the node is to do.
   * @throws {TdsmError} `PermissionMissing`; `InvalidOption` where the name has several addresses;
   * `NoDirectory` when the time is up.
   */
  async find({ settings, giveUpAtMs }: Seeker): Promise<Finding> {
    const { hostname, port } = this.#directory;
    const place = placeSeen();
    for (;;) {
      let why: string;
      try {
        const address = only(hostname, await resolveName(hostname));
        if (!isFree({ hostname: address, port })) {
          return { kind: "join", place, directories: [this.#directory] };
        }
        return { kind: "host", place, address, ports: [port], ...KNOWN_TO_ALL };
      } catch (error) {
        if (error instanceof TdsmError) throw error;
        why = reasonOf(error);
      }
      if (performance.now() + RENDEZVOUS_LOOK_MS >= giveUpAtMs) {
        throw new TdsmError(
          "NoDirectory",
          `Cannot join at ${formatAddress(this.#directory)}: within ${settings.joinTimeoutMs} ms ` +
            `nobody knows that name (${why}). See whether the node of that name has started, or ` +
            "wait longer with --join-timeout",
          { operation: "join" },
        );
      }
      await new Promise((resolve) => setTimeout(resolve, RENDEZVOUS_LOOK_MS));
    }
  }
}

/** The address of a name that stands for one machine; of two families it may have one each. */
function only(name: string, addresses: readonly string[]): string {
  const [first, ...others] = addresses;
  const isV6 = (address: string): boolean => address.includes(":");
  const same = others.filter((address) => isV6(address) === isV6(first!));
  if (same.length === 0) return first!;
  throw refused(
    `Cannot find the directory by the name ${name}: it has ${addresses.length} addresses. Name ` +
      `the one node that hosts, as program-0.${name} of a StatefulSet`,
  );
}

/** Whether a node can listen at an address: it is one of this machine, and nobody listens there. */
function isFree(address: Address): boolean {
  if (!mayUseNet(address)) throw netPermission(address);
  try {
    Deno.listen(address).close();
    return true;
  } catch (error) {
    const isOther = error instanceof Deno.errors.AddrNotAvailable;
    if (isOther || error instanceof Deno.errors.AddrInUse) return false;
    throw error;
  }
}
