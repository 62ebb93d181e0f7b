/**
 * The receive buffer of one connection: bytes go in as they arrive, frames come out. The buffer
 * never grows, because the longest frame fits, and page bytes need not pass through it.
 */

import { CONTROL_MAX_BYTES } from "../limits.ts";
import { type Decoded, decodeFrame } from "./page_frames.ts";
import type { FrameBounds } from "./check.ts";
import type { Malformed } from "./reason.ts";
import { type Control, decodeControl } from "./control.ts";

/** What {@linkcode Framer.next} found. */
export type Frame =
  /** No whole frame; at least this many more bytes are needed. */
  | Extract<Decoded, { kind: "need" }>
  /**
   * A message about pages. Where `payloadBytes` is not 0, {@linkcode Framer.takePayload} is next.
   */
  | Extract<Decoded, { kind: "message" }>
  /** A message about a semaphore, a barrier or a mutex. */
  | Extract<Decoded, { kind: "sync" | "rpc" }>
  /** A sign of life. */
  | Extract<Decoded, { kind: "ping" }>
  /** A control message. */
  | { readonly kind: "control"; readonly control: Control }
  /** Bytes that are not of the protocol, after which this framer yields no frame. */
  | Malformed;

/** Cuts what arrives on one connection into frames. */
export class Framer {
  readonly #buffer = new Uint8Array(CONTROL_MAX_BYTES);
  /** The bytes that have arrived and were not taken are those from `#start` to `#end`. */
  #start = 0;
  #end = 0;
  /** The bytes of the frame at `#start`, as far as they are known. */
  #frameBytes = 0;
  /** The page bytes that must be taken before the next frame. */
  #payloadBytes = 0;

  /**
   * Returns where to read into: at least one byte, once {@linkcode next} has said that it needs
   * more. A call may move the buffered bytes, so call it before each read, and not while a read is
   * under way.
   */
  get space(): Uint8Array {
    if (this.#start === this.#end) {
      this.#start = this.#end = 0;
    } else if (this.#start + this.#frameBytes > this.#buffer.length) {
      this.#buffer.copyWithin(0, this.#start, this.#end);
      this.#end -= this.#start;
      this.#start = 0;
    }
    return this.#end === 0 ? this.#buffer : this.#buffer.subarray(this.#end);
  }

  /**
   * Notes bytes that were read into {@linkcode space}.
   *
   * @param bytes How many.
   * @throws {RangeError} When that is more than there was space for.
   */
  filled(bytes: number): void {
    if (this.#end + bytes > this.#buffer.length) {
      throw new RangeError(`No space for ${bytes} bytes`);
    }
    this.#end += bytes;
  }

  /**
   * Takes the next frame.
   *
   * @param bounds The region's measures; without them, control frames are taken and no others.
   * @returns The frame, or what is missing, or what is wrong.
   * @throws {Error} Where page bytes were not taken.
   */
  next(bounds: FrameBounds | undefined): Frame {
    if (this.#payloadBytes !== 0) throw new Error("The page bytes of the last frame are not taken");
    const decoded = decodeFrame(this.#buffer, this.#start, this.#end, bounds);
    switch (decoded.kind) {
      case "need":
        this.#frameBytes = this.#end - this.#start + decoded.bytes;
        return decoded;
      case "message":
      case "rpc":
        this.#start += decoded.size;
        this.#payloadBytes = decoded.payloadBytes;
        return decoded;
      case "sync":
      case "ping":
        this.#start += decoded.size;
        return decoded;
      case "control": {
        const control = decodeControl(decoded.body);
        if (control.kind === "control") this.#start += decoded.size;
        return control;
      }
      case "malformed":
        return decoded;
      default:
        return decoded satisfies never;
    }
  }

  /**
   * Takes the page bytes that have arrived after a message. The rest is to be read from the
   * connection straight to where it belongs, before {@linkcode space} is read into again.
   *
   * @param target Where all of them go: exactly the message's `payloadBytes`.
   * @returns How many were there, from the beginning of `target` on.
   * @throws {RangeError} Where `target` is of another length.
   */
  takePayload(target: Uint8Array): number {
    if (target.length !== this.#payloadBytes) {
      throw new RangeError(`${this.#payloadBytes} page bytes do not fit ${target.length} exactly`);
    }
    const bytes = Math.min(target.length, this.#end - this.#start);
    target.set(this.#buffer.subarray(this.#start, this.#start + bytes));
    this.#start += bytes;
    this.#payloadBytes = 0;
    return bytes;
  }
}
