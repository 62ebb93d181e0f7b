/**
 * The handshake of two nodes that share a key, on a connection: before it neither says anything,
 * and a program without the key learns only that there is one.
 */

import { NOISE_OVERHEAD_BYTES } from "../../ffi/abi.ts";
import type { TdsmLibrary } from "../../ffi/library.ts";
import { NoiseError, NoiseHandshake, type Role } from "../../ffi/noise.ts";
import { suitesOf } from "../../ffi/seal.ts";
import { TdsmError } from "../errors.ts";
import { noted } from "../event_loop.ts";
import { DISCARDED_MAX_BYTES } from "../limits.ts";
import { PROTOCOL_VERSION } from "../wire/layout.ts";
import { keyPreamble, type Preamble, PREAMBLE_BYTES, readPreamble } from "./preamble.ts";
import { SealedConnection, type Stream } from "./sealed_connection.ts";

/** What a node has to know for a handshake. */
export interface Secret {
  /** The key of the cluster, of 32 bytes. */
  readonly key: Uint8Array;
  /** Whether frames may travel in the clear, where the other side says so too. */
  readonly plain: boolean;
  /** Seals and opens. */
  readonly library: TdsmLibrary;
}

/** A mode's bit, beside those of the suites: the frames behind the first travel in the clear. */
const PLAIN = 4;
/** Of both messages: one byte of modes, and three that are zero. */
const PAYLOAD_BYTES = 4;
const MESSAGE_BYTES: number = NOISE_OVERHEAD_BYTES + PAYLOAD_BYTES;

/**
 * The side that has connected: proves that it has the key, and has the other side prove the same.
 *
 * @param connection The connection. It is not closed where the handshake fails.
 * @param secret The key.
 * @returns What frames are said on from here on.
 * @throws {TdsmError} `KeyMismatch` where the other side has no key, or another; `VersionMismatch`;
 * `ProtocolViolation` where it is no node; `PeerLost` where it has closed the connection without a
 * word.
 */
export async function proveKey(connection: Stream, secret: Secret): Promise<SealedConnection> {
  const noise = begin("initiator", secret);
  const first = noise.write(payloadOf(modesOf(secret)));
  await writeAll(connection, keyPreamble(), first);
  const preamble = await readExactly(connection, PREAMBLE_BYTES);
  if (preamble === undefined) throw closed();
  requireKey(readPreamble(preamble));
  const second = await readExactly(connection, MESSAGE_BYTES);
  if (second === undefined) {
    throw mismatch("it has another key: give every node the same one, with --key-file or TDSM_KEY");
  }
  const payload = authentic(() => noise.read(second));
  const mode = payload[0]!;
  if (!isChoice(mode, modesOf(secret))) throw misspoken();
  return seal(connection, secret, { noise, mode, proven: true });
}

/**
 * The side that was connected to: tells a program without the key nothing but that there is one.
 *
 * @param connection The connection. It is not closed where the handshake fails.
 * @param secret The key.
 * @param known Called once the other side's first message is one that was made with the key, now or
 * earlier.
 * @returns What frames are said on from here on; the first record has been opened, so the other
 * side has the key.
 * @throws {TdsmError} As {@linkcode proveKey}.
 */
export async function demandKey(
  connection: Stream,
  secret: Secret,
  known: () => void = () => {},
): Promise<SealedConnection> {
  const preamble = await readExactly(connection, PREAMBLE_BYTES);
  if (preamble === undefined) throw closed();
  try {
    requireKey(readPreamble(preamble));
    const first = await readExactly(connection, MESSAGE_BYTES);
    if (first === undefined) throw closed();
    const noise = begin("responder", secret);
    const payload = authentic(() => noise.read(first));
    known();
    const mode = choose(payload[0]! & modesOf(secret));
    const second = authentic(() => noise.write(payloadOf(mode)));
    await writeAll(connection, keyPreamble(), second);
    const sealed = seal(connection, secret, { noise, mode, proven: false });
    await sealed.receiveFirst();
    return sealed;
  } catch (error) {
    const isAnswered = error instanceof TdsmError && error.code !== "PeerLost" &&
      error.code !== "FrameCorrupted";
    if (isAnswered) await dismiss(connection);
    throw error;
  }
}

