/**
 * What remote calls look like: to the program that makes them, and to the transport that carries them.
 */

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
  /** Ends the call with `TimedOut` after so many milliseconds. What runs on the other node goes on there. */
  readonly timeoutMs?: number | undefined;
}

/**
 * What one node answered to a call of all nodes.
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
  /** The result there. */
  readonly value: Result;
}

/**
 * A procedure that every node defines, and that any node can call on any other. Made by `rpc`.
 *
 * Called as a function, it runs on the node {@linkcode Rpc.remote}. A call runs at most once: what
 * fails is never tried again. Calls from one node to another begin there in the order in which they
 * were made; each may take its time.
 *
 * @example A stub that is handed over
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
   * @param args Its arguments; they are copied before the call returns, views of the region are not.
   * @returns Its result, once it has run.
   */
  (...args: Args): Promise<Result>;
  /** The name by which the nodes know the procedure. */
  readonly name: string;
  /** The id of the node on which it runs when it is called as a function; `undefined` at first. */
  remote: number | undefined;
  /**
   * The procedure on one node.
   *
   * @param node The node's id; this node's own runs it here, with arguments and result copied alike.
   * @param options How the calls may end early.
   * @returns What to call.
   * @throws {RangeError} When that is no id, or no time.
   */
  on(node: number, options?: RpcOptions): (...args: Args) => Promise<Result>;
  /**
   * The procedure on every node: the others and this one.
   *
   * What it returns gives the results in the order of the nodes' ids. It waits for all of them; if
   * any call failed it throws an `AggregateError` with the error of each that did.
   *
   * @param options How the calls may end early.
   * @returns What to call.
   * @throws {RangeError} When that is no time.
   */
  onAll(options?: RpcOptions): (...args: Args) => Promise<RpcAnswer<Result>[]>;
}

/**
 * What calls a procedure, by the type of the procedure.
 *
 * `Procedure` is no more than a `CallableFunction` where it is given, so that its parameters keep the
 * types that they have by themselves; `(from = 0) => …` takes a number.
 *
 * @example The stub of a function that is there already
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

/** What serving a call needs to know of its node. */
export interface RpcContext {
  /** The node's id. */
  readonly self: number;
  /** The buffer of `node.memory`: views of it travel by reference. */
  readonly memory: ArrayBuffer;
}

/** How a call ended on the node where it ran. */
export interface RpcReply {
  /** Whether it has a result. */
  readonly ok: boolean;
  /** The result, or why there is none. */
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
   * Has another node serve a call, at most once.
   *
   * @param node The other node's id.
   * @param procedure The name of the procedure, at most `RPC_NAME_MAX_BYTES` of UTF-8.
   * @param payload Its arguments, at most `RPC_MAX_BYTES`.
   * @param signal Fires when nobody waits for the reply any more; the promise may then end anyhow.
   * @returns What `serveCall` returned there.
   * @throws {TdsmError} `PeerAbsent`, `PeerLost`, `NodeClosed` or whatever else kept the reply away.
   */
  call(
    node: number,
    procedure: string,
    payload: Uint8Array,
    signal: AbortSignal | undefined,
  ): Promise<RpcReply>;
}
