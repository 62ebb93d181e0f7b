/** Whether a directory may be where a record says: a record can outlive its cluster. */

import type { Address } from "../address.ts";
import { reasonOf } from "../errors.ts";
import { PROBE_MAX_MS } from "../limits.ts";
import { mayUseNet, netPermission } from "../settings/permissions.ts";

/**
 * Looks whether anything answers at an address.
 *
 * @param address The address.
 * @returns Why nothing does; `undefined` where something does.
 * @throws {TdsmError} `PermissionMissing`
 */
export async function whyNotThere(address: Address): Promise<string | undefined> {
  if (!mayUseNet(address)) throw netPermission(address);
  try {
    (await Deno.connect({ ...address, signal: AbortSignal.timeout(PROBE_MAX_MS) })).close();
    return undefined;
  } catch (error) {
    return reasonOf(error);
  }
}
