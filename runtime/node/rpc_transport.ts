/**
 * Remote calls by the engine of a node: the transport that `rpc` stubs use.
 */

import { Call } from "../ring/calls.ts";
import type { EngineClient } from "../ring/client.ts";
import { closedError, type NodeThread } from "./thread.ts";
import { bindRpc, serveCall } from "../rpc/define.ts";
import { encodeFailure } from "../rpc/error.ts";
import { packRpcCall, packRpcServed, unpackRpcAnswer, unpackRpcCall } from "../ring/rpc_records.ts";
import type { RpcTransport } from "../rpc/types.ts";

/**
 * The way by which the calls of one thread go out.
 *
 * @param node The node, as the thread sees it.
 * @param client The thread's way to the engine.
 * @returns The transport.
 */
export function rpcTransport(node: NodeThread, client: EngineClient): RpcTransport {
  return {
    self: node.id,
    memory: node.memory.buffer,
    peers: () => node.peers().map(({ id }) => id),
    async call(to, procedure, payload) {
      const { answer } = client.start(Call.Rpc, packRpcCall(to, procedure, payload));
      return unpackRpcAnswer(await answer);
    },
  };
}

/**
 * Lets the program's stubs call by this node, and has the calling thread serve what others call.
 *
 * @param node The node.
 * @param client This thread's way to the engine.
 * @returns Ends the calling; the serving ends with the node.
 */
export function serveRpc(node: NodeThread, client: EngineClient): () => void {
  const context = { self: node.id, memory: node.memory.buffer };
  client.serveCalls((id, bytes) => {
    const { procedure, payload } = unpackRpcCall(bytes);
    // A node that closes waits for others, but has no region any more to serve them with.
    if (context.memory.detached) {
      const error = closedError(`serve ${procedure}`);
      const failure = encodeFailure({ kind: "exception", error });
      return client.post(Call.RpcServed, packRpcServed(id, false, failure));
    }
    void serveCall(context, procedure, payload).then((reply) => {
      client.post(Call.RpcServed, packRpcServed(id, reply.ok, reply.payload));
    });
  });
  return bindRpc(rpcTransport(node, client));
}
