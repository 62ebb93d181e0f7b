/**
 * The bytes of remote calls: a header, a call's procedure as the frame's tail, and
 * behind the frame the arguments or the result, which only the program can read.
 */

import { RPC_MAX_BYTES, RPC_NAME_MAX_BYTES } from "../limits.ts";
import { checkBodySum, checkFlags, getPayloadSum } from "./check.ts";
import {
  FRAME_HEADER_BYTES,
  FRAME_PREFIX_BYTES,
  FrameType,
  Offset,
  putPrefix,
  sealFrame,
} from "./layout.ts";
import { type Malformed, malformed } from "./reason.ts";
import { getU32, putU32 } from "./bytes.ts";

/** Node → node: run a procedure; its arguments follow. */
export interface RpcCallMessage {
  readonly kind: "rpcCall";
  /** The caller's number for the call. */
  readonly ticket: number;
  /** 1 to 255 bytes of UTF-8. */
  readonly procedure: string;
}

/** Node → node: how a call ended; the result, or the failure, follows. */
export interface RpcAnswerMessage {
  readonly kind: "rpcAnswer";
  /** The caller's number for the call. */
  readonly ticket: number;
  /** Whether the procedure returned. */
  readonly ok: boolean;
}

/** A message of a remote call. */
export type RpcMessage = RpcCallMessage | RpcAnswerMessage;

/** What was decoded. */
export type RpcDecoded =
  | { readonly kind: "need"; readonly bytes: number }
  | {
    readonly kind: "rpc";
    readonly message: RpcMessage;
    readonly size: number;
    /** The bytes that follow the frame. */
    readonly payloadBytes: number;
    /** Their checksum, if they are to be checked. */
    readonly payloadChecksum: number | undefined;
  }
  | Malformed;

/** The most bytes of a frame of a remote call, without what follows it. */
export const RPC_FRAME_MAX_BYTES: number = FRAME_HEADER_BYTES + RPC_NAME_MAX_BYTES;

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/**
 * Writes the frame of a remote call.
 *
 * @param message The message.
 * @param payloadBytes The bytes that will follow.
 * @param target Where to write; {@linkcode RPC_FRAME_MAX_BYTES} from `offset` on are enough for
 *   any.
 * @param offset Where the frame begins, in bytes.
 * @param payloadChecksum The checksum of what will follow, if that is to be checked.
 * @returns The bytes written.
 * @throws {RangeError} Where the procedure's name is empty or too long, or the target too short for
 *   it.
 */
export function encodeRpc(
  message: RpcMessage,
  payloadBytes: number,
  target: Uint8Array,
  offset: number,
  payloadChecksum?: number,
): number {
  for (let at = FRAME_PREFIX_BYTES; at < FRAME_HEADER_BYTES; at++) target[offset + at] = 0;
  putU32(target, offset + Offset.Request, message.ticket);
  putU32(target, offset + Offset.PayloadBytes, payloadBytes);
  let size = FRAME_HEADER_BYTES;
  if (message.kind === "rpcCall") {
    const name = target.subarray(offset + size, offset + RPC_FRAME_MAX_BYTES);
    const { read, written } = encoder.encodeInto(message.procedure, name);
    if (read < message.procedure.length || read === 0) {
      throw new RangeError(`Cannot encode procedure ${JSON.stringify(message.procedure)}`);
    }
    size += written;
  } else target[offset + Offset.Content] = message.ok ? 1 : 0;
  const type = message.kind === "rpcCall" ? FrameType.RpcCall : FrameType.RpcAnswer;
  putPrefix(target, offset, size, type);
  sealFrame(target, offset, size, payloadChecksum);
  return size;
}

/**
 * Decodes a frame of a remote call whose header is there, as it was sent.
 *
 * @param type Which of the two.
 * @param bytes Where the frame is.
 * @param start Where it begins, in bytes.
 * @param available The bytes of it, and behind it, that have arrived.
 * @param length Its length, as it says.
 * @returns The message, or what is missing, or what is wrong.
 */
export function decodeRpcFrame(
  type: typeof FrameType.RpcCall | typeof FrameType.RpcAnswer,
  bytes: Uint8Array,
  start: number,
  available: number,
  length: number,
): RpcDecoded {
  const isCall = type === FrameType.RpcCall;
  const [least, most] = isCall
    ? [FRAME_HEADER_BYTES + 1, RPC_FRAME_MAX_BYTES]
    : [FRAME_HEADER_BYTES, FRAME_HEADER_BYTES];
  if (length < least || length > most) return malformed("LengthOutOfBounds", length);
  if (available < length) return { kind: "need", bytes: length - available };
  const damaged = checkBodySum(bytes, start, length) ?? checkFlags(bytes, start, true);
  if (damaged !== undefined) return damaged;
  const content = bytes[start + Offset.Content]!;
  if (content > (isCall ? 0 : 1)) return malformed("UnknownContent", content);
  for (let at = FRAME_PREFIX_BYTES; at < Offset.PayloadBytes; at++) {
    const used = at === Offset.Content || at === Offset.Flags ||
      (at >= Offset.Request && at < Offset.Request + 4);
    const value = bytes[start + at]!;
    if (!used && value !== 0) return malformed("UnusedFieldNotZero", value);
  }
  const payloadBytes = getU32(bytes, start + Offset.PayloadBytes);
  if (payloadBytes > RPC_MAX_BYTES) return malformed("RpcPayloadTooLong", payloadBytes);
  const payloadChecksum = getPayloadSum(bytes, start);
  const ticket = getU32(bytes, start + Offset.Request);
  if (!isCall) {
    const message: RpcMessage = { kind: "rpcAnswer", ticket, ok: content === 1 };
    return { kind: "rpc", message, size: length, payloadBytes, payloadChecksum };
  }
  try {
    const name = bytes.subarray(start + FRAME_HEADER_BYTES, start + length);
    const message: RpcMessage = { kind: "rpcCall", ticket, procedure: decoder.decode(name) };
    return { kind: "rpc", message, size: length, payloadBytes, payloadChecksum };
  } catch {
    return malformed("RpcNameInvalid", length);
  }
}
