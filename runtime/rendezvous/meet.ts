/** Chooses the rendezvous that the settings name, and gives a node the settings that it found. */

import { type Address, isLoopback } from "../address.ts";
import { asDirectory } from "../settings/settings.ts";
import type { Settings } from "../settings/types.ts";
import type { Finding, Place, Rendezvous } from "./rendezvous.ts";

/** What came of looking for the directory. */
export interface Meeting {
  /** The node's settings, which say whether it hosts the directory, or where that is. */
  readonly settings: Settings;
  /** The node's place, where a launcher gives places. */
  readonly place: Place | undefined;
  /**
   * Tells the other nodes where this one listens, if it hosts the directory.
   *
   * @param directory Where it listens.
   */
  publish(directory: Address): Promise<void>;
  /** Takes that back. */
  withdraw(): Promise<void>;
}

/**
 * Finds the directory, as the settings say.
 *
 * @param settings The node's settings.
 * @returns What came of it.
 * @throws {TdsmError} Why the directory cannot be found.
 */
export async function meet(settings: Settings): Promise<Meeting> {
  const giveUpAtMs = performance.now() + settings.joinTimeoutMs;
  const rendezvous = await chosen(settings);
  if (rendezvous === undefined) {
    const nothing = (): Promise<void> => Promise.resolve();
    return { settings, place: undefined, publish: nothing, withdraw: nothing };
  }
  const found = await rendezvous.find({ settings, giveUpAtMs });
  if (found.kind === "host") {
    return {
      settings: asDirectory(withKey(settings, found)),
      place: found.place,
      publish: (directory) => found.publish(directory),
      withdraw: () => found.withdraw(),
    };
  }
  const nothing = (): Promise<void> => Promise.resolve();
  const { directory, place } = found;
  const leftMs = Math.max(0, Math.ceil(giveUpAtMs - performance.now()));
  const joining: Settings = {
    ...withKey(settings, found),
    directory: false,
    directoryAddress: directory,
    address: reachableFrom(directory, settings.address),
    joinTimeoutMs: leftMs,
  };
  return { settings: joining, place, publish: nothing, withdraw: nothing };
}

/** Loaded on demand, since most nodes are told where the directory is. */
async function chosen({ rendezvous }: Settings): Promise<Rendezvous | undefined> {
  switch (rendezvous.kind) {
    case "flags":
      return undefined;
    case "file": {
      const { FileRendezvous } = await import("./file.ts");
      return new FileRendezvous(rendezvous.path);
    }
    default:
      return rendezvous satisfies never;
  }
}

/** A key that the user has given counts more than the one that was found. */
function withKey(settings: Settings, { key, plain = false }: Finding): Settings {
  if (key === undefined || settings.key !== undefined) return settings;
  return { ...settings, key, plain: settings.plain || plain };
}

/**
 * Where a node listens whose user has not said it: beyond loopback if the directory does. Other
 * nodes then use the address that the node's connection to the directory comes from.
 */
function reachableFrom({ hostname }: Address, address: string): string {
  const isLocal = hostname === "localhost" || isLoopback(hostname);
  if (isLocal || !isLoopback(address)) return address;
  return hostname.includes(":") ? "::" : "0.0.0.0";
}
