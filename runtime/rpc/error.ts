/**
 * How calls fail: the failure that a called node sends instead of a result, and the callers'
 * errors.
 */

import { decode } from "../std/msgpack_decode.js";
import { encode } from "../std/msgpack_encode.js";
import { TdsmError } from "../errors.ts";
import { RPC_CAUSES_MAX, RPC_ERROR_TEXT_MAX, RPC_LOAD_MAX, RPC_LOAD_MAX_BYTES } from "../limits.ts";
import { printable } from "../printable.ts";
import type { ValueType } from "../std/msgpack_encode.d.ts";

/**
 * The data of a {@linkcode RemoteError}.
 *
 * @example Find the node that threw an error
 * ```ts
 * import { RemoteError, type RemoteErrorInit } from "@tdsm/runtime";
 *
 * function origin(error: RemoteError): Pick<RemoteErrorInit, "node"> {
 *   return { node: error.node };
 * }
 *
 * console.log(origin.name);
 * ```
 */
export interface RemoteErrorInit {
  /** The id of the node where the error was thrown. */
  readonly node: number;
  /** The name of the error, such as `RangeError`. */
  readonly name: string;
  /** Its message. */
  readonly message: string;
  /** The error's stack on that node. */
  readonly remoteStack: string;
  /** The error's `code`, if it was a string. */
  readonly remoteCode: string | undefined;
}

/**
 * An error that a procedure threw on the called node, with the name and message that it had there,
 * but without characters that act on a terminal, or reorder what it shows.
 *
 * @example Tell an error of the procedure from a call that did not get through
 * ```ts
 * import { RemoteError, TdsmError } from "@tdsm/runtime";
 *
 * // To be given what a call has thrown.
 * function explain(error: unknown): string {
 *   if (error instanceof RemoteError) return `node ${error.node} threw ${error.remoteStack}`;
 *   if (error instanceof TdsmError) return `the call did not get through: ${error.code}`;
 *   throw error;
 * }
 * ```
 */
export class RemoteError extends Error {
  /** The name of the error, such as `RangeError`. */
  override readonly name: string;
  /** Always `"RemoteException"`. */
  readonly code = "RemoteException";
  /** The id of the node where the error was thrown. */
  readonly node: number;
  /** The error's stack on the called node, followed by the stacks of its causes. */
  readonly remoteStack: string;
  /** The error's `code`, if it was a string: that of a `TdsmError`, or such as `ENOENT`. */
  readonly remoteCode: string | undefined;

  /**
   * Made by the runtime, for the call that fails.
   *
   * @param init The error, and the node where it was thrown.
   */
  constructor(init: RemoteErrorInit) {
    super(init.message);
    this.name = init.name;
    this.node = init.node;
    this.remoteStack = init.remoteStack;
    this.remoteCode = init.remoteCode;
  }
}

/** The kinds of failures. */
export type RpcFailure =
  | { readonly kind: "exception"; readonly error: unknown }
  | { readonly kind: "unknown" }
  /** The called node has too many calls of the caller to answer already. */
  | { readonly kind: "overloaded" }
  | { readonly kind: "malformed"; readonly reason: string };

/**
 * Encodes a failure.
 *
 * @param failure The failure; its error may be any value that can be thrown.
 * @returns Bytes for {@linkcode failureOf}.
 */
export function encodeFailure(failure: RpcFailure): Uint8Array<ArrayBuffer> {
  switch (failure.kind) {
    case "exception":
      return encode(["exception", ...describe(failure.error)]);
    case "unknown":
    case "overloaded":
      return encode([failure.kind]);
    case "malformed":
      return encode(["malformed", cut(failure.reason)]);
  }
}

/**
 * The error of a call that has no result.
 *
 * @param payload The bytes that {@linkcode encodeFailure} returned.
 * @param procedure The name of the procedure.
 * @param node The node that was called.
 * @returns The error to throw at the caller.
 */
