/**
 * Remote calls on their way: from a thread of this node to another node, and from other nodes to
 * the thread that joined. The service forwards arguments and results without decoding them.
 */

import type { TdsmError } from "../errors.ts";
import { RPC_LOAD_MAX, RPC_LOAD_MAX_BYTES, TICKET_MAX } from "../limits.ts";
import type { EngineWatch } from "../observe/engine_watch.ts";
import type { NodeId } from "../protocol/coherence/messages.ts";
import type { ThreadCall } from "../ring/calls.ts";
import type { RecordBody } from "../ring/ring.ts";
import {
  QUIET_CALL,
  rpcAnswer,
  rpcAnswerFields,
  rpcCall,
  rpcCallFields,
} from "../ring/rpc_records.ts";
import { encodeFailure, overloadedError, peerAbsentError, peerLostError } from "../rpc/error.ts";
import { encodeScalar } from "../rpc/scalar.ts";
import type { RpcCallMessage, RpcMessage } from "../wire/rpc_frames.ts";

/** The result of a call that has none. */
const NOTHING = encodeScalar(undefined)!;

/** What is told of calls. */
type CallWatch = Pick<EngineWatch, "callMade" | "callEnded" | "serviceBegun" | "serviceEnded">;

/** What {@linkcode RpcService} needs of its node. */
export interface RpcServiceOptions {
  readonly self: NodeId;
  /** Sends to another node. */
  send(to: NodeId, message: RpcMessage, payload: Uint8Array): void;
  /** Whether a node is one of the cluster. */
  isPresent(node: NodeId): boolean;
  /** Has the program serve a call. */
  serve(id: number, fields: Partial<RecordBody>): void;
  /** What is told now of each call, and of its end. */
  watch?(): CallWatch | undefined;
  /** The largest number of a call, behind which numbers begin anew; 2^32 - 1 by default. */
  readonly numberMax?: number;
}

/** A call that this node made. */
interface MadeCall {
  readonly to: NodeId;
  readonly procedure: string;
  readonly call: ThreadCall;
  /** Of its arguments. */
  readonly bytes: number;
  /** Whether its thread is not woken where it succeeds. */
  readonly isQuiet: boolean;
}

/** A call that this node serves. */
interface ServedCall {
  readonly from: NodeId;
  readonly ticket: number;
  /** Of its arguments. */
  readonly bytes: number;
}

/** One node's remote calls. */
export class RpcService {
  readonly #options: RpcServiceOptions;
  /** The calls that this node made, by ticket. */
  readonly #calls = new Map<number, MadeCall>();
  readonly #callsTo = new RpcLoads();
  /** The calls that this node serves. */
  readonly #served = new Map<number, ServedCall>();
  readonly #callsFrom = new RpcLoads();
  /** The threads that wait for a call, by its procedure; the last one is given the next call. */
  readonly #takers = new Map<string, ThreadCall[]>();
  #lastTicket = 0;
  #lastServed = 0;

  /** @param options The node. */
  constructor(options: RpcServiceOptions) {
    this.#options = options;
  }

