/** Remote calls as they cross the rings between a program's threads and the engine. */

import { getU32, putU32 } from "../wire/bytes.ts";

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

/** A remote call on its way: the other node (called or calling), the procedure, the arguments. */
export interface PackedRpcCall {
  readonly node: number;
  readonly procedure: string;
  readonly payload: Uint8Array;
}

/** u16 node, u8 length of the name, name, arguments. */
export function packRpcCall(node: number, procedure: string, payload: Uint8Array): Uint8Array {
  const name = isAscii(procedure) ? undefined : encoder.encode(procedure);
  const nameBytes = name?.length ?? procedure.length;
  const bytes = new Uint8Array(3 + nameBytes + payload.length);
  bytes[0] = node & 0xff;
  bytes[1] = node >> 8;
  bytes[2] = nameBytes;
  if (name !== undefined) bytes.set(name, 3);
  else for (let at = 0; at < nameBytes; at++) bytes[3 + at] = procedure.charCodeAt(at);
  bytes.set(payload, 3 + nameBytes);
  return bytes;
}

/** What {@linkcode packRpcCall} packed. */
export function unpackRpcCall(bytes: Uint8Array): PackedRpcCall {
  const end = 3 + bytes[2]!;
  return {
    node: bytes[0]! | bytes[1]! << 8,
    procedure: textOf(bytes, 3, end),
    payload: bytes.subarray(end),
  };
}

/** u8 whether it returned, result. */
export function packRpcAnswer(ok: boolean, payload: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(1 + payload.length);
  bytes[0] = ok ? 1 : 0;
  bytes.set(payload, 1);
  return bytes;
}

/** What {@linkcode packRpcAnswer} packed. */
export function unpackRpcAnswer(bytes: Uint8Array): { ok: boolean; payload: Uint8Array } {
  return { ok: bytes[0] === 1, payload: bytes.subarray(1) };
}

/** u32 number of the call that was served, then as {@linkcode packRpcAnswer}. */
export function packRpcServed(id: number, ok: boolean, payload: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(5 + payload.length);
  putU32(bytes, 0, id);
  bytes[4] = ok ? 1 : 0;
  bytes.set(payload, 5);
  return bytes;
}

/** What {@linkcode packRpcServed} packed. */
export function unpackRpcServed(
  bytes: Uint8Array,
): { id: number; ok: boolean; payload: Uint8Array } {
  return { id: getU32(bytes, 0), ok: bytes[4] === 1, payload: bytes.subarray(5) };
}

/** Names are short and mostly ASCII: a call of the runtime's encoder takes longer than this. */
function isAscii(text: string): boolean {
  for (let at = 0; at < text.length; at++) if (text.charCodeAt(at) >= 0x80) return false;
  return true;
}

function textOf(bytes: Uint8Array, start: number, end: number): string {
  let text = "";
  for (let at = start; at < end; at++) {
    const byte = bytes[at]!;
    if (byte >= 0x80) return decoder.decode(bytes.subarray(start, end));
    text += String.fromCharCode(byte);
  }
  return text;
}
