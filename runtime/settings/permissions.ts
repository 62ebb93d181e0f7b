/** Missing permissions are told with the flag that grants them, before Deno would ask for them. */

import { formatAddress } from "../address.ts";
import type { Settings } from "./settings.ts";
import { TdsmError } from "../errors.ts";

/**
 * Checks that native code may be used, and the network as the settings need it.
 *
 * @param settings What the node goes by.
 * @throws {TdsmError} `PermissionMissing`, naming the flag.
 */
export function requirePermissions(settings: Settings): void {
  // Pointers need the permission without a path.
  if (Deno.permissions.querySync({ name: "ffi" }).state !== "granted") {
    const message = "Cannot use native code: run Deno with --allow-ffi, without a path";
    throw new TdsmError("PermissionMissing", message, { operation: "join" });
  }
  const { address, port, directoryAddress } = settings;
  const hosts = [formatAddress({ hostname: address, port })];
  if (directoryAddress !== undefined) hosts.push(formatAddress(directoryAddress));
  for (const host of hosts) {
    if (Deno.permissions.querySync({ name: "net", host }).state === "granted") continue;
    const message = `Cannot use the network at ${host}: run Deno with --allow-net`;
    throw new TdsmError("PermissionMissing", message, { operation: "join" });
  }
}
