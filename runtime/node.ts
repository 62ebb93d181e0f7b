/**
 * A node as its program sees it: the region, and the others that share it.
 */

import type { NativeRegion } from "../ffi/native.ts";
import { Call } from "./engine/calls.ts";
import type { EngineClient } from "./engine_client.ts";
import { TdsmError } from "./errors.ts";

/** Another node of the cluster. */
export interface PeerInfo {
  /** Its id: 1, 2, 3 … in order of joining. */
  readonly id: number;
  /** The host name or IP address by which it is reached. */
  readonly address: string;
  /** The TCP port on which it listens. */
  readonly port: number;
}

/** What a node has counted since it joined. */
export interface NodeStats {
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

/** A constructor of typed arrays: `Int32Array`, `Float64Array`, … */
export interface TypedArrayConstructor<View> {
  /** The name, for messages. */
  readonly name: string;
  /** The size of an element, in bytes. */
  readonly BYTES_PER_ELEMENT: number;
  /** Makes a view of part of a buffer. */
  new (buffer: ArrayBuffer, byteOffset: number, length: number): View;
}

/** What a node is made of; made by `join` and `run`. */
export interface NodeParts {
  /** The node's id. */
  readonly id: number;
  /** Where it listens. */
  readonly address: string;
  /** The port on which it listens. */
  readonly port: number;
  /** This thread's way to the region. */
  readonly region: NativeRegion;
  /** This thread's way to the engine. */
  readonly client: EngineClient;
  /** Resolves when the cluster has ended well; rejects when this node cannot go on. */
  readonly closed: Promise<void>;
  /** Ends the engine's Worker. */
  readonly terminate: () => void;
}

/**
 * One of the nodes that share a region of memory. Made by `join` or `run`.
 *
 * @example Write and read shared memory
 * ```ts no-run
 * import { join } from "@tdsm/runtime";
 *
 * await using node = await join({ directory: true, port: 0 });
 * const cells = node.view(Int32Array, 4096, 16);
 * Atomics.add(cells, 0, 1);
 * ```
 */
export class Node implements AsyncDisposable {
  /** This node's id: 1, 2, 3 … in order of joining. The node with id 1 hosts the directory. */
  readonly id: number;
  /** The region's size, in bytes. */
  readonly size: number;
  /** The size of a page, in bytes: what moves between nodes as one. */
  readonly pageSize: number;
  /** The whole region. Reading or writing it fetches pages as needed; `Atomics` work across nodes. */
  readonly memory: Uint8Array<ArrayBuffer>;
  /** The host name or IP address on which this node listens. */
  readonly address: string;
  /** The TCP port on which this node listens. */
  readonly port: number;
  /**
   * Whether system calls cannot be given memory of the region that is not here: the kernel allows
   * this user to serve only faults of user space, so such a call fails with `EFAULT`.
   */
  readonly userModeOnly: boolean;
  /**
   * Resolves when this node is closed, or the directory's node has ended the cluster.
   * Rejects with a {@linkcode TdsmError} when this node cannot go on.
   */
  readonly closed: Promise<void>;
  readonly #parts: NodeParts;
  #closing: Promise<void> | undefined;

  /** @param parts What the node is made of. */
  constructor(parts: NodeParts) {
    const { region } = parts;
    this.#parts = parts;
    this.id = parts.id;
    this.address = parts.address;
    this.port = parts.port;
    this.size = region.size;
    this.pageSize = region.pageSize;
    this.userModeOnly = region.userModeOnly;
    this.memory = region.window();
    this.closed = parts.closed;
  }

  /**
   * A typed array over part of the region.
   *
   * @param Type The kind of array: `Int32Array`, `Float64Array`, …
   * @param byteOffset Where it begins in the region, in bytes; a multiple of the element's size.
   * @param length How many elements it has.
   * @returns The array; nothing is copied.
   * @throws {RangeError} When it is not inside of the region, or not aligned.
   *
   * @example Sixteen integers on the second page
   * ```ts no-run
   * import { join } from "@tdsm/runtime";
   *
   * await using node = await join({ directory: true, port: 0 });
   * const cells = node.view(Int32Array, node.pageSize, 16);
   * cells[0] = 42;
   * ```
   */
  view<View>(Type: TypedArrayConstructor<View>, byteOffset: number, length: number): View {
    const size = Type.BYTES_PER_ELEMENT;
    const what = `${Type.name} of ${length} at byte ${byteOffset}`;
    if (this.#closing !== undefined) throw closedError(`view ${what}`);
    const whole = Number.isSafeInteger(byteOffset) && Number.isSafeInteger(length);
    if (!whole || byteOffset < 0 || length < 0 || byteOffset + length * size > this.size) {
      throw new RangeError(`Cannot view ${what}: the region has ${this.size} bytes`);
    }
    if (byteOffset % size !== 0) {
      throw new RangeError(`Cannot view ${what}: the byte must be a multiple of ${size}`);
    }
    return new Type(this.memory.buffer, byteOffset, length);
  }

  /**
   * The other nodes, in order of joining.
   *
   * @returns Their ids and addresses.
   * @throws {TdsmError} When this node is closed or cannot go on.
   */
  peers(): PeerInfo[] {
    return this.#ask(Call.Peers) as unknown as PeerInfo[];
  }

  /**
   * Waits until a node has joined.
   *
   * @param id The node's id.
   * @returns Resolves when it has; at once, when it had.
   * @throws {TdsmError} `PeerLost` when it has come and gone, or why this node cannot go on.
   *
   * @example Wait for the second node
   * ```ts no-run
   * import { run } from "@tdsm/runtime";
   *
   * await run(async (node) => {
   *   await node.waitForPeer(2);
   *   console.log(node.peers());
   * });
   * ```
   */
  async waitForPeer(id: number): Promise<void> {
    if (!Number.isSafeInteger(id) || id < 1) {
      throw new RangeError(`Cannot wait for node ${id}: ids are whole numbers from 1 on`);
    }
    if (this.#closing !== undefined) throw closedError("wait for a node");
    await this.#parts.client.call(Call.WaitForPeer, id);
  }

  /**
   * What this node has counted since it joined.
   *
   * @returns Faults, misses, pages, messages and bytes.
   * @throws {TdsmError} When this node is closed or cannot go on.
   */
  stats(): NodeStats {
    return this.#ask(Call.Stats) as unknown as NodeStats;
  }

  /**
   * Leaves the cluster: other nodes take over what only this one has. At the directory's node, ends
   * the cluster, once every node that does not only serve has left.
   *
   * From then on `memory` and every view are empty.
   *
   * @returns Resolves when the node is closed.
   */
  close(): Promise<void> {
    return this.#closing ??= this.#close();
  }

  /** The same as {@linkcode Node.close}. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #close(): Promise<void> {
    const { client, terminate } = this.#parts;
    // The buffer goes to nobody: every view of it has no elements from here on.
    this.memory.buffer.transfer();
    try {
      await client.call(Call.Close);
    } catch (error) {
      // A node that failed is closed all the same; `closed` tells why it failed.
      if (!(error instanceof TdsmError)) throw error;
    }
    terminate();
  }

  #ask(call: Call): unknown {
    if (this.#closing !== undefined) throw closedError("ask the node");
    return this.#parts.client.callSync(call);
  }
}

function closedError(operation: string): TdsmError {
  return new TdsmError("NodeClosed", `Cannot ${operation}: the node is closed`, { operation });
}
