/** What the ways have in common in which the node that claims a record hosts the directory. */

import { type Address, isLoopback } from "../address.ts";
import { TdsmError } from "../errors.ts";
import { keyOf } from "../settings/key_text.ts";
import type { Settings } from "../settings/types.ts";
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