  /** A thread of this node calls. */
  request(call: ThreadCall): void {
    const { node, procedure, payload } = rpcCall(call.record);
    const { self, isPresent } = this.#options;
    if (node !== self && !isPresent(node)) return call.reject(peerAbsentError(procedure, node));
    const bytes = payload.length;
    if (!this.#callsTo.add(node, bytes)) return call.reject(overloadedError(procedure, node));
    const ticket = this.#lastTicket = this.#newNumber(this.#lastTicket, this.#calls);
    const isQuiet = call.record.code === QUIET_CALL;
    this.#calls.set(ticket, { to: node, procedure, call, bytes, isQuiet });
    this.#options.watch?.()?.callMade(ticket, node, procedure);
    this.#send(node, { kind: "rpcCall", ticket, procedure }, payload);
  }

  /** A thread of this node waits for a call, in the place of the thread that joined. */
  take(call: ThreadCall): void {
    const { procedure } = rpcCall(call.record);
    const takers = this.#takers.get(procedure) ?? [];
    this.#takers.set(procedure, [...takers.filter(({ isGone }) => !isGone), call]);
  }

  /**
   * The program has served a call.
   *
   * @param record The number that `serve` was given for the call, and the answer.
   */
  served(record: RecordBody): void {
    const { id } = record;
    const { ok, payload } = rpcAnswer(record);
    const served = this.#served.get(id);
    if (served === undefined) return;
    this.#served.delete(id);
    this.#options.watch?.()?.serviceEnded(id);
    const { from, ticket } = served;
    this.#callsFrom.remove(from, served.bytes);
    this.#send(from, { kind: "rpcAnswer", ticket, ok }, payload);
  }

  /** A message of a remote call has arrived. */
  receive(from: NodeId, message: RpcMessage, payload: Uint8Array): void {
    if (message.kind === "rpcCall") return this.#serve(from, message, payload);
    const made = this.#calls.get(message.ticket);
    if (made?.to !== from) return;
    this.#calls.delete(message.ticket);
    this.#options.watch?.()?.callEnded(message.ticket);
    this.#callsTo.remove(from, made.bytes);
    made.call.respond(rpcAnswerFields({ ok: message.ok, payload }), made.isQuiet && message.ok);
  }

  /**
   * Has the program serve a call. A node of this version keeps to the bound on calls; calls of
   * another node beyond that bound are not kept.
   */
  #serve(from: NodeId, { ticket, procedure }: RpcCallMessage, payload: Uint8Array): void {
    if (this.#hand(from, ticket, procedure, payload)) return;
    const bytes = payload.length;
    if (!this.#callsFrom.add(from, bytes)) {
      const failure = encodeFailure({ kind: "overloaded" });
      return this.#send(from, { kind: "rpcAnswer", ticket, ok: false }, failure);
    }
    const id = this.#lastServed = this.#newNumber(this.#lastServed, this.#served);
    this.#served.set(id, { from, ticket, bytes });
    this.#options.watch?.()?.serviceBegun(id, from, procedure);
    this.#options.serve(id, rpcCallFields(from, procedure, payload));
  }

  /** Hands a call to a thread that waits for one; `false` where none does. */
  #hand(from: NodeId, ticket: number, procedure: string, payload: Uint8Array): boolean {
    const takers = this.#takers.get(procedure);
    let taker = takers?.pop();
    while (taker?.isGone === true) taker = takers!.pop();
    if (taker === undefined) return false;
    const id = this.#lastServed = this.#newNumber(this.#lastServed, this.#served);
    this.#options.watch?.()?.serviceBegun(id, from, procedure);
    taker.respond(rpcCallFields(from, procedure, payload));
    this.#options.watch?.()?.serviceEnded(id);
    this.#send(from, { kind: "rpcAnswer", ticket, ok: true }, NOTHING);
    return true;
  }

  /** Sends to a node, which may be this one: its threads call each other, too. */
  #send(to: NodeId, message: RpcMessage, payload: Uint8Array): void {
    if (to === this.#options.self) this.receive(to, message, payload);
    else this.#options.send(to, message, payload);
  }

  /** A node is gone: ends the calls to it, and forgets the calls from it. */
  peerLost(node: NodeId): void {
    for (const [ticket, { to, procedure, call }] of [...this.#calls]) {
      if (to !== node) continue;
      this.#calls.delete(ticket);
      this.#options.watch?.()?.callEnded(ticket);
      call.reject(peerLostError(procedure, node));
    }
    for (const [id, { from }] of [...this.#served]) {
      if (from !== node) continue;
      this.#served.delete(id);
      this.#options.watch?.()?.serviceEnded(id);
    }
    this.#callsTo.forget(node);
    this.#callsFrom.forget(node);
  }

  /** Ends every call: none will be answered. */
  fail(error: TdsmError): void {
    for (const { call } of this.#calls.values()) call.reject(error);
    this.#calls.clear();
    for (const takers of this.#takers.values()) for (const call of takers) call.reject(error);
    this.#takers.clear();
  }

  /** The next number that is not in use. */
  #newNumber(last: number, used: ReadonlyMap<number, unknown>): number {
    const { numberMax = TICKET_MAX } = this.#options;
    do last = last === numberMax ? 1 : last + 1; while (used.has(last));
    return last;
  }
}

/** The calls without an answer, and their bytes, by the node at the other end. */
class RpcLoads {
  readonly #loads = new Map<NodeId, { calls: number; bytes: number }>();

  /**
   * Counts a call in.
   *
   * @param node The other node.
   * @param bytes Of the call's arguments.
   * @returns `false`, and nothing is counted, where the bounds would be exceeded.
   */
  add(node: NodeId, bytes: number): boolean {
    const load = this.#loads.get(node) ?? { calls: 0, bytes: 0 };
    if (load.calls === RPC_LOAD_MAX || load.bytes + bytes > RPC_LOAD_MAX_BYTES) return false;
    load.calls++;
    load.bytes += bytes;
    this.#loads.set(node, load);
    return true;
  }

  /** Counts a call out that is answered. */
  remove(node: NodeId, bytes: number): void {
    const load = this.#loads.get(node)!;
    load.bytes -= bytes;
    if (--load.calls === 0) this.#loads.delete(node);
  }

  /** Forgets a node: no call to or from it is under way. */
  forget(node: NodeId): void {
    this.#loads.delete(node);
  }
}
