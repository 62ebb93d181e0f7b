/** What the ways have in common in which the node that claims a record hosts the directory. */

import { type Address, isLoopback, parseAddress } from "../address.ts";
import { TdsmError } from "../errors.ts";
import { refused } from "../settings/flags.ts";
import { keyOf } from "../settings/key_text.ts";
import type { Settings } from "../settings/types.ts";
import { machineName } from "./machine.ts";
import type { Joining, Place } from "./rendezvous.ts";

/**
 * Whether a node may claim the record: of nodes with ranks only the first one, else any but one
 * that only serves calls.
 *
 * @param settings The node's settings.
 * @param place The node's place, where a launcher gives places.
 * @returns Whether it may.
 */
export function mayClaim({ rpcServer }: Settings, place: Place | undefined): boolean {
  return place === undefined ? !rpcServer : place.rank === 0;
}

/**
 * Where the directory of a record is, for this machine.
 *
 * @param record The record, for people: `the file /shared/job`.
 * @param told What it says: the address of the directory, and the machine that it is on.
 * @returns The address.
 * @throws {TdsmError} `InvalidOption` where only another machine reaches that.
 */
export function reachable(
  record: string,
  { address, boot }: { readonly address: string; readonly boot?: string },
): Address {
  const directory = parseAddress(address, 0);
  const { hostname } = directory;
  const isLocal = hostname === "localhost" || isLoopback(hostname);
  if (!isLocal || boot === machineName().boot) return directory;
  throw refused(
    `Cannot join by ${record}: its directory is on another machine, and listens at ${address}, ` +
      "where only that machine reaches it. Give its node an --address",
  );
}

/**
 * What a node does that has found a directory by a record.
 *
 * @param directory Where the directory is.
 * @param key The key that the record has, in base64.
 * @returns To join there.
 */
export function joiningAt(directory: Address, key: string | undefined): Joining {
  return {
    kind: "join",
    directories: [directory],
    key: key === undefined ? undefined : keyOf(key),
    plain: isLoopback(directory.hostname),
  };
}

/**
 * The error that no directory was found in time.
 *
 * @param record The record, for people: `the file /shared/job`.
 * @param settings The node's settings.
 * @param met What the node met last.
 * @returns The error.
 */
export function notInTime(
  record: string,
  { joinTimeoutMs, rpcServer }: Settings,
  met: string,
): TdsmError {
  const within = joinTimeoutMs === 0 ? "at the first try" : `within ${joinTimeoutMs} ms`;
  const serves = rpcServer ? ". A node that only serves calls does not claim it" : "";
  return new TdsmError(
    "NoDirectory",
    `Cannot join by ${record} ${within}: ${met}${serves}. ` +
      "Start a node that hosts, or wait longer with --join-timeout",
    { operation: "join" },
  );
}
