/**
 * How calls fail: what the called node says instead of a result, and the errors that callers get.
 */

import { decode } from "../std/msgpack_decode.js";
import { encode } from "../std/msgpack_encode.js";
import { TdsmError } from "../errors.ts";
import { RPC_CAUSES_MAX, RPC_ERROR_TEXT_MAX, RPC_LOAD_MAX, RPC_LOAD_MAX_BYTES } from "../limits.ts";
import type { ValueType } from "../std/msgpack_encode.d.ts";

/**
 * What {@linkcode RemoteError} is made of.
 *
 * @example Where an error came from
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
  /** The node where it was thrown. */
  readonly node: number;
  /** The name of what was thrown there, such as `RangeError`. */
  readonly name: string;
  /** Its message. */
  readonly message: string;
  /** Its stack there. */
  readonly remoteStack: string;
  /** Its `code`, if it was a string. */
  readonly remoteCode: string | undefined;
}

/**
 * What a procedure threw on the node where it ran. Name and message are those of the error there, but for
 * control characters that have no place on a terminal.
 *
 * @example Tell it from a call that did not get through
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
  /** The name of what was thrown there, such as `RangeError`. */
  override readonly name: string;
  /** Always `"RemoteException"`. */
  readonly code = "RemoteException";
  /** The node where it was thrown. */
  readonly node: number;
  /** The stack there, with those of its causes. */
  readonly remoteStack: string;
  /** The `code` of what was thrown there, if it was a string: that of a `TdsmError`, or `ENOENT`. */
  readonly remoteCode: string | undefined;

  /**
   * Made by the call that it ends.
   *
   * @param init What was thrown, and where.
   */
  constructor(init: RemoteErrorInit) {
    super(init.message);
    this.name = init.name;
    this.node = init.node;
    this.remoteStack = init.remoteStack;
    this.remoteCode = init.remoteCode;
  }
}

/** Why there is no result. */
export type RpcFailure =
  | { readonly kind: "exception"; readonly error: unknown }
  | { readonly kind: "unknown" }
  /** The called node has too many calls of the caller to answer already. */
  | { readonly kind: "overloaded" }
  | { readonly kind: "malformed"; readonly reason: string };

/**
 * Encodes why there is no result.
 *
 * @param failure Why; an error may be anything that can be thrown.
 * @returns What {@linkcode failureOf} takes.
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
 * @param payload What {@linkcode encodeFailure} encoded.
 * @param procedure The name of the procedure.
 * @param node The node that was called.
 * @returns What the caller is to be thrown.
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
    typeof text === "string" ? printable(text) : undefined
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
 * What a call ends with when the node is not there: it has not joined yet, or is gone.
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
 * What a call ends with when the called node goes away before it has answered.
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
 * What a call ends with while the called node has too much to answer already.
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
 * Bytes that are not what the other side should have sent.
 *
 * @param message What happened.
 * @param cause What the decoder said.
 * @returns The error.
 */
export function violation(message: string, cause?: unknown): TdsmError {
  return new TdsmError("ProtocolViolation", message, { operation: "call", cause });
}

/** Name, message, stack and code of what was thrown; nothing about it can be relied upon. */
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

/** The stack of an error, those of its causes, and those of the nodes where it came from. */
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

/** Text of another node, which may end on a terminal: without control characters but for line ends and tabs. */
function printable(text: string): string {
  return text.replace(/[^\P{Cc}\n\t]+/gu, " ");
}

function cut(text: string): string {
  return text.slice(0, RPC_ERROR_TEXT_MAX).toWellFormed();
}
