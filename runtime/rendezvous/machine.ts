/** What a rendezvous tells of the machine on which a directory is. */

import { withFiles } from "../../ffi/machine.ts";
import { isLoopback } from "../address.ts";
import { reasonOf } from "../errors.ts";
import { mayUseNet, netPermission } from "../settings/permissions.ts";

/** This machine, as other machines know it. */
export interface MachineName {
  /** Its host name. */
  readonly host: string;
  /** What no other machine has, and this one no more once it was started again. */
  readonly boot: string;
}

/**
 * Names this machine.
 *
 * @returns Its names, each empty where `/proc` does not tell.
 */
export function machineName(): MachineName {
  const read = (file: string): string =>
    withFiles((text) => text(`/proc/sys/kernel/${file}`))?.trim() ?? "";
  return { host: read("hostname"), boot: read("random/boot_id") };
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
