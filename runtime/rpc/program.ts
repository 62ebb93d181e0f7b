/**
 * The procedures of one program, and the calls that the program makes and serves, over any
 * transport.
 */

import { reasonOf, TdsmError } from "../errors.ts";
import { NODE_ID_MAX, RPC_CALLS_MAX, RPC_NAME_MAX_BYTES } from "../limits.ts";
import { show } from "../arguments/show.ts";
import { checkWait, WAIT_NAMES, watchBounds } from "../arguments/wait_bounds.ts";
import { encodeFailure, failureOf, violation } from "./error.ts";
import type {
  Rpc,
  RpcAnswer,
  RpcContext,
  RpcOf,
  RpcOptions,
  RpcReply,
  RpcTransport,
} from "./types.ts";
import { decodeArguments, decodeResult, encodeArguments, encodeResult } from "./value.ts";

type AnyProcedure = (...args: unknown[]) => unknown;

/** A call that is ready to be sent, to one node or to several. */
interface PreparedCall {
  readonly transport: RpcTransport;
  readonly procedure: string;
  readonly payload: Uint8Array;
  readonly options: RpcOptions;
}

/** The procedures of a program, and the node that it has joined with. */
export class RpcProgram {
  readonly #procedures = new Map<string, AnyProcedure>();
  readonly #transports = new Set<RpcTransport>();
  #callsUnderWay = 0;

  /**
   * Defines a procedure.
   *
   * @param name The name by which all nodes know the procedure.
   * @param procedure The function that runs on the called node.
   * @returns The stub that calls the procedure.
   * @throws {TdsmError} `InvalidArgument` when the name is taken, or is not a valid name, or what
   * it names is no function.
   */
  define<Procedure extends CallableFunction>(
    name: string,
    procedure: Procedure,
  ): RpcOf<Procedure> {
    requireName(name);
    if (typeof procedure !== "function") {
      const message = `Cannot define rpc ${name}: ${show(procedure)} is given as its procedure, ` +
        `write rpc(${JSON.stringify(name)}, (…) => …)`;
      throw new TdsmError("InvalidArgument", message, { operation: "rpc" });
    }
    if (this.#procedures.has(name)) {
      const message = `Cannot define rpc ${name}: there is one of that name`;
      throw new TdsmError("InvalidArgument", message, { operation: "rpc" });
    }
    this.#procedures.set(name, procedure as unknown as AnyProcedure);
    return this.#stub(name) as unknown as RpcOf<Procedure>;
  }

  /**
   * Sends calls through a node.
   *
   * @param transport The node's transport.
   * @returns A function that stops the sending. Calls under way end as the transport ends them.
   */
  bind(transport: RpcTransport): () => void {
    this.#transports.add(transport);
    return () => void this.#transports.delete(transport);
  }

  /**
   * Runs a procedure for another node, or for this one. The procedure runs up to its first `await`
   * before this method returns, so that calls begin in the order in which they are served.
   *
   * @param context The node that was called.
   * @param name The procedure.
   * @param payload The encoded arguments; not used once this method has returned.
   * @returns The encoded result, or failure. Never rejects.
   */
  async serve(context: RpcContext, name: string, payload: Uint8Array): Promise<RpcReply> {
    const procedure = this.#procedures.get(name);
    if (procedure === undefined) return { ok: false, payload: encodeFailure({ kind: "unknown" }) };
    let args: unknown[];
    try {
      args = decodeArguments(payload, context.memory);
    } catch (error) {
      const reason = reasonOf(error);
      return { ok: false, payload: encodeFailure({ kind: "malformed", reason }) };
    }
    try {
      const result = await procedure(...args);
      return { ok: true, payload: encodeResult(name, result, context) };
    } catch (error) {
      return { ok: false, payload: encodeFailure({ kind: "exception", error }) };
    }
  }

