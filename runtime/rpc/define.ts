/**
 * Remote calls: the functions that a program and its node use.
 */

import { RpcProgram } from "./program.ts";
import type { RpcContext, RpcOf, RpcReply, RpcTransport } from "./types.ts";

/** Outlives any node, since procedures are defined while modules load, before there is a node. */
const program = new RpcProgram();

/**
 * Defines a procedure that nodes can call on each other. Call `rpc` at the top level of a module
 * that every node loads, so that every node knows the procedure.
 *
 * Arguments and results are copied: numbers, bigints of 64 bits, strings, booleans, `null`,
 * `undefined`, `Date`s, typed arrays, and lists and plain objects of these. Views of the region
 * (typed arrays over the buffer of `node.memory`) are not copied: the called node gets a view of
 * the same part of the region.
 *
 * @param name The name by which all nodes know the procedure.
 * @param procedure The function that runs on the called node; may be async, and may call other
 *   nodes.
 * @returns A stub that calls the procedure: set `remote`, or use `on` or `onAll`. An error that the
 * procedure throws on the called node is thrown at the caller as a `RemoteError`.
 * @throws {TdsmError} `InvalidArgument` when the name is taken, or is not a valid name, or what it
 * names is no function.
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
 * Sends the calls of this program through a node. A program with two nodes at one time can serve
 * calls on both, but make none.
 *
 * @param transport The node's transport.
 * @returns A function that stops the sending; call it when the node is closed.
 */
export function bindRpc(transport: RpcTransport): () => void {
  return program.bind(transport);
}

/**
 * Runs a procedure of this program for another node. The procedure runs up to its first `await`
 * before this function returns, so that calls begin in the order in which they are served.
 *
 * @param context The node that was called.
 * @param procedure The procedure's name.
 * @param payload The encoded arguments; not used once this function has returned.
 * @returns The encoded result, or failure. Never rejects.
 */
export function serveCall(
  context: RpcContext,
  procedure: string,
  payload: Uint8Array,
): Promise<RpcReply> {
  return program.serve(context, procedure, payload);
}