/** Both messages were said: from here on the connection is sealed, as the mode says. */
function seal(
  connection: Stream,
  { library }: Secret,
  { noise, mode, proven }: { noise: NoiseHandshake; mode: number; proven: boolean },
): SealedConnection {
  return new SealedConnection(connection, {
    library,
    keys: noise.split(),
    suite: mode & ~PLAIN,
    plain: (mode & PLAIN) !== 0,
    proven,
  });
}

/**
 * Both preambles are in the prologue. Any other than this is refused, so both are known beforehand.
 */
function begin(role: Role, { key, library }: Secret): NoiseHandshake {
  const prologue = new Uint8Array(2 * PREAMBLE_BYTES);
  prologue.set(keyPreamble());
  prologue.set(keyPreamble(), PREAMBLE_BYTES);
  return new NoiseHandshake(library, role, key, prologue);
}

function modesOf({ plain, library }: Secret): number {
  return suitesOf(library) | (plain ? PLAIN : 0);
}

/** The suite with the lowest bit, which is the fastest, of those that both sides do well. */
function choose(common: number): number {
  const suites = common & ~PLAIN;
  if (suites === 0) throw misspoken();
  return (suites & -suites) | (common & PLAIN);
}

/** Whether a mode is one that this side has offered. */
function isChoice(mode: number, offered: number): boolean {
  const suite = mode & ~PLAIN;
  return (mode & ~offered) === 0 && suite !== 0 && (suite & (suite - 1)) === 0;
}

function payloadOf(modes: number): Uint8Array {
  return new Uint8Array(PAYLOAD_BYTES).with(0, modes);
}

/** Goes on with a handshake; what cannot be accepted has been made with another key. */
function authentic<Result>(step: () => Result): Result {
  try {
    return step();
  } catch (error) {
    if (!(error instanceof NoiseError)) throw error;
    throw mismatch("it has another key, or something on the way changes what is sent");
  }
}

/** Refuses a side that is not a node of this version with a key. */
function requireKey(preamble: Preamble): void {
  switch (preamble.kind) {
    case "key":
      return;
    case "frame":
      throw mismatch("it has no key, and this node has one: give a key to all nodes or to none");
    case "version":
      throw new TdsmError(
        "VersionMismatch",
        `it speaks protocol version ${preamble.version}, this is ${PROTOCOL_VERSION}: ` +
          "run the same release on every node",
      );
    case "stranger":
      throw new TdsmError("ProtocolViolation", "it does not begin like a node");
    default:
      preamble satisfies never;
  }
}

function mismatch(reason: string): TdsmError {
  return new TdsmError("KeyMismatch", reason);
}

function misspoken(): TdsmError {
  return new TdsmError("ProtocolViolation", "it has the key, and names a way to seal there is not");
}

function closed(): TdsmError {
  return new TdsmError("PeerLost", "the other side closed the connection");
}

/**
 * Says that this node has a key, and nothing else. What the other side has sent is read, to a
 * bound: a socket that is closed with unread bytes is reset, and the word may be lost with it.
 */
async function dismiss(connection: Stream): Promise<void> {
  try {
    await writeAll(connection, keyPreamble());
    await noted(connection.closeWrite());
    const bytes = new Uint8Array(1024);
    for (let read = 0; read < DISCARDED_MAX_BYTES;) {
      const count = await noted(connection.read(bytes));
      if (count === null) return;
      read += count;
    }
  } catch {
    // The other side is gone.
  }
}

async function writeAll(connection: Stream, ...parts: readonly Uint8Array[]): Promise<void> {
  const bytes = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let end = 0;
  for (const part of parts) {
    bytes.set(part, end);
    end += part.length;
  }
  for (let sent = 0; sent < bytes.length;) {
    sent += await noted(connection.write(bytes.subarray(sent)));
  }
}

/** Reads so many bytes and none behind them; `undefined` where the other side ends before. */
async function readExactly(
  connection: Stream,
  length: number,
): Promise<Uint8Array<ArrayBuffer> | undefined> {
  const bytes = new Uint8Array(length);
  for (let end = 0; end < length;) {
    const count = await noted(connection.read(bytes.subarray(end)));
    if (count === null) return undefined;
    end += count;
  }
  return bytes;
}
