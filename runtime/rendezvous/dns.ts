/**
 * Nodes that know the directory by a name, as of a pod behind a headless service of Kubernetes: the
 * node on the machine that has that name hosts, and the others join there.
 */

import { resolveName } from "../../ffi/resolve.ts";
import { type Address, formatAddress, isLoopback } from "../address.ts";
import { reasonOf, TdsmError } from "../errors.ts";
import { refused } from "../settings/flags.ts";
import { mayUseNet, netPermission } from "../settings/permissions.ts";
import type { Settings } from "../settings/types.ts";
import { Looks } from "./looks.ts";
import { machineName } from "./machine.ts";
import {
  type Finding,
  KNOWN_TO_ALL,
  type Place,
  type Rendezvous,
  type Seeker,
} from "./rendezvous.ts";
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
   * @throws {TdsmError} `PermissionMissing`; `InvalidOption` where the name has several addresses,
   * or one at which this node cannot host; `NoDirectory` when the time is up.
   */
  async find({ settings, giveUpAtMs }: Seeker): Promise<Finding> {
    const { hostname, port } = this.#directory;
    const place = placeSeen() ?? placeByName(machineName().host, hostname, settings.nodes);
    const address = only(hostname, await this.#resolve(settings, giveUpAtMs));
    if (!isFree({ hostname: address, port })) {
      return { kind: "join", place, directories: [this.#directory] };
    }
    if (isLoopback(address) && !isLocalName(hostname)) {
      throw refused(
        `Cannot host the directory by the name ${hostname}: on this machine it is ${address}, ` +
          "where no other one reaches it. Correct /etc/hosts here, or the name service",
      );
    }
    return { kind: "host", place, address, ports: [port], isContended: true, ...KNOWN_TO_ALL };
  }

  /** The addresses of the name, as soon as there are any. */
  async #resolve({ joinTimeoutMs }: Settings, giveUpAtMs: number): Promise<readonly string[]> {
    const looks = new Looks(giveUpAtMs);
    let why: string;
    do {
      try {
        return await resolveName(this.#directory.hostname);
      } catch (error) {
        if (error instanceof TdsmError) throw error;
        why = reasonOf(error);
      }
    } while (await looks.again());
    throw new TdsmError(
      "NoDirectory",
      `Cannot join at ${formatAddress(this.#directory)}: within ${joinTimeoutMs} ms ` +
        `nobody knows that name (${why}). See whether the node of that name has started, or ` +
        "wait longer with --join-timeout",
      { operation: "join" },
    );
  }
}

/**
 * The place of a node whose machine has a number at the end of its name, as pods of a StatefulSet
 * or of an indexed Job of Kubernetes have, and the machine of the directory the number 0.
 *
 * @param host The name of the node's machine: `program-3`.
 * @param directory The name of the directory's: `program-0.program`.
 * @param nodeCount How many nodes there are, by the settings.
 * @returns The place; `undefined` where names have no such numbers, or the number is too high.
 */
export function placeByName(host: string, directory: string, nodeCount: number): Place | undefined {
  const [, set] = /^(.+-)0$/.exec(directory.split(".")[0]!) ?? [];
  const own = host.split(".")[0]!;
  if (set === undefined || !own.startsWith(set)) return undefined;
  const number = own.slice(set.length);
  const rank = /^(?:0|[1-9]\d*)$/.test(number) ? Number(number) : NaN;
  return rank < nodeCount ? { rank, nodeCount } : undefined;
}

/** Whether a name is one that every machine has for itself. */
function isLocalName(name: string): boolean {
  return name === "localhost" || isLoopback(name);
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
    throw refused(`Cannot listen at ${formatAddress(address)}: ${reasonOf(error)}`, error);
  }
}
