/**
 * The handshake of two programs that share a key: Noise_NNpsk0_25519_AESGCM_SHA256, over WebCrypto.
 * Two messages; with them both sides know that the other has the key, and have two fresh keys, one
 * for each direction. A key that is found later does not open what was said before.
 *
 * Nothing here reads, writes or waits for a connection.
 */

import { noted } from "../event_loop.ts";
import { KEY_BYTES, NOISE_PAYLOAD_MAX_BYTES } from "../limits.ts";

/** Bytes as WebCrypto takes them. */
type Bytes = Uint8Array<ArrayBuffer>;

/** The bytes of the public half of an ephemeral key pair, which each message begins with. */
export const EPHEMERAL_BYTES = 32;
/** The bytes of the tag behind what is sealed. */
export const TAG_BYTES = 16;
/** How much longer a message is than its payload, in bytes. */
export const MESSAGE_OVERHEAD_BYTES: number = EPHEMERAL_BYTES + TAG_BYTES;

/** The name of the protocol, which has exactly the bytes of a hash. */
const PROTOCOL_NAME = "Noise_NNpsk0_25519_AESGCM_SHA256";

/** Why a message of the other side cannot be accepted. */
export type NoiseReason =
  /** It is shorter than any message. */
  | "MessageTooShort"
  /** It is longer than any message may be. */
  | "MessageTooLong"
  /**
   * Its sender does not have the key, or bytes were changed, or it belongs to another handshake.
   */
  | "NotAuthentic"
  /** It has a public key that makes the shared secret the same for everybody. */
  | "WeakEphemeral";

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
  WeakEphemeral: "a message has a public key that cannot be used",
};

/** Which side of a handshake a program is. */
export type Role = "initiator" | "responder";

/** A key pair for one handshake. */
export interface Ephemeral {
  /** The public half, as it travels. */
  readonly publicBytes: Bytes;
  readonly privateKey: CryptoKey;
}

/** The keys of a connection after a handshake, one for each direction. */
export interface TransportKeys {
  /** For what this side sends. */
  readonly send: Bytes;
  /** For what this side receives. */
  readonly receive: Bytes;
}

/** What is done next. */
type Step = "first" | "second" | "split" | "over";

/** One side of one handshake. */
export class NoiseHandshake {
  readonly #role: Role;
  readonly #makeEphemeral: () => Promise<Ephemeral>;
  /** The hash of all that was said. */
  #hash: Bytes;
  #chainingKey: Bytes;
  /** Seals the next payload. Each payload has a key of its own, so the nonce is always 0. */
  #cipherKey: Bytes;
  #ephemeral: Ephemeral | undefined;
  /** The public key of the other side, once it is known. */
  #remote: Bytes | undefined;
  #step: Step = "first";

  private constructor(
    role: Role,
    makeEphemeral: () => Promise<Ephemeral>,
    hash: Bytes,
    [chainingKey, cipherKey]: readonly Bytes[],
  ) {
    this.#role = role;
    this.#makeEphemeral = makeEphemeral;
    this.#hash = hash;
    this.#chainingKey = chainingKey!;
    this.#cipherKey = cipherKey!;
  }

  /**
   * Begins a handshake.
   *
   * @param role The side: the initiator sends the first message.
   * @param key The key that both sides share, of {@linkcode KEY_BYTES}.
   * @param prologue What both sides must have seen alike before.
   * @param makeEphemeral Makes this side's key pair; a random one where this is left out.
   * @returns The handshake.
   */
  static async begin(
    role: Role,
    key: Uint8Array,
    prologue: Uint8Array,
    makeEphemeral: () => Promise<Ephemeral> = randomEphemeral,
  ): Promise<NoiseHandshake> {
    if (key.length !== KEY_BYTES) throw new RangeError(`A key has ${KEY_BYTES} bytes`);
    const name = new TextEncoder().encode(PROTOCOL_NAME);
    const begun = await hashOf(name, prologue);
    const [chainingKey, mixed, cipherKey] = await derive(name, key, 3);
    const hash = await hashOf(begun, mixed!);
    return new NoiseHandshake(role, makeEphemeral, hash, [chainingKey!, cipherKey!]);
  }

  /**
   * The hash of all that was said so far; once both messages are there, the same at both sides
   * only.
   */
  get hash(): Uint8Array {
    return this.#hash;
  }

