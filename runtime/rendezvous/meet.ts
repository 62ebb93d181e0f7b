/** Chooses the rendezvous that the settings name, and gives a node the settings that it found. */

import { type Address, isLoopback } from "../address.ts";
import { asDirectory } from "../settings/settings.ts";
import type { Settings } from "../settings/types.ts";
import { type Finding, KNOWN_TO_ALL, type Place, type Rendezvous } from "./rendezvous.ts";

/** What came of looking for the directory. */
export interface Meeting {
  /** The node's settings, which say whether it hosts the directory, or where that is. */
  readonly settings: Settings;
  /** The ports on which to listen where the one that the settings name is taken, in this order. */
  readonly otherPorts: readonly number[];
  /** Where else the directory may be than the settings say, in this order. */
  readonly otherDirectories: readonly Address[];
  /** The node's place, where a launcher gives places. */
  readonly place: Place | undefined;
  /** Whether to look for the directory anew where another node listens in this one's place. */
  readonly isContended: boolean;
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
    return { ...JUST_SETTINGS, settings };
  }
  const found = await rendezvous.find({ settings, giveUpAtMs });
  const { place } = found;
  if (found.kind === "host") {
    const { ports: [port = settings.port, ...otherPorts] = [], address = settings.address } = found;
    return {
      ...JUST_SETTINGS,
      settings: asDirectory({
        ...withKey(settings, found),
        port,
        address: isLoopback(settings.address) ? address : settings.address,
      }),
      otherPorts,
      place,
      isContended: found.isContended ?? false,
      publish: (directory) => found.publish(directory),
      withdraw: () => found.withdraw(),
    };
  }
  const { directories: [directory, ...otherDirectories] } = found;
  const leftMs = Math.max(0, Math.ceil(giveUpAtMs - performance.now()));
  const joining: Settings = {
    ...withKey(settings, found),
    directory: false,
    directoryAddress: directory,
    address: reachableFrom(directory, settings.address),
    joinTimeoutMs: leftMs,
  };
  return { ...JUST_SETTINGS, settings: joining, otherDirectories, place };
}

/** The meeting of a node that is told all by its settings. */
const JUST_SETTINGS: Omit<Meeting, "settings"> = {
  otherPorts: [],
  otherDirectories: [],
  place: undefined,
  isContended: false,
  ...KNOWN_TO_ALL,
};

/** Loaded on demand, since most nodes are told where the directory is. */
async function chosen(settings: Settings): Promise<Rendezvous | undefined> {
  const { rendezvous } = settings;
  switch (rendezvous.kind) {
    case "auto":
    case "flags":
      return undefined;
    case "slurm":
      return new (await import("./slurm.ts")).SlurmRendezvous();
    case "pmi":
      return new (await import("./pmi.ts")).PmiRendezvous();
    case "openmpi":
      return new (await import("./openmpi.ts")).OpenMpiRendezvous();
    case "file": {
      const { FileRendezvous } = await import("./file.ts");
      return new FileRendezvous(rendezvous.path);
    }
    case "etcd": {
      const { EtcdRendezvous } = await import("./etcd.ts");
      return new EtcdRendezvous(rendezvous.url, rendezvous.prefix, settings.logLevel);
    }
    case "dns":
      return new (await import("./dns.ts")).DnsRendezvous(rendezvous.directory);
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
