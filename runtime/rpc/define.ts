/**
 * Calling procedures of the program on other nodes: what a program and its node see of it.
 */

import { RpcProgram } from "./program.ts";
import type { RpcContext, RpcOf, RpcReply, RpcTransport } from "./types.ts";

/** Procedures are defined while modules are loaded, before there is a node: this outlives any node. */
const program = new RpcProgram();

/**
 * Defines a procedure that nodes can call on each other. To be done at the top level of a module
 * that every node loads, so that each of them knows it.
 *
 * Arguments and results are copied: numbers, bigints of 64 bits, strings, booleans, `null`,
 * `undefined`, `Date`s, typed arrays, and lists and plain objects of these. Views of the region
 * (typed arrays over the buffer of `node.memory`) are not copied: the other node gets a view of the
 * same part of the region.
 *
 * @param name The name by which all nodes know the procedure.
 * @param procedure What runs on the called node; may be async, and may call other nodes.
 * @returns What calls it: set `remote`, or use `on` or `onAll`. What it throws there is thrown here
 * as a `RemoteError`.
 * @throws {TdsmError} `InvalidArgument` when there is a procedure of that name, or it is no name.
 *
 * @example Call the second node
 * ```ts
 * import { type Node, rpc } from "@tdsm/runtime";
 *
 * const add = rpc("add", (a: number, b: number): number => a + b);
 * const bump = rpc("bump", (cells: Int32Array): void => {
 *   Atomics.add(cells, 0, 1);
 * });
 *
 * // To be given to `run`.
 * async function main(node: Node): Promise<void> {
 *   await node.waitForPeer(2);
 *   add.remote = 2;
 *   console.log(await add(1, 2));
 *   await bump.onAll({ timeoutMs: 1000 })(node.view(Int32Array, 4096, 16));
 * }
 * ```
 */
export function rpc<Procedure extends CallableFunction>(
  name: string,
  procedure: Procedure,
): RpcOf<Procedure> {
  return program.define(name, procedure);
}

/**
 * Lets the calls of this program go out by a node. A program with two nodes at one time can serve
 * calls on both, but make none.
 *
 * @param transport The node's.
 * @returns Ends that; to be called when the node is closed.
 */
export function bindRpc(transport: RpcTransport): () => void {
  return program.bind(transport);
}

/**
 * Runs a procedure of this program for another node. Until the procedure first awaits, it runs before
 * this returns: calls that are served in order begin in order.
 *
 * @param context The node that was called.
 * @param procedure The procedure's name.
 * @param payload Its arguments; not referred to once this has returned.
 * @returns Its result, or why there is none. Never rejects.
 */
export function serveCall(
  context: RpcContext,
  procedure: string,
  payload: Uint8Array,
): Promise<RpcReply> {
  return program.serve(context, procedure, payload);
}