  /**
   * Makes this side's message: the first of the initiator, the second of the responder.
   *
   * @param payload What the message carries; of the first message, others can send it again.
   * @returns The message, {@linkcode MESSAGE_OVERHEAD_BYTES} longer than its payload.
   */
  async write(payload: Uint8Array): Promise<Bytes> {
    this.#enter(this.#role === "initiator" ? "first" : "second");
    if (payload.length > NOISE_PAYLOAD_MAX_BYTES) throw new RangeError("The payload is too long");
    this.#ephemeral = await this.#makeEphemeral();
    await this.#mixPublic(this.#ephemeral.publicBytes);
    const sealed = await seal(this.#cipherKey, this.#hash, payload);
    this.#hash = await hashOf(this.#hash, sealed);
    return join(this.#ephemeral.publicBytes, sealed);
  }

  /**
   * Takes the other side's message.
   *
   * @param message All of its bytes.
   * @returns Its payload.
   * @throws {NoiseError} Where the message cannot be accepted.
   */
  async read(message: Uint8Array): Promise<Bytes> {
    this.#enter(this.#role === "initiator" ? "second" : "first");
    const payloadBytes = message.length - MESSAGE_OVERHEAD_BYTES;
    if (payloadBytes < 0) throw this.#refuse("MessageTooShort");
    if (payloadBytes > NOISE_PAYLOAD_MAX_BYTES) throw this.#refuse("MessageTooLong");
    this.#remote = message.slice(0, EPHEMERAL_BYTES);
    await this.#mixPublic(this.#remote);
    const sealed = message.slice(EPHEMERAL_BYTES);
    const payload = await open(this.#cipherKey, this.#hash, sealed);
    if (payload === undefined) throw this.#refuse("NotAuthentic");
    this.#hash = await hashOf(this.#hash, sealed);
    return payload;
  }

  /**
   * Ends the handshake, once both messages are there.
   *
   * @returns The keys of the connection.
   */
  async split(): Promise<TransportKeys> {
    this.#enter("split");
    const [first, second] = await derive(this.#chainingKey, new Uint8Array(), 2);
    return this.#role === "initiator"
      ? { send: first!, receive: second! }
      : { send: second!, receive: first! };
  }

  /** Goes on to a step; a caller that mixes them up has a bug. */
  #enter(step: Exclude<Step, "over">): void {
    if (this.#step !== step) throw new Error(`The handshake is at ${this.#step}, not at ${step}`);
    this.#step = step === "first" ? "second" : step === "second" ? "split" : "over";
  }

  #refuse(reason: NoiseReason): NoiseError {
    this.#step = "over";
    return new NoiseError(reason);
  }

  /**
   * Takes the public key at the head of a message; of the second message, the shared secret, too.
   */
  async #mixPublic(publicBytes: Bytes): Promise<void> {
    this.#hash = await hashOf(this.#hash, publicBytes);
    await this.#mixKey(publicBytes);
    if (this.#ephemeral === undefined || this.#remote === undefined) return;
    const secret = await sharedSecret(this.#ephemeral.privateKey, this.#remote);
    if (secret === undefined) throw this.#refuse("WeakEphemeral");
    await this.#mixKey(secret);
  }

  async #mixKey(material: Bytes): Promise<void> {
    const [chainingKey, cipherKey] = await derive(this.#chainingKey, material, 2);
    this.#chainingKey = chainingKey!;
    this.#cipherKey = cipherKey!;
  }
}

async function randomEphemeral(): Promise<Ephemeral> {
  const { publicKey, privateKey } = await noted(
    crypto.subtle.generateKey("X25519", false, ["deriveBits"]),
  ) as CryptoKeyPair;
  const publicBytes = new Uint8Array(await noted(crypto.subtle.exportKey("raw", publicKey)));
  return { publicBytes, privateKey };
}

/**
 * The secret of two key pairs; `undefined` where the other side's public key yields one that all
 * know.
 */
async function sharedSecret(privateKey: CryptoKey, remote: Bytes): Promise<Bytes | undefined> {
  const publicKey = await noted(crypto.subtle.importKey("raw", remote, "X25519", false, []));
  try {
    const algorithm = { name: "X25519", public: publicKey };
    return new Uint8Array(await noted(crypto.subtle.deriveBits(algorithm, privateKey, 256)));
  } catch {
    // WebCrypto refuses a secret of zeros, which is what each public key of small order yields.
    return undefined;
  }
}

async function hashOf(before: Bytes, data: Uint8Array): Promise<Bytes> {
  return new Uint8Array(await noted(crypto.subtle.digest("SHA-256", join(before, data))));
}

/**
 * Noise's HKDF, which is that of RFC 5869 with the chaining key as its salt and nothing as its
 * info.
 */
async function derive(chainingKey: Bytes, material: Uint8Array, outputs: number): Promise<Bytes[]> {
  const { subtle } = crypto;
  const key = await noted(
    subtle.importKey("raw", material.slice(), "HKDF", false, ["deriveBits"]),
  );
  const algorithm = { name: "HKDF", hash: "SHA-256", salt: chainingKey, info: new Uint8Array() };
  const bits = new Uint8Array(
    await noted(subtle.deriveBits(algorithm, key, outputs * 8 * KEY_BYTES)),
  );
  return Array.from({ length: outputs }, (_, i) => bits.slice(i * KEY_BYTES, (i + 1) * KEY_BYTES));
}

/** Twelve zeros: four that Noise demands, and the number of the payload under its key. */
const NONCE = new Uint8Array(12);

async function seal(key: Bytes, said: Bytes, payload: Uint8Array): Promise<Bytes> {
  const { subtle } = crypto;
  const cipherKey = await noted(subtle.importKey("raw", key, "AES-GCM", false, ["encrypt"]));
  const algorithm = { name: "AES-GCM", iv: NONCE, additionalData: said };
  return new Uint8Array(await noted(subtle.encrypt(algorithm, cipherKey, payload.slice())));
}

/** Returns nothing where the tag is wrong. */
async function open(key: Bytes, said: Bytes, sealed: Bytes): Promise<Bytes | undefined> {
  const { subtle } = crypto;
  const cipherKey = await noted(subtle.importKey("raw", key, "AES-GCM", false, ["decrypt"]));
  const algorithm = { name: "AES-GCM", iv: NONCE, additionalData: said };
  try {
    return new Uint8Array(await noted(subtle.decrypt(algorithm, cipherKey, sealed)));
  } catch {
    return undefined;
  }
}

function join(first: Uint8Array, second: Uint8Array): Bytes {
  const both = new Uint8Array(first.length + second.length);
  both.set(first);
  both.set(second, first.length);
  return both;
}
