/** What a node tells its program, as plain values. */

/**
 * Another node of the cluster.
 *
 * @example Where the others are
 * ```ts
 * import { join, type PeerInfo } from "@tdsm/runtime";
 *
 * await using node = await join({ directory: true, port: 0 });
 * const others: PeerInfo[] = node.peers();
 * for (const { id, address, port } of others) console.log(id, `${address}:${port}`);
 * ```
 */
export interface PeerInfo {
  /** Its id: 1, 2, 3 … in order of joining. */
  readonly id: number;
  /** The host name or IP address by which it is reached. */
  readonly address: string;
  /** The TCP port on which it listens. */
  readonly port: number;
}

/**
 * What a node has counted since it joined, and what it holds now.
 *
 * @example What a loop has moved
 * ```ts
 * import { join, type NodeStats } from "@tdsm/runtime";
 *
 * await using node = await join({ directory: true, port: 0 });
 * node.memory[0] = 1;
 * const stats: NodeStats = node.stats();
 * console.log(stats.faults, stats.pagesZero);
 * ```
 */
export interface NodeStats {
  /** Pages of which the node has a copy to read, and others may too. */
  readonly pagesShared: number;
  /** Pages of which the node has the only copy, to read and to write. */
  readonly pagesExclusive: number;
  /** Page faults that were taken from the kernel. */
  readonly faults: number;
  /** Those that were served already when they were read. */
  readonly staleFaults: number;
  /** Requests to read pages that were not here. */
  readonly readMisses: number;
  /** Requests to write pages that were not here. */
  readonly writeMisses: number;
  /** Requests to write pages that were here to read. */
  readonly upgrades: number;
  /** Pages asked for ahead of a walk through memory. */
  readonly pagesAhead: number;
  /** Pages whose bytes came from other nodes. */
  readonly pagesReceived: number;
  /** Pages that nobody had written before. */
  readonly pagesZero: number;
  /** Pages whose bytes went to other nodes. */
  readonly pagesSent: number;
  /** Copies that were dropped because another node wrote. */
  readonly pagesInvalidated: number;
  /** Messages sent to other nodes about pages. */
  readonly messagesSent: number;
  /** Messages received from other nodes about pages. */
  readonly messagesReceived: number;
  /** Bytes sent to other nodes. */
  readonly bytesSent: number;
  /** Bytes received from other nodes. */
  readonly bytesReceived: number;
  /** Turns of the engine's polling loop. */
  readonly turns: number;
  /** Times that the engine went to sleep. */
  readonly sleeps: number;
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
