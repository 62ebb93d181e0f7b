/**
 * The members of a cluster, as one of its nodes knows them, whether or not it is connected to them.
 */

import { GONE_REMEMBERED_MAX, NODES_MAX } from "../limits.ts";
import type { LogFields } from "../log.ts";
import { formatAddress, isWildcard } from "../address.ts";
import type { FrameBounds } from "../wire/check.ts";
import type { HelloControl } from "../wire/control.ts";
import { DIRECTORY_NODE, type NodeId } from "../protocol/coherence/messages.ts";
import type { Place } from "../rendezvous/rendezvous.ts";
import type { RegionSettings } from "../wire/region_settings.ts";
import type { Peer } from "./admission.ts";

/** The nodes of a cluster, and what they have agreed on. */
export class Members {
  /** This node. */
  readonly self: NodeId;
  /** The random number that distinguishes this cluster from others. */
  readonly session: bigint;
  /** What the directory node has decided. */
  readonly region: RegionSettings;
  /** What frames are checked against. */
  readonly bounds: FrameBounds;
  readonly #peers = new Map<NodeId, Peer>();
  /** At the directory node: the nodes that do more than serve. */
  readonly #working = new Set<NodeId>();
  /** The nodes that are gone, of those whose ids a rank can have: they join in any order. */
  readonly #goneEarly = new Set<NodeId>();
  /** Of the others, those that were known to be gone last. */
  readonly #gone = new Set<NodeId>();
  /** The highest id that was forgotten of those. */
  #longGone: NodeId = 0;
  #latest: NodeId;
  /** At the directory node: its place, where a launcher gives places. */
  readonly #place: Place | undefined;
  /** The ids kept for ranks that were offered, or given. */
  readonly #keptGiven = new Set<NodeId>();
  #nextId: NodeId;
  /** Ids that were offered to nodes that have not joined then; no other node has heard of them. */
  readonly #unused: NodeId[] = [];

  /**
   * @param self This node.
   * @param session The cluster's number.
   * @param region What the directory node has decided.
   * @param place At the directory node, its place, where a launcher gives places: an id is kept for
   * each rank.
   */
  constructor(self: NodeId, session: bigint, region: RegionSettings, place?: Place) {
    const { size, pageSize, runPages } = region;
    this.self = self;
    this.#place = place;
    this.#nextId = Math.max(DIRECTORY_NODE, place?.nodeCount ?? 0) + 1;
    this.#latest = self;
    this.session = session;
    this.region = region;
    this.bounds = { pageCount: size / pageSize, pageSize, runPages };
  }

  /** Whether this is the directory node. */
  get isDirectory(): boolean {
    return this.self === DIRECTORY_NODE;
  }

  /** Every other node, in order of their ids. */
  get peers(): Peer[] {
    return [...this.#peers.values()].sort((a, b) => a.id - b.id);
  }

  /** The other nodes that have work of their own to finish. */
  get working(): NodeId[] {
    return [...this.#working];
  }

  /** The highest id that this node has heard of. */
  get latest(): NodeId {
    return this.#latest;
  }

  /** The id that the next node will be offered. */
  get nextId(): NodeId {
    return this.#unused[0] ?? this.#nextId;
  }

  /**
   * Another node; `undefined` when that node is no member, or this node has not heard of it yet.
   */
  get(node: NodeId): Peer | undefined {
    return this.#peers.get(node);
  }

  /**
   * Whether a node has been a member and is no longer. Ids that no rank can have are given in
   * ascending order, but for a few that were offered and not taken: so far below those that went
   * last only members are left.
   */
  isGone(node: NodeId): boolean {
    if (this.#gone.has(node) || this.#goneEarly.has(node)) return true;
    return node > NODES_MAX && node <= this.#longGone && node !== this.self &&
      !this.#peers.has(node);
  }

  /** The nodes that are gone of those that may have had ids kept for ranks. */
  get goneEarly(): NodeId[] {
    return [...this.#goneEarly];
  }

  /** Where a node listens, in words. */
  at(node: NodeId): string {
    const peer = this.#peers.get(node);
    // A node may dial this one, and be lost, before the directory node's `peerJoined` arrives.
    if (peer === undefined) return "an address that the directory has not told";
    return formatAddress({ hostname: peer.address, port: peer.port });
  }

  /** Adds another node. */
  add(peer: Peer): void {
    this.#peers.set(peer.id, peer);
    this.#latest = Math.max(this.#latest, peer.id);
  }

  /**
   * At the directory node: offers an id to a new node, which is no member before it is admitted.
   *
   * @param hello The new node's first message.
   * @param remoteAddress The address that the new node's connection comes from.
   * @returns The node.
   */
  offer(hello: HelloControl, remoteAddress: string): Peer {
    const id = this.#keptFor(hello.rank) ?? this.#unused.shift() ?? this.#nextId++;
    return { id, ...Members.reached(hello, remoteAddress) };
  }

  /**
   * Takes the id that is kept for a rank; `undefined` where none is, or where it was given before,
   * to the process in whose place this one was started. Of the ids of ranks 0 and up node 1 has the
   * first, also if it is of another rank than 0: then rank 0 has the id that would be the other's.
   */
  #keptFor(rank: number | undefined): NodeId | undefined {
    if (rank === undefined || this.#place === undefined) return undefined;
    if (rank === this.#place.rank || rank >= this.#place.nodeCount) return undefined;
    const id = (rank === 0 ? this.#place.rank : rank) + 1;
    if (this.#keptGiven.has(id)) return undefined;
    this.#keptGiven.add(id);
    return id;
  }

  /**
   * Where others reach a new node.
   *
   * @param hello The new node's first message.
   * @param remoteAddress The address that the new node's connection comes from.
   * @returns Its host name or IP address, and its port.
   */
  static reached(
    { address, port }: HelloControl,
    remoteAddress: string,
  ): Pick<Peer, "address" | "port"> {
    return { address: isWildcard(address) ? remoteAddress : address, port };
  }

  /**
   * At the directory node: a node that was offered an id does not join. The next one gets that id.
   */
  withdraw({ id }: Peer): void {
    if (this.#keptGiven.delete(id)) return;
    this.#unused.push(id);
    this.#unused.sort((a, b) => a - b);
  }

  /** At the directory node: a node that was offered its id has joined. */
  admit(peer: Peer, { serving }: Pick<HelloControl, "serving">): void {
    this.add(peer);
    if (!serving) this.#working.add(peer.id);
  }

  /** Removes a node for good. Returns whether the node was known as a member. */
  remove(node: NodeId): boolean {
    if (node <= NODES_MAX) this.#goneEarly.add(node);
    else this.#gone.add(node);
    if (this.#gone.size > GONE_REMEMBERED_MAX) {
      const [first] = this.#gone;
      this.#gone.delete(first!);
      this.#longGone = Math.max(this.#longGone, first!);
    }
    this.#working.delete(node);
    return this.#peers.delete(node);
  }
}

/**
 * What programs that read the log are told of a node that has joined.
 *
 * @param peer The node.
 * @returns The event and its fields.
 */
export function joinedFields({ id: peer, address, port }: Peer): LogFields {
  return { event: "nodeJoined", peer, address, port };
}