  #stub(name: string): Rpc<unknown[], unknown> {
    let remote: number | undefined;
    const stub = (...args: unknown[]): Promise<unknown> => this.#call(name, remote, args, {});
    Object.defineProperties(stub, {
      name: { value: name },
      remote: {
        enumerable: true,
        get: () => remote,
        set(node: number | undefined): void {
          if (node !== undefined) requireNode(name, node);
          remote = node;
        },
      },
    });
    return Object.assign(stub as Rpc<unknown[], unknown>, {
      on: (node: number, options: RpcOptions = {}) => {
        requireNode(name, node);
        checkWait(options, WAIT_NAMES, `call ${name}`);
        return (...args: unknown[]): Promise<unknown> => this.#call(name, node, args, options);
      },
      onAll: (options: RpcOptions = {}) => {
        checkWait(options, WAIT_NAMES, `call ${name}`);
        return (...args: unknown[]): Promise<RpcAnswer<unknown>[]> =>
          this.#callAll(name, args, options);
      },
    });
  }

  async #call(
    procedure: string,
    node: number | undefined,
    args: unknown[],
    options: RpcOptions,
  ): Promise<unknown> {
    if (node === undefined) {
      const message = `Cannot call ${procedure}: it has no node; ` +
        `set ${procedure}.remote, or use ${procedure}.on(node)`;
      throw new TdsmError("InvalidArgument", message, { operation: "call" });
    }
    return await this.#send(this.#prepare(procedure, args, options), node);
  }

  async #callAll(
    procedure: string,
    args: unknown[],
    options: RpcOptions,
  ): Promise<RpcAnswer<unknown>[]> {
    const call = this.#prepare(procedure, args, options);
    const { self } = call.transport;
    const nodes = [...new Set([self, ...call.transport.peers()])].sort((a, b) => a - b);
    const ends = await Promise.allSettled(nodes.map((node) => this.#send(call, node)));
    const errors = ends.flatMap((end) => end.status === "rejected" ? [end.reason] : []);
    if (errors.length > 0) {
      const share = `${errors.length} of ${nodes.length} nodes`;
      throw new AggregateError(
        errors,
        `Cannot call ${procedure} on ${share}: ${errors[0].message}`,
      );
    }
    return ends.map((end, index) => ({
      node: nodes[index]!,
      value: (end as PromiseFulfilledResult<unknown>).value,
    }));
  }

  #prepare(procedure: string, args: unknown[], options: RpcOptions): PreparedCall {
    const [transport, another] = this.#transports;
    if (transport === undefined || another !== undefined) {
      const problem = transport === undefined
        ? "this program has not joined; use run or join first"
        : "this program has several nodes; close all but one";
      const message = `Cannot call ${procedure}: ${problem}`;
      throw new TdsmError("NotJoined", message, { operation: "call" });
    }
    const payload = encodeArguments(procedure, args, transport);
    return { transport, procedure, payload, options };
  }

  async #send({ transport, procedure, payload, options }: PreparedCall, node: number) {
    if (this.#callsUnderWay >= RPC_CALLS_MAX) {
      const message =
        `Cannot call ${procedure} on node ${node}: RPC_CALLS_MAX (${RPC_CALLS_MAX}) ` +
        "calls are under way; await some of them first";
      throw new TdsmError("LimitExceeded", message, { operation: "call" });
    }
    // A node that cannot go on serves no call, and so does not serve its own.
    const refusal = transport.refusal(`call ${procedure} on node ${node}`);
    if (refusal !== undefined) throw refusal;
    this.#callsUnderWay++;
    try {
      const reply = await within(
        options,
        `Cannot call ${procedure} on node ${node}`,
        () =>
          node === transport.self
            ? this.serve(transport, procedure, payload)
            : transport.call(node, procedure, payload),
      );
      return readReply(reply, transport, procedure, node);
    } finally {
      this.#callsUnderWay--;
    }
  }
}

function readReply(
  { ok, payload }: RpcReply,
  context: RpcContext,
  procedure: string,
  node: number,
): unknown {
  if (!ok) throw failureOf(payload, procedure, node);
  try {
    return decodeResult(payload, context.memory);
  } catch (cause) {
    throw violation(`Cannot call ${procedure} on node ${node}: its answer is malformed`, cause);
  }
}

function requireName(name: string): void {
  const bytes = typeof name === "string" ? new TextEncoder().encode(name).length : 0;
  if (bytes >= 1 && bytes <= RPC_NAME_MAX_BYTES && name.isWellFormed()) return;
  const message = `Cannot define rpc ${show(name)}: ` +
    `a name has 1 to ${RPC_NAME_MAX_BYTES} bytes of UTF-8`;
  throw new TdsmError("InvalidArgument", message, { operation: "rpc" });
}

function requireNode(procedure: string, node: number): void {
  if (Number.isSafeInteger(node) && node >= 1 && node <= NODE_ID_MAX) return;
  const ids = `ids are whole numbers from 1 to ${NODE_ID_MAX}`;
  const Wrong = typeof node === "number" ? RangeError : TypeError;
  throw new Wrong(`Cannot call ${procedure} on node ${show(node)}: ${ids}`);
}

/**
 * Waits for the answer of a call, unless the call ends early.
 *
 * @param options When it ends early.
 * @param what What could not be done in that case, for the message.
 * @param call Sends the call, or serves it here. What is aborted already is not sent at all.
 * @returns The answer.
 * @throws {TdsmError} `Aborted` or `TimedOut` when the call ended early.
 */
async function within(
  options: RpcOptions,
  what: string,
  call: () => Promise<RpcReply>,
): Promise<RpcReply> {
  const { signal, timeoutMs } = options;
  const aborted = (): TdsmError =>
    new TdsmError("Aborted", `${what}: its signal fired`, {
      operation: "call",
      cause: signal?.reason,
    });
  if (signal?.aborted) throw aborted();
  const late = `${what}: no answer within ${timeoutMs} ms; it may still run there`;
  const timedOut = (): TdsmError => new TdsmError("TimedOut", late, { operation: "call" });
  const early = Promise.withResolvers<never>();
  using _bounds = watchBounds(
    options,
    (reached) => early.reject(reached === "signal" ? aborted() : timedOut()),
  );
  return await Promise.race([call(), early.promise]);
}
