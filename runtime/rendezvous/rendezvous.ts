/**
 * How a node finds the directory of its cluster. A rendezvous tells no more than where the
 * directory is, and which node is to host it: the directory node alone decides who is in.
 */

import type { Address } from "../address.ts";
import type { Settings } from "../settings/types.ts";

/** The place of a node among those that a launcher has started together. */
export interface Place {
  /** Its number there, from 0 on: a process that is started again in its place has the same. */
  readonly rank: number;
  /** How many were started. */
  readonly nodeCount: number;
}

/** What is known of a node that looks for its directory. */
export interface Seeker {
  /** Its settings. */
  readonly settings: Settings;
  /** Until when to look, by `performance.now()`: the node's `joinTimeoutMs` from its start. */
  readonly giveUpAtMs: number;
}

/** One way to find the directory. */
export interface Rendezvous {
  /**
   * Finds out whether this node is to host the directory, and otherwise where the directory is. One
   * that is to join waits until that is published.
   *
   * @param seeker The node.
   * @returns What the node is to do.
   * @throws {TdsmError} Why it cannot be found out, or that the time is up.
   */
  find(seeker: Seeker): Promise<Finding>;
}

/** What a node has found. */
export type Finding = Hosting | Joining;

/** What either kind of node takes from the rendezvous, where its user has not said it. */
interface Found {
  /** The node's place, where a launcher gives places. */
  readonly place?: Place | undefined;
  /** The key of the cluster. */
  readonly key?: Uint8Array | undefined;
  /** Whether frames are not sealed with that key, since they stay on one machine. */
  readonly plain?: boolean | undefined;
}

/** This node is to host the directory. */
export interface Hosting extends Found {
  readonly kind: "host";
  /** Where to listen, if the user has named no address that other machines reach. */
  readonly address?: string | undefined;
  /** The ports on which to listen: the first that is free. Any free one, where this is left out. */
  readonly ports?: readonly number[];
  /**
   * Whether another node of this machine may listen there first: then that one hosts, and this one
   * has to look anew.
   */
  readonly isContended?: boolean;
  /**
   * Tells the other nodes where the directory is: called once it listens.
   *
   * @param directory Where.
   */
  publish(directory: Address): Promise<void>;
  /** Takes that back, and lets others host: called when the node is closed, or could not start. */
  withdraw(): Promise<void>;
}

/** What is to do for a node that hosts where the others know by themselves where it listens. */
export const KNOWN_TO_ALL: Pick<Hosting, "publish" | "withdraw"> = {
  publish: () => Promise.resolve(),
  withdraw: () => Promise.resolve(),
};

/** This node is to join. */
export interface Joining extends Found {
  readonly kind: "join";
  /** Where the directory is: at one of these, in the order in which they are to be tried. */
  readonly directories: readonly [Address, ...Address[]];
}
