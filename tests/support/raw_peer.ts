/**
 * The other side of a connection, without the runtime: it sends what no node of this version would.
 */

import { CONTROL_MAX_BYTES } from "../../runtime/limits.ts";
import {
  type Control,
  decodeControl,
  encodeControl,
  type HelloControl,
  ROOM_UNLIMITED,
} from "../../runtime/wire/control.ts";
import { encodePing, type PingMessage } from "../../runtime/wire/ping_frames.ts";
import { FRAME_HEADER_BYTES, Offset, PROTOCOL_VERSION } from "../../runtime/wire/layout.ts";

/**
 * Makes the frame of a message about the cluster.
 *
 * @param message The message.
 * @param version The version in its header.
 * @returns The frame.
 */
export function controlFrame(
  message: Control | PingMessage,
  version: number = PROTOCOL_VERSION,
): Uint8Array {
  const bytes = new Uint8Array(CONTROL_MAX_BYTES);
  const size = message.kind === "ping"
    ? encodePing(message, bytes, 0)
    : encodeControl(message, bytes, 0);
  bytes[Offset.Version] = version;
  return bytes.slice(0, size);
}

/** The first message of a node that wants to join. */
export const HELLO: HelloControl = {
  kind: "hello",
  protocolVersion: PROTOCOL_VERSION,
  session: 0n,
  node: 0,
  address: "127.0.0.1",
  port: 1,
  serving: true,
  release: "test",
};

/** The first ping of a node that has received none. */
export const PING: PingMessage = {
  kind: "ping",
  sent: 1,
  echo: 0,
  room: ROOM_UNLIMITED,
  spare: ROOM_UNLIMITED,
  threads: 1,
};

/**
 * Reads a connection until its other side ends it.
 *
 * @param connection The connection.
 * @returns All bytes that came, also where the connection was reset at last.
 */
export async function readAll(connection: Deno.Conn): Promise<Uint8Array> {
  const all: number[] = [];
  const chunk = new Uint8Array(4096);
  try {
    for (;;) {
      const count = await connection.read(chunk);
      if (count === null) break;
      all.push(...chunk.subarray(0, count));
    }
  } catch (error) {
    if (!(error instanceof Deno.errors.ConnectionReset)) throw error;
  }
  return new Uint8Array(all);
}

/**
 * Reads the control message at the head of some bytes.
 *
 * @param bytes The bytes.
 * @returns The message; `undefined` where there is none.
 */
export function firstControl(bytes: Uint8Array): Control | undefined {
  if (bytes.length < FRAME_HEADER_BYTES) return undefined;
  const length = new DataView(bytes.buffer, bytes.byteOffset).getUint32(Offset.Length, true);
  const decoded = decodeControl(bytes.subarray(FRAME_HEADER_BYTES, length));
  return "control" in decoded ? decoded.control : undefined;
}
