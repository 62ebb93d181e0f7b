/** Missing permissions are told with the flag that grants them, before Deno would ask for them. */

import { type Address, formatAddress, isLoopback } from "../address.ts";
import type { Settings } from "./types.ts";
import { TdsmError } from "../errors.ts";

/** A permission that is missing: what cannot be done without it, and the flag that grants it. */
interface Missing {
  readonly what: string;
  readonly flag: string;
  /** What to say of the flag where it is the only one. */
  readonly note?: string;
}

/**
 * Checks that native code may be used, and the network and files as the settings need them. All
 * that is missing is named at once.
 *
 * @param settings What the node goes by.
 * @param served Other addresses at which the process is to listen.
 * @throws {TdsmError} `PermissionMissing`, naming the flags.
 */
export function requirePermissions(settings: Settings, served: readonly Address[] = []): void {
  const { address: hostname, port, directoryAddress, metrics, trace } = settings;
  const addresses = [{ hostname, port }, ...served];
  if (directoryAddress !== undefined) addresses.push(directoryAddress);
  if (metrics !== undefined && metrics !== "otel") addresses.push(metrics);
  const denied = addresses.find((address) => !mayUseNet(address));
  const missing = [
    mayUseNative() ? undefined : NATIVE,
    denied && missingNet(denied, addresses),
    trace === undefined ? undefined : missingWrite(trace),
  ].filter((found) => found !== undefined);
  if (missing.length > 0) throw permissionMissing(missing);
}

/**
 * Checks that native code may be used, before it is known where the directory is. Where it may not,
 * all that is missing by then is named.
 *
 * @param settings What the node goes by.
 * @throws {TdsmError} `PermissionMissing`, naming the flags.
 */
export function requireNative(settings: Settings): void {
  if (mayUseNative()) return;
  if (namesAddresses(settings)) requirePermissions(settings);
  throw permissionMissing([NATIVE]);
}

/**
 * Whether settings themselves name the addresses of the node and of the directory, which by any
 * other rendezvous are found only later.
 *
 * @param settings The settings.
 * @returns Whether they do.
 */
export function namesAddresses({ rendezvous: { kind } }: Settings): boolean {
  return kind === "auto" || kind === "flags";
}

/**
 * Checks that a trace may be written.
 *
 * @param path Its path, into which the node's id is put.
 * @param operation What it is needed for.
 * @throws {TdsmError} `PermissionMissing`, naming the flag.
 */
export function requireTrace(path: string, operation: string): void {
  const missing = missingWrite(path);
  if (missing !== undefined) throw permissionMissing([missing], undefined, operation);
}

const NATIVE: Missing = { what: "use native code", flag: "--allow-ffi", note: ", without a path" };

function mayUseNative(): boolean {
  // Pointers need the permission without a path.
  return Deno.permissions.querySync({ name: "ffi" }).state === "granted";
}

function permissionMissing(
  missing: readonly Missing[],
  cause?: unknown,
  operation = "join",
): TdsmError {
  const what = missing.map(({ what }) => what).join(", or ");
  const flags = missing.map(({ flag }) => flag).join(" ");
  const note = missing.length === 1 ? missing[0]!.note ?? "" : "";
  const message = `Cannot ${what}: run Deno with ${flags}${note}`;
  return new TdsmError("PermissionMissing", message, { operation, cause });
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

/** What is missing to write a trace. The node's id, not known yet, is put into the file's name. */
function missingWrite(path: string): Missing | undefined {
  const folder = path.replace(/[^/]*$/, "") || ".";
  const { state } = Deno.permissions.querySync({ name: "write", path: folder });
  if (state === "granted") return undefined;
  const what = `write a trace into ${folder}, to a file with the node's id in its name`;
  return { what, flag: `--allow-write=${folder}` };
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
  return permissionMissing([missingNet(missing, addresses)], cause);
}

function missingNet(missing: Address, addresses: readonly Address[]): Missing {
  const hosts = [...new Set(addresses.map(({ hostname }) => hostname))];
  const local = hosts.every((host) => host === "localhost" || isLoopback(host));
  const shown = hosts.map((host) => host.includes(":") ? `[${host}]` : host);
  const flag = local ? `--allow-net=${shown.join(",")}` : "--allow-net";
  const where = missing.port === 0
    ? `any port of ${formatAddress(missing).slice(0, -":0".length)}`
    : formatAddress(missing);
  return { what: `use the network at ${where}`, flag };
}
