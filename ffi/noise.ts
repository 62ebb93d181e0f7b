/**
 * The handshake of two programs that share a key, by `libtdsm.so`:
 * Noise_NNpsk0_25519_AESGCM_SHA256. Two messages; with them both sides know that the other has the
 * key, and have two fresh keys, one for each direction. A key that is found later does not open
 * what was said before.
 *
 * Nothing here reads, writes or waits for a connection.
 */

import { KEY_BYTES, NOISE_PAYLOAD_MAX_BYTES } from "../runtime/limits.ts";
import { NOISE_OVERHEAD_BYTES, NOISE_STATE, statusError, STATUSES } from "./abi.ts";
import type { TdsmLibrary } from "./library.ts";

type Bytes = Uint8Array<ArrayBuffer>;

/** Why a message of the other side cannot be accepted. */
export type NoiseReason =
  /** It is shorter than any message. */
  | "MessageTooShort"
  /** It is longer than any message may be. */
  | "MessageTooLong"
  /**
   * Its sender does not have the key, or bytes were changed, or it belongs to another handshake; or
   * its public key makes the shared secret the same for everybody.
   */
  | "NotAuthentic";

/** A message of the other side cannot be accepted; the handshake is over. */
export class NoiseError extends Error {
  /** Always `"NoiseError"`. */
  override readonly name = "NoiseError";
  /** Why. */
  readonly reason: NoiseReason;

  /** @param reason Why. */
  constructor(reason: NoiseReason) {
    super(`the handshake failed: ${REASON_TEXTS[reason]}`);
    this.reason = reason;
  }
}

const REASON_TEXTS: Readonly<Record<NoiseReason, string>> = {
  MessageTooShort: "a message is too short",
  MessageTooLong: "a message is too long",
  NotAuthentic: "a message was not made with this key for this connection",
};

/** Which side of a handshake a program is, as the library numbers them. */
const ROLES = { initiator: 1, responder: 2 } as const;

/** Which side of a handshake a program is: the initiator sends the first message. */
export type Role = keyof typeof ROLES;

/** The keys of a connection after a handshake, one for each direction. */
export interface TransportKeys {
  /** For what this side sends. */
  readonly send: Bytes;
  /** For what this side receives. */
  readonly receive: Bytes;
}

/** One side of one handshake. */
export class NoiseHandshake {
  readonly #symbols: TdsmLibrary["symbols"];
  /** All secrets are in here until they are wiped: after a failure, and with the last call. */
  readonly #state = new Uint8Array(NOISE_STATE.size);

  /**
   * Begins a handshake.
   *
   * @param library The library.
   * @param role The side.
   * @param key The key that both sides share, of {@linkcode KEY_BYTES}.
   * @param prologue What both sides must have seen alike before.
   */
  constructor(library: TdsmLibrary, role: Role, key: Uint8Array, prologue: Uint8Array) {
    if (key.length !== KEY_BYTES) throw new RangeError(`A key has ${KEY_BYTES} bytes`);
    this.#symbols = library.symbols;
    this.#check(this.#symbols.tdsm_noise_begin(
      this.#state,
      ROLES[role],
      key as Bytes,
      prologue as Bytes,
      prologue.length,
    ));
  }

  /**
   * The hash of all that was said so far; once both messages are there, the same at both sides
   * only.
   */
  get hash(): Uint8Array {
    const { offset, size } = NOISE_STATE.fields.hash;
    return this.#state.slice(offset, offset + size);
  }

  /**
   * Makes this side's message: the first of the initiator, the second of the responder.
   *
   * @param payload What the message carries; of the first message, others can send it again.
   * @param secret The private half of this side's key pair, which is wiped; a random one where this
   * is left out.
   * @returns The message, {@linkcode NOISE_OVERHEAD_BYTES} longer than its payload.
   * @throws {NoiseError} Where the other side's public key cannot be used.
   */
  write(payload: Uint8Array, secret: Bytes = randomSecret()): Bytes {
    const { length } = payload;
    if (length > NOISE_PAYLOAD_MAX_BYTES) throw new RangeError("The payload is too long");
    const message = new Uint8Array(length + NOISE_OVERHEAD_BYTES);
    const bytes = payload as Bytes;
    const { tdsm_noise_write: write } = this.#symbols;
    try {
      this.#check(write(this.#state, bytes, length, secret, message));
    } finally {
      secret.fill(0);
    }
    return message;
  }

  /**
   * Takes the other side's message.
   *
   * @param message All of its bytes.
   * @returns Its payload.
   * @throws {NoiseError} Where the message cannot be accepted.
   */
  read(message: Uint8Array): Bytes {
    const length = message.length - NOISE_OVERHEAD_BYTES;
    if (length < 0) throw this.#refuse("MessageTooShort");
    if (length > NOISE_PAYLOAD_MAX_BYTES) throw this.#refuse("MessageTooLong");
    const payload = new Uint8Array(length);
    this.#check(this.#symbols.tdsm_noise_read(this.#state, message as Bytes, payload, length));
    return payload;
  }

  /**
   * Ends the handshake, once both messages are there.
   *
   * @returns The keys of the connection.
   */
  split(): TransportKeys {
    const send = new Uint8Array(KEY_BYTES);
    const receive = new Uint8Array(KEY_BYTES);
    this.#check(this.#symbols.tdsm_noise_split(this.#state, send, receive));
    return { send, receive };
  }

  #refuse(reason: NoiseReason): NoiseError {
    this.#state.fill(0);
    return new NoiseError(reason);
  }

  /** A call out of turn is a bug of the caller. */
  #check(result: number): void {
    if (result >= 0) return;
    if (result === -STATUSES.not_authentic) throw this.#refuse("NotAuthentic");
    throw statusError("go on with a handshake that is over, or not there yet", result, 0);
  }
}

function randomSecret(): Bytes {
  return crypto.getRandomValues(new Uint8Array(KEY_BYTES));
}
