/**
 * Remote calls by the engine of a node: the transport that `rpc` stubs use.
 */

import { Call } from "../ring/calls.ts";
import { closedError, type EngineClient } from "../ring/client.ts";
import { newBody, type RingRecord } from "../ring/ring.ts";
import { memoryOf, type NodeThread } from "./thread.ts";
import { bindRpc, serveCall } from "../rpc/define.ts";
import { encodeFailure } from "../rpc/error.ts";
import { rpcAnswer, rpcAnswerFields, rpcCall, rpcCallFields } from "../ring/rpc_records.ts";
import type { RpcContext, RpcReply, RpcTransport } from "../rpc/types.ts";

/**
 * Makes the transport for remote calls of one thread.
 *
 * @param node The node, as the thread sees it.
 * @param client The thread's way to the engine.
 * @returns The transport.
 */
export function rpcTransport(node: NodeThread, client: EngineClient): RpcTransport {
  return Object.assign(rpcContext(node), {
    peers: () => node.peers().map(({ id }) => id),
    refusal: (what: string) => client.refusal(what),
    async call(to: number, procedure: string, payload: Uint8Array): Promise<RpcReply> {
      const body = newBody(Call.Rpc, rpcCallFields(to, procedure, payload));
      const { answer } = client.start(body, `call ${procedure} on node ${to}`);
      return rpcAnswer(await answer);
    },
  });
}

/**
 * Lets the program's stubs call through this node, and has the calling thread serve calls of other
 * nodes.
 *
 * @param node The node.
 * @param client This thread's way to the engine.
 * @returns Ends the calling; the serving ends with the node.
 */
export function serveRpc(node: NodeThread, client: EngineClient): () => void {
  const context = rpcContext(node);
  const answer = (id: number, reply: RpcReply): void =>
    client.post(newBody(Call.RpcServed, rpcAnswerFields(reply, id)));
  client.serveCalls((record: RingRecord) => {
    const { call: id } = record;
    const { procedure, payload } = rpcCall(record);
    // A closing node may wait for others, but its region is gone, so it can serve no call.
    if (context.memory.detached) {
      const error = closedError(`serve ${procedure}`);
      return answer(id, { ok: false, payload: encodeFailure({ kind: "exception", error }) });
    }
    void serveCall(context, procedure, payload).then((reply) => answer(id, reply));
  });
  return bindRpc(rpcTransport(node, client));
}

function rpcContext(node: NodeThread): RpcContext {
  return {
    self: node.id,
    // Another one where the program has lost the last.
    get memory() {
      return node.memory.buffer;
    },
    offsetOf: (view) => memoryOf(node).offsetOf(view),
  };
}
