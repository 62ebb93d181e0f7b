/** What a rendezvous tells of the machine on which a directory is. */

import { withFiles } from "../../ffi/machine.ts";
import { isLoopback } from "../address.ts";
import { reasonOf } from "../errors.ts";
import { refused } from "../settings/flags.ts";
import { mayUseNet, netPermission } from "../settings/permissions.ts";

/** This machine, as other machines know it. */
export interface MachineName {
  /** Its host name; empty where `/proc` does not tell. */
  readonly host: string;
  /**
   * What no other machine has, and this one no more once it was started again; of this process
   * alone where `/proc` does not tell.
   */
  readonly boot: string;
}

/** Stands for this machine where it has no name: no record of another process has it. */
const OF_THIS_PROCESS = crypto.randomUUID();

/**
 * Names this machine.
 *
 * @param read Reads a file; `undefined` where there is none. Left out, of this machine.
 * @returns Its names.
 */
export function machineName(
  read: (path: string) => string | undefined = (path) => withFiles((text) => text(path)),
): MachineName {
  const [host, boot] = ["hostname", "random/boot_id"].map((file) =>
    read(`/proc/sys/kernel/${file}`)?.trim()
  );
  return { host: host ?? "", boot: boot || OF_THIS_PROCESS };
}

/**
 * The name by which other machines reach a node that listens at all addresses of this one.
 *
 * @param machine This machine.
 * @returns Its host name.
 * @throws {TdsmError} `InvalidOption` where it does not tell it.
 */
export function hostOf({ host }: MachineName = machineName()): string {
  if (host !== "") return host;
  throw refused(
    "Cannot tell others where the directory is: /proc does not tell the name of this machine. " +
      "Name an address by which others reach it, with --address",
  );
}

/**
 * Why other machines do not reach this one by its name as it is known here: nodes of this machine
 * would be known to others by an address of loopback.
 *
 * @param name The name of this machine.
 * @returns The reason, and what to do; `undefined` where they reach it.
 * @throws {TdsmError} `PermissionMissing`
 */
export function whyOnlyHere(name: string): string | undefined {
  const remedy = "Correct /etc/hosts there, or the name service";
  const anyPort = { hostname: name, port: 0 };
  if (!mayUseNet(anyPort)) throw netPermission(anyPort);
  let own: string;
  try {
    using listener = Deno.listen(anyPort);
    own = listener.addr.hostname;
  } catch (error) {
    return `the machine ${name} cannot listen by that name (${reasonOf(error)}). ${remedy}`;
  }
  if (!isLoopback(own)) return undefined;
  return `${name} is ${own} on that machine itself, where no other one reaches it. ${remedy}`;
}