export function failureOf(payload: Uint8Array, procedure: string, node: number): Error {
  const call = `Cannot call ${procedure} on node ${node}`;
  let fields: ValueType;
  try {
    fields = decode(payload);
  } catch (cause) {
    return violation(`${call}: its answer is malformed`, cause);
  }
  const [kind, ...texts] = Array.isArray(fields) ? fields as ValueType[] : [];
  const [first, second, remoteStack = "", remoteCode] = texts.map((text) =>
    typeof text === "string" ? printable(text, true) : undefined
  );
  if (kind === "exception" && first !== undefined && second !== undefined) {
    return new RemoteError({ node, name: first, message: second, remoteStack, remoteCode });
  }
  if (kind === "unknown") {
    const hint = "it has no such procedure; define it with rpc on every node";
    return new TdsmError("UnknownProcedure", `${call}: ${hint}`, { operation: "call" });
  }
  if (kind === "overloaded") return overloadedError(procedure, node);
  if (kind === "malformed" && first !== undefined) {
    return violation(`${call}: it cannot read the arguments: ${first}`);
  }
  return violation(`${call}: its answer is malformed`);
}

/**
 * The error of a call to a node that has not joined yet, or is gone.
 *
 * @param procedure The name of the procedure.
 * @param node The node's id.
 * @returns The error.
 */
export function peerAbsentError(procedure: string, node: number): TdsmError {
  const message = `Cannot call ${procedure} on node ${node}: there is no such node now; ` +
    "if it has yet to join, wait for it with waitForPeer";
  return new TdsmError("PeerAbsent", message, { operation: "call" });
}

/**
 * The error of a call whose called node goes away before it has answered.
 *
 * @param procedure The name of the procedure.
 * @param node The node's id.
 * @returns The error.
 */
export function peerLostError(procedure: string, node: number): TdsmError {
  const message = `Cannot call ${procedure} on node ${node}: it went away; ` +
    "the procedure has run there once, in part or not at all";
  return new TdsmError("PeerLost", message, { operation: "call" });
}

/**
 * The error of a call to a node that has too many calls of this node to answer already.
 *
 * @param procedure The name of the procedure.
 * @param node The node's id.
 * @returns The error.
 */
export function overloadedError(procedure: string, node: number): TdsmError {
  const message =
    `Cannot call ${procedure} on node ${node}: RPC_LOAD_MAX (${RPC_LOAD_MAX} calls, ` +
    `or ${RPC_LOAD_MAX_BYTES} bytes of arguments) of this node wait for its answer; ` +
    "await some of them first";
  return new TdsmError("LimitExceeded", message, { operation: "call" });
}

/**
 * The error of malformed bytes from another node.
 *
 * @param message What happened.
 * @param cause What the decoder said.
 * @returns The error.
 */
export function violation(message: string, cause?: unknown): TdsmError {
  return new TdsmError("ProtocolViolation", message, { operation: "call", cause });
}

/**
 * Name, message, stack and code of a thrown value, which may be of any type and may throw itself.
 */
function describe(error: unknown): [string, string, string, string | null] {
  try {
    if (!(error instanceof Error)) return ["Error", cut(String(error)), "", null];
    const code = (error as { code?: unknown }).code;
    const remoteCode = typeof code === "string" ? cut(code) : null;
    return [cut(String(error.name)), cut(String(error.message)), cut(stackOf(error)), remoteCode];
  } catch {
    return ["Error", "what was thrown cannot be described", "", null];
  }
}

/**
 * The stack of an error, the stacks of its causes, and the stacks on the nodes that it came from.
 */
function stackOf(error: Error): string {
  const stacks: string[] = [];
  let current: unknown = error;
  while (current instanceof Error && stacks.length <= RPC_CAUSES_MAX) {
    const heading = stacks.length === 0 ? "" : "Caused by: ";
    stacks.push(heading + (current.stack ?? String(current)));
    if (current instanceof RemoteError) {
      stacks.push(`On node ${current.node}: ${current.remoteStack}`);
    }
    current = current.cause;
  }
  return stacks.join("\n");
}

function cut(text: string): string {
  return text.slice(0, RPC_ERROR_TEXT_MAX).toWellFormed();
}
