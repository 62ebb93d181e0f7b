/**
 * Who is in a cluster, as one of its nodes knows it. Whether there is a connection to a node is
 * another matter.
 */

import { formatAddress, isWildcard } from "../address.ts";
import type { FrameBounds } from "../wire/check.ts";
import type { HelloControl } from "../wire/control.ts";
import { DIRECTORY_NODE, type NodeId } from "../protocol/coherence/messages.ts";
import type { RegionSettings } from "../wire/region_settings.ts";
import type { Peer } from "./admission.ts";

/** The nodes of a cluster, and what they have agreed on. */
export class Members {
  /** This node. */
  readonly self: NodeId;
  /** What tells this cluster from others. */
  readonly session: bigint;
  /** What the directory node has decided. */
  readonly region: RegionSettings;
  /** What frames are checked against. */
  readonly bounds: FrameBounds;
  readonly #peers = new Map<NodeId, Peer>();
  /** At the directory node: the nodes that do more than serve. */
  readonly #working = new Set<NodeId>();
  readonly #gone = new Set<NodeId>();
  #nextId = DIRECTORY_NODE + 1;

  /**
   * @param self This node.
   * @param session The cluster's number.
   * @param region What the directory node has decided.
   */
  constructor(self: NodeId, session: bigint, region: RegionSettings) {
    const { size, pageSize, runPages } = region;
    this.self = self;
    this.session = session;
    this.region = region;
    this.bounds = { pageCount: size / pageSize, pageSize, runPages };
  }

  /** Whether this is the directory node. */
  get isDirectory(): boolean {
    return this.self === DIRECTORY_NODE;
  }

  /** Every other node, in order of joining. */
  get peers(): Peer[] {
    return [...this.#peers.values()].sort((a, b) => a.id - b.id);
  }

  /** The other nodes that have work of their own to finish. */
  get working(): NodeId[] {
    return [...this.#working];
  }

  /** The id that the next node will have. */
  get nextId(): NodeId {
    return this.#nextId;
  }

  /** Another node; `undefined` when it is not here, or not known to be. */
  get(node: NodeId): Peer | undefined {
    return this.#peers.get(node);
  }

  /** Whether a node was here and is not any more. */
  isGone(node: NodeId): boolean {
    return this.#gone.has(node);
  }

  /** Where a node listens, in words. */
  at(node: NodeId): string {
    const peer = this.#peers.get(node);
    // A node that dialled may be lost before the directory's word that it has joined is here.
    if (peer === undefined) return "an address that the directory has not told";
    return formatAddress({ hostname: peer.address, port: peer.port });
  }

  /** Another node is here. */
  add(peer: Peer): void {
    this.#peers.set(peer.id, peer);
  }

  /**
   * At the directory node: gives a new node its id.
   *
   * @param hello What it says of itself.
   * @param remoteAddress Where its connection comes from.
   * @returns The node.
   */
  admit({ address, port, serving }: HelloControl, remoteAddress: string): Peer {
    const id = this.#nextId++;
    const peer: Peer = { id, address: isWildcard(address) ? remoteAddress : address, port };
    this.add(peer);
    if (!serving) this.#working.add(id);
    return peer;
  }

  /** A node is gone for good; whether it was known to be here. */
  remove(node: NodeId): boolean {
    this.#gone.add(node);
    this.#working.delete(node);
    return this.#peers.delete(node);
  }
}
