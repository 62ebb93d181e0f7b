/** Remote calls as they cross the rings between a program's threads and the engine. */

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
  const name = encoder.encode(procedure);
  const bytes = new Uint8Array(3 + name.length + payload.length);
  bytes[0] = node & 0xff;
  bytes[1] = node >> 8;
  bytes[2] = name.length;
  bytes.set(name, 3);
  bytes.set(payload, 3 + name.length);
  return bytes;
}

/** What {@linkcode packRpcCall} packed. */
export function unpackRpcCall(bytes: Uint8Array): PackedRpcCall {
  const end = 3 + bytes[2]!;
  return {
    node: bytes[0]! | bytes[1]! << 8,
    procedure: decoder.decode(bytes.subarray(3, end)),
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
  new DataView(bytes.buffer).setUint32(0, id, true);
  bytes[4] = ok ? 1 : 0;
  bytes.set(payload, 5);
  return bytes;
}

/** What {@linkcode packRpcServed} packed. */
export function unpackRpcServed(
  bytes: Uint8Array,
): { id: number; ok: boolean; payload: Uint8Array } {
  const id = new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, true);
  return { id, ok: bytes[4] === 1, payload: bytes.subarray(5) };
}
