/**
 * Remote calls between threads that block: they are made and taken past the event loops of both
 * nodes, so that nothing but the two threads and their engines wakes up.
 */

import { Call } from "../ring/calls.ts";
import type { OpenCall } from "../ring/client.ts";
import { newBody, NO_BYTES } from "../ring/ring.ts";
import { QUIET_CALL, rpcCall, rpcCallFields } from "../ring/rpc_records.ts";
import { decodeArguments, encodeArguments } from "../rpc/value.ts";
import { clientOf, memoryOf, type NodeThread } from "./thread.ts";

/**
 * Calls a procedure of a node, which may be this one, without waiting for it. That the node is lost
 * the caller has to find out otherwise.
 *
 * @param node The caller's node.
 * @param to The id of the node that is called.
 * @param procedure The procedure.
 * @param args Its arguments.
 * @throws {TdsmError} `NodeClosed`, or why the node cannot go on.
 */
export function postCall(
  node: NodeThread,
  to: number,
  procedure: string,
  args: readonly number[],
): void {
  const client = clientOf(node);
  const payload = encodeArguments(procedure, args, memoryOf(node));
  const fields = { ...rpcCallFields(to, procedure, payload), code: QUIET_CALL };
  const what = `call ${procedure} on node ${to}`;
  // A thread that never waits would leave the answers of all its calls in the ring.
  client.takeAnswers();
  client.tell(newBody(Call.Rpc, fields), what, () => {});
}

/** Takes calls of a procedure by a thread that blocks, in the place of the thread that joined. */
export class CallTaker {
  readonly #node: NodeThread;
  readonly #procedure: string;
  #asked: OpenCall | undefined;

  /**
   * @param node The node, as this thread sees it.
   * @param procedure The procedure.
   */
  constructor(node: NodeThread, procedure: string) {
    this.#node = node;
    this.#procedure = procedure;
  }

  /**
   * Asks for the next call. What this thread asks for afterwards is done once it may be called.
   *
   * @throws {TdsmError} `NodeClosed`, or why the node cannot go on.
   */
  ask(): void {
    const body = newBody(Call.TakeCall, rpcCallFields(0, this.#procedure, NO_BYTES));
    this.#asked = clientOf(this.#node).open(body, `take calls of ${this.#procedure}`);
  }

  /**
   * Blocks this thread until there is the call that it has asked for.
   *
   * @returns The arguments.
   * @throws {TdsmError} `NodeClosed`, or why the node cannot go on.
   */
  next(): unknown[] {
    const record = clientOf(this.#node).nextAnswer(this.#asked!, Infinity)!;
    return decodeArguments(rpcCall(record).payload, this.#node.memory.buffer);
  }
}
