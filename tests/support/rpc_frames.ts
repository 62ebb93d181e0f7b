/**
 * The messages of the frames of remote calls in `frames.txt`.
 */

import { RPC_MAX_BYTES } from "../../runtime/limits.ts";
import type { RpcMessage } from "../../runtime/wire/rpc_frames.ts";

/** A frame of a remote call. */
export interface RpcExample {
  /** Its line in `frames.txt`. */
  readonly label: string;
  readonly message: RpcMessage;
  /** The bytes of arguments or of a result that follow the frame. */
  readonly payloadBytes: number;
  /** The checksum of these bytes; where it is left out, they have none. */
  readonly payloadChecksum?: number;
}

/** Calls and answers. */
export const RPC_MESSAGES: readonly RpcExample[] = [
  {
    label: "remote call",
    message: { kind: "rpcCall", ticket: 0x0102_0304, procedure: "größe" },
    payloadBytes: 5,
    // Of "12345".
    payloadChecksum: 0x18d1_2335,
  },
  {
    label: "remote call of the longest arguments",
    message: { kind: "rpcCall", ticket: 0xffff_ffff, procedure: "x" },
    payloadBytes: RPC_MAX_BYTES,
  },
  {
    label: "remote answer",
    message: { kind: "rpcAnswer", ticket: 0x0102_0304, ok: true },
    payloadBytes: 9,
    // Of "123456789".
    payloadChecksum: 0xe306_9283,
  },
  {
    label: "remote failure",
    message: { kind: "rpcAnswer", ticket: 7, ok: false },
    payloadBytes: 0,
  },
];
