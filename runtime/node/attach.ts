/**
 * Using a node from another thread of its program: a Worker.
 */

import { openLibrary, type TdsmLibrary } from "../../ffi/library.ts";
import { NativeRegion } from "../../ffi/native.ts";
import { CallSlots } from "../ring/ring.ts";
import { EngineClient } from "../ring/client.ts";
import type { NodeHandle } from "./node.ts";
import { NodeThread, type NodeThreadParts } from "./thread.ts";
import { bindRpc } from "../rpc/define.ts";
import { rpcTransport } from "./rpc_transport.ts";

/**
 * A node as a Worker of its program sees it. Made by `attach`.
 *
 * @example Stop using the node in a Worker
 * ```ts
 * import { attach, join } from "@tdsm/runtime";
 *
 * await using node = await join({ directory: true, port: 0 });
 * const attached = attach(node.handle); // in a Worker, as a rule
 * attached.memory[0] = 1;
 * attached.detach();
 * console.log(node.memory[0]); // 1
 * ```
 */
export class AttachedNode extends NodeThread implements Disposable {
  readonly #library: TdsmLibrary;
  readonly #unbind: () => void;

  /**
   * Made by `attach`.
   *
   * @param parts What it is made of.
   * @param library The library, opened by this thread.
   */
  constructor(parts: NodeThreadParts, library: TdsmLibrary) {
    super(parts);
    this.#library = library;
    this.#unbind = bindRpc(rpcTransport(this, parts.client));
  }

  /** Stops using the node in this thread: views are empty from here on. The node goes on. */
  detach(): void {
    if (this.ended) return;
    this.ended = true;
    this.#unbind();
    if (!this.memory.buffer.detached) this.memory.buffer.transfer();
    this.client.detach();
    this.#library[Symbol.dispose]();
  }

  /** The same as {@linkcode AttachedNode.detach}. */
  [Symbol.dispose](): void {
    this.detach();
  }
}

/**
 * Uses a node in a Worker of its program: memory, views, semaphores, barriers, mutexes, allocations
 * and outgoing remote calls work there as in the thread that joined.
 *
 * @param handle The node's `handle`, sent by `postMessage`.
 * @returns The node, as this thread sees it.
 * @throws {TdsmError} `NodeClosed` when the node is closed by now, `LimitExceeded` when too many
 * threads use it.
 *
 * @example In a Worker
 * ```ts
 * import { attach, type NodeHandle } from "@tdsm/runtime";
 *
 * // In the Worker; the program does worker.postMessage(node.handle).
 * function onHandle({ data }: MessageEvent<NodeHandle>): void {
 *   using node = attach(data);
 *   Atomics.add(node.view(Int32Array, 0, 1), 0, 1);
 * }
 * ```
 */
export function attach(handle: NodeHandle): AttachedNode {
  const library = openLibrary({ path: handle.library });
  try {
    const region = NativeRegion.attach(library, { handle: handle.region });
    const client = new EngineClient(new CallSlots(handle.slots), region);
    const { id, address, port } = handle;
    return new AttachedNode({ id, address, port, region, client }, library);
  } catch (error) {
    library[Symbol.dispose]();
    throw error;
  }
}
