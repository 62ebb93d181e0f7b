/** Missing permissions are told with the flag that grants them, before Deno would ask for them. */

import { type Address, formatAddress, isLoopback } from "../address.ts";
import type { Settings } from "./types.ts";
import { TdsmError } from "../errors.ts";

/**
 * Checks that native code may be used.
 *
 * @throws {TdsmError} `PermissionMissing`, naming the flag.
 */
export function requireNative(): void {
  // Pointers need the permission without a path.
  if (Deno.permissions.querySync({ name: "ffi" }).state === "granted") return;
  const message = "Cannot use native code: run Deno with --allow-ffi, without a path";
  throw new TdsmError("PermissionMissing", message, { operation: "join" });
}

/**
 * Checks that native code may be used, and the network and files as the settings need them.
 *
 * @param settings What the node goes by.
 * @throws {TdsmError} `PermissionMissing`, naming the flag.
 */
export function requirePermissions(settings: Settings): void {
  requireNative();
  const { address: hostname, port, directoryAddress, metrics } = settings;
  const addresses = [{ hostname, port }];
  if (directoryAddress !== undefined) addresses.push(directoryAddress);
  if (metrics !== undefined && metrics !== "otel") addresses.push(metrics);
  if (settings.trace !== undefined) requireWrite(settings.trace);
  const missing = addresses.find((address) => !mayUseNet(address));
  if (missing !== undefined) throw netPermission(missing, addresses);
}

/**
 * Whether the network may be used at an address. Asked, never requested: on a terminal Deno would
 * prompt, and the cluster wait for the answer.
 *
 * @param address The address; port 0 is any.
 * @returns Whether Deno has granted it.
 */
export function mayUseNet(address: Address): boolean {
  const host = formatAddress(address);
  return Deno.permissions.querySync({ name: "net", host }).state === "granted";
}

/**
 * Checks that a trace may be written.
 *
 * @param path Where; the node's id, which is not known yet, is put into the file's name.
 * @throws {TdsmError} `PermissionMissing`, naming the flag.
 */
export function requireWrite(path: string): void {
  const folder = path.replace(/[^/]*$/, "") || ".";
  const { state } = Deno.permissions.querySync({ name: "write", path: folder });
  if (state === "granted") return;
  const message = `Cannot write a trace into ${folder}: run Deno with --allow-write=${folder}`;
  throw new TdsmError("PermissionMissing", message, { operation: "join" });
}

/**
 * The error that the network may not be used.
 *
 * @param missing The address that may not be used; port 0 is any.
 * @param addresses All addresses that are known to be needed.
 * @param cause What it was made of.
 * @returns The error, with the narrowest flag that grants what nodes on one machine need: other
 * nodes listen at other ports, and where the directory is elsewhere, at addresses that are not
 * known yet.
 */
export function netPermission(
  missing: Address,
  addresses: readonly Address[] = [missing],
  cause?: unknown,
): TdsmError {
  const hosts = [...new Set(addresses.map(({ hostname }) => hostname))];
  const local = hosts.every((host) => host === "localhost" || isLoopback(host));
  const shown = hosts.map((host) => host.includes(":") ? `[${host}]` : host);
  const flag = local ? `--allow-net=${shown.join(",")}` : "--allow-net";
  const where = missing.port === 0
    ? `any port of ${formatAddress(missing).slice(0, -":0".length)}`
    : formatAddress(missing);
  const message = `Cannot use the network at ${where}: run Deno with ${flag}`;
  return new TdsmError("PermissionMissing", message, { operation: "join", cause });
}
