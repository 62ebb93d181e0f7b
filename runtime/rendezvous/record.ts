/** What the ways have in common in which the node that claims a record hosts the directory. */

import { type Address, isLoopback, parseAddress } from "../address.ts";
import { TdsmError } from "../errors.ts";
import { refused } from "../settings/flags.ts";
import { keyOf } from "../settings/key_text.ts";
import type { Settings } from "../settings/types.ts";
import { machineName } from "./machine.ts";
import { whyNotThere } from "./probe.ts";
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

/** What a record says, as far as its node has written it. */
export interface Told {
  /** Where the directory listens, once it does. */
  readonly address?: string;
  /** What nobody but the machine of the directory has. */
  readonly boot?: string;
  /** The key in base64, where the directory node has made one. */
  readonly key?: string;
}

/** What a node has met that found no record. */
export const NOT_CLAIMED = "no node has claimed it";

/**
 * What a node does that has found a record of another node.
 *
 * @param name The record, for people: `the file /shared/job`.
 * @param told What it says.
 * @returns To join there; or why that is not possible yet, in words.
 * @throws {TdsmError} `InvalidOption` where only another machine reaches the directory.
 */
export async function joiningBy(name: string, told: Told): Promise<Joining | string> {
  const { address, key } = told;
  if (address === undefined) return "the node that has claimed it does not listen yet";
  const directory = reachable(name, address, told.boot);
  const why = await whyNotThere(directory);
  // The node has just died, and its record with it soon; or the directory is cut off.
  if (why !== undefined) return `nothing answers at ${address}, which it names (${why})`;
  return {
    kind: "join",
    directories: [directory],
    key: key === undefined ? undefined : keyOf(key),
    plain: isLoopback(directory.hostname),
  };
}

/** Where the directory of a record is, for this machine. */
function reachable(name: string, address: string, boot: string | undefined): Address {
  const directory = parseAddress(address, 0);
  const { hostname } = directory;
  const isLocal = hostname === "localhost" || isLoopback(hostname);
  if (!isLocal || boot === machineName().boot) return directory;
  throw refused(
    `Cannot join by ${name}: its directory is on another machine, and listens at ${address}, ` +
      "where only that machine reaches it. Give its node an --address",
  );
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
