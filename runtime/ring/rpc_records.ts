/** Remote calls as they cross the rings between a program's threads and the engine. */

import type { RpcReply } from "../rpc/types.ts";
import type { RecordBody } from "./ring.ts";

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

/**
 * The `code` of a call whose success the calling thread need not be woken for: it does not wait for
 * that.
 */
export const QUIET_CALL = 1;

/** A remote call on its way: the other node (called or calling), the procedure, the arguments. */
export interface RpcCallRecord {
  readonly node: number;
  readonly procedure: string;
  readonly payload: Uint8Array;
}

/**
 * Writes a call into the fields of a record: `id` is the node, `count` the bytes of the procedure's
 * name, the payload that name and the arguments.
 *
 * @param node The other node.
 * @param procedure The name of the procedure.
 * @param payload The arguments.
 * @returns The fields.
 */
export function rpcCallFields(
  node: number,
  procedure: string,
  payload: Uint8Array,
): Partial<RecordBody> {
  const name = isAscii(procedure) ? undefined : encoder.encode(procedure);
  const count = name?.length ?? procedure.length;
  const bytes = new Uint8Array(count + payload.length);
  if (name !== undefined) bytes.set(name);
  else for (let at = 0; at < count; at++) bytes[at] = procedure.charCodeAt(at);
  bytes.set(payload, count);
  return { id: node, count, payload: bytes };
}

/**
 * Reads what {@linkcode rpcCallFields} wrote.
 *
 * @param body The record's body.
 * @returns The call; its payload is a view of the record's.
 */
export function rpcCall({ id, count, payload }: RecordBody): RpcCallRecord {
  return { node: id, procedure: textOf(payload, count), payload: payload.subarray(count) };
}

/**
 * Writes an answer into the fields of a record: `code` is whether the call returned, `id` which
 * call it was, in a record of the thread that served the call.
 *
 * @param answer The answer; its payload must not change until the record is written.
 * @param id The number of the call that was served.
 * @returns The fields.
 */
export function rpcAnswerFields(
  { ok, payload }: RpcReply,
  id = 0,
): Partial<RecordBody> {
  return { code: ok ? 1 : 0, id, payload };
}

/**
 * Reads what {@linkcode rpcAnswerFields} wrote.
 *
 * @param body The record's body.
 * @returns The answer.
 */
export function rpcAnswer({ code, payload }: RecordBody): RpcReply {
  return { ok: code === 1, payload };
}

/** Names are short and mostly ASCII: a call of the runtime's encoder takes longer than this. */
function isAscii(text: string): boolean {
  for (let at = 0; at < text.length; at++) if (text.charCodeAt(at) >= 0x80) return false;
  return true;
}

/** The text of the first bytes. */
function textOf(bytes: Uint8Array, end: number): string {
  let text = "";
  for (let at = 0; at < end; at++) {
    const byte = bytes[at]!;
    if (byte >= 0x80) return decoder.decode(bytes.subarray(0, end));
    text += String.fromCharCode(byte);
  }
  return text;
}
