/** Plain values that a node returns to its program. */

/**
 * Another node of the cluster.
 *
 * @example List the addresses of other nodes
 * ```ts
 * import { join, type PeerInfo } from "@tdsm/runtime";
 *
 * await using node = await join({ directory: true, port: 0 });
 * const others: PeerInfo[] = node.peers();
 * for (const { id, address, port } of others) console.log(id, `${address}:${port}`);
 * ```
 */
export interface PeerInfo {
  /** Its id: 1, 2, 3 … in order of joining; with ranks, the rank + 1. */
  readonly id: number;
  /** The host name or IP address by which this node reaches the other. */
  readonly address: string;
  /** The TCP port on which it listens. */
  readonly port: number;
}

/**
 * The summary of a node for a log.
 *
 * @example Find a node's peers without asking its engine
 * ```ts
 * import { join, type NodeSummary } from "@tdsm/runtime";
 *
 * await using node = await join({ directory: true, port: 0 });
 * const { id, peers }: NodeSummary = node.toJSON();
 * console.log(id, peers); // 1 []
 * ```
 */
export interface NodeSummary {
  /** Its id. */
  readonly id: number;
  /** The host name or IP address on which it listens. */
  readonly address: string;
  /** The TCP port on which it listens. */
  readonly port: number;
  /** The region's size, in bytes. */
  readonly size: number;
  /** The size of a page, in bytes. */
  readonly pageSize: number;
  /** The ids of the other nodes, in ascending order. */
  readonly peers: readonly number[];
}

/**
 * A constructor of typed arrays: `Int32Array`, `Float64Array`, …
 *
 * @example A function for every kind of array
 * ```ts
 * import { join, type NodeThread, type TypedArrayConstructor } from "@tdsm/runtime";
 *
 * function secondPage<View>(node: NodeThread, Type: TypedArrayConstructor<View>): View {
 *   return node.view(Type, node.pageSize, node.pageSize / Type.BYTES_PER_ELEMENT);
 * }
 *
 * await using node = await join({ directory: true, port: 0 });
 * console.log(secondPage(node, Float64Array).length); // 512
 * ```
 */
export interface TypedArrayConstructor<View> {
  /** The name, for messages. */
  readonly name: string;
  /** The size of an element, in bytes. */
  readonly BYTES_PER_ELEMENT: number;
  /** Makes a view of part of a buffer. */
  new (buffer: ArrayBuffer, byteOffset: number, length: number): View;
}
