/**
 * What remote calls look like: to the program that makes them, and to the transport that carries
 * them.
 */

import type { TdsmError } from "../errors.ts";

/**
 * How one call, or the calls of one stub, may end early.
 *
 * @example A call that may take a second
 * ```ts
 * import type { RpcOptions } from "@tdsm/runtime";
 *
 * const options: RpcOptions = { timeoutMs: 1000, signal: new AbortController().signal };
 * console.log(options.timeoutMs);
 * ```
 */
export interface RpcOptions {
  /** Ends the call with `Aborted` when it fires. What runs on the other node goes on there. */
  readonly signal?: AbortSignal | undefined;
  /**
   * Ends the call with `TimedOut` after so many milliseconds. What runs on the other node goes on
   * there. 0 is not to wait: the call is sent, and only an answer that is there at once counts, as
   * of this node.
   */
  readonly timeoutMs?: number | undefined;
}

/**
 * The answer of one node to a call of all nodes.
 *
 * @example Find the largest of all answers
 * ```ts
 * import type { RpcAnswer } from "@tdsm/runtime";
 *
 * function largest(answers: RpcAnswer<number>[]): number {
 *   return answers.reduce((most, { value }) => Math.max(most, value), -Infinity);
 * }
 *
 * console.log(largest([{ node: 1, value: 3 }, { node: 2, value: 5 }])); // 5
 * ```
 */
export interface RpcAnswer<Result> {
  /** The node's id. */
  readonly node: number;
  /** The result of the procedure on that node. */
  readonly value: Result;
}

/**
 * The stub of a procedure that every node defines, and that any node can call on any other. Made by
 * `rpc`.
 *
 * Called as a function, the stub runs the procedure on the node {@linkcode Rpc.remote}. Each call
 * runs the procedure at most once: a failed call is never repeated. Calls from one node to another
 * begin in the order in which they were made; several may run at the same time.
 *
 * @example Name the type of a stub
 * ```ts
 * import { rpc, type Rpc } from "@tdsm/runtime";
 *
 * const double: Rpc<[number: number], number> = rpc("docs.double", (number: number) => 2 * number);
 * console.log(typeof double.on); // "function"
 * ```
 */
export interface Rpc<Args extends unknown[], Result> {
  /**
   * Runs the procedure on the node {@linkcode Rpc.remote}.
   *
   * @param args Its arguments; they are copied before the call returns, views of the region are
   *   not.
   * @returns The procedure's result, once the procedure has run.
   */
  (...args: Args): Promise<Result>;
  /** The name by which the nodes know the procedure. */
  readonly name: string;
  /**
   * The id of the node on which the stub, called as a function, runs the procedure; `undefined` at
   * first.
   */
  remote: number | undefined;
  /**
   * Selects one node to run the procedure.
   *
   * @param node The node's id. With this node's own id the procedure runs on this node, with
   * arguments and result copied all the same.
   * @param options How the calls may end early.
   * @returns The function that calls the procedure on that node.
   * @throws {TypeError} When `options` is no object, or has an option that there is not.
   * @throws {RangeError} When the id or the time-out is out of its bounds.
   */
  on(node: number, options?: RpcOptions): (...args: Args) => Promise<Result>;
  /**
   * Selects every node, including this one, to run the procedure.
   *
   * The returned function waits for all nodes and gives the results in order of the nodes' ids. If
   * any call failed it throws an `AggregateError` with the errors of the calls that failed.
   *
   * @param options How the calls may end early.
   * @returns The function that calls the procedure on every node.
   * @throws {TypeError} When `options` is no object, or has an option that there is not.
   * @throws {RangeError} When the time-out is out of its bounds.
   */
  onAll(options?: RpcOptions): (...args: Args) => Promise<RpcAnswer<Result>[]>;
}

/**
 * The type of a procedure's stub, by the type of the procedure.
 *
 * `Procedure` is no more than a `CallableFunction` where it is given, so that its parameters keep
 * the types that they have by themselves; `(from = 0) => …` takes a number.
 *
 * @example Name the stub type of an existing function
 * ```ts
 * import type { RpcOf } from "@tdsm/runtime";
 *
 * function add(a: number, b: number): number {
 *   return a + b;
 * }
 *
 * const onTwo = (stub: RpcOf<typeof add>): Promise<number> => stub.on(2)(1, 2);
 * console.log(typeof onTwo);
 * ```
 */
export type RpcOf<Procedure> = Procedure extends (...args: infer Args) => infer Result
  ? Rpc<Args, Awaited<Result>>
  : never;

/** The properties of its node that serving a call needs. */
export interface RpcContext {
  /** The node's id. */
  readonly self: number;
  /** The buffer of `node.memory`, over which views that arrive by reference are made. */
  readonly memory: ArrayBuffer;
  /** Where a view begins in the region; such views travel by reference, all others by value. */
  offsetOf(view: ArrayBufferView): number | undefined;
}

/** How a call ended on the node where it ran. */
export interface RpcReply {
  /** Whether the procedure returned a result. */
  readonly ok: boolean;
  /** The encoded result, or failure. */
  readonly payload: Uint8Array;
}

/** Carries the calls of one node to others. */
export interface RpcTransport extends RpcContext {
  /**
   * The other nodes.
   *
   * @returns Their ids, in any order.
   */
  peers(): number[];
  /**
   * Why the node's program calls no procedure any more, not even one of its own.
   *
   * @param what What is not done for that reason, for the message.
   * @returns The error, which the caller throws; `undefined` where it may call.
   */
  refusal(what: string): TdsmError | undefined;
  /**
   * Has another node serve a call, at most once.
   *
   * @param node The other node's id.
   * @param procedure The name of the procedure, at most `RPC_NAME_MAX_BYTES` of UTF-8.
   * @param payload Its arguments, at most `RPC_MAX_BYTES`.
   * @returns The result of `serveCall` on that node.
   * @throws {TdsmError} `PeerAbsent`, `PeerLost`, `NodeClosed` or whatever else kept the reply
   *   away.
   */
  call(node: number, procedure: string, payload: Uint8Array): Promise<RpcReply>;
}
