/** How many remote calls are under way between this node and each other one, in one direction. */

import { RPC_LOAD_MAX, RPC_LOAD_MAX_BYTES } from "../limits.ts";
import type { NodeId } from "../protocol/coherence/messages.ts";

/** Calls that have no answer yet, by the node that they are to, or from. */
export class RpcLoads {
  readonly #loads = new Map<NodeId, { calls: number; bytes: number }>();

  /**
   * Takes a call on.
   *
   * @param node The other node.
   * @param bytes Of the call's arguments.
   * @returns `false`, and nothing is taken on, where that would be more than the bounds allow.
   */
  add(node: NodeId, bytes: number): boolean {
    const load = this.#loads.get(node) ?? { calls: 0, bytes: 0 };
    if (load.calls === RPC_LOAD_MAX || load.bytes + bytes > RPC_LOAD_MAX_BYTES) return false;
    load.calls++;
    load.bytes += bytes;
    this.#loads.set(node, load);
    return true;
  }

  /** A call that was taken on is answered. */
  remove(node: NodeId, bytes: number): void {
    const load = this.#loads.get(node)!;
    load.bytes -= bytes;
    if (--load.calls === 0) this.#loads.delete(node);
  }

  /** Nothing is under way with a node any more. */
  forget(node: NodeId): void {
    this.#loads.delete(node);
  }
}
