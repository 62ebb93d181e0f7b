/**
 * Sealing and opening what a connection carries, by `libtdsm.so`: one direction by itself, whose
 * bytes Deno moves, or both, whose bytes go by the descriptor beneath the connection.
 */

import {
  SEAL_HEADER_BYTES,
  SEAL_KEY_BYTES,
  SEAL_OVERHEAD_BYTES,
  SEAL_RECORD_MAX_BYTES,
  SEAL_STATE,
  SEALED_LINK,
  statusError,
  STATUSES,
} from "./abi.ts";
import { TdsmError } from "../runtime/errors.ts";
import type { TdsmLibrary } from "./library.ts";
import { LITTLE_ENDIAN } from "./native_values.ts";

/** How to seal; each value is a bit, so that a node can say which of them it does well. */
export const Suite = {
  /** AEGIS-256, for processors with instructions for AES. */
  Aegis256: 1,
  /** ChaCha20-Poly1305, for any. */
  ChaCha20Poly1305: 2,
} as const;

/**
 * The suites that this machine does well.
 *
 * @param library The library.
 * @returns Bits of {@linkcode Suite}.
 */
export function suitesOf(library: TdsmLibrary): number {
  return library.symbols.tdsm_seal_suites();
}

/**
 * How many bytes some take once they are sealed.
 *
 * @param length How many there are.
 * @returns How many travel: those, and what each record takes beside what it carries.
 */
export function sealedBytes(length: number): number {
  return length + SEAL_OVERHEAD_BYTES * Math.ceil(length / SEAL_RECORD_MAX_BYTES);
}

/** One direction of a connection, at the end that seals or at the end that opens. */
export class SealState {
  readonly #symbols: TdsmLibrary["symbols"];
  /** The key is in here, and leaves it for nobody. */
  readonly #state = new Uint8Array(SEAL_STATE.size);
  readonly #taken = new Uint32Array(1);

  /**
   * @param library The library.
   * @param suite One of {@linkcode Suite}.
   * @param key The key of the direction, of {@linkcode SEAL_KEY_BYTES}; it must seal nothing else.
   * @throws {TdsmError} `InvalidOption` where this machine does not do the suite well.
   */
  constructor(library: TdsmLibrary, suite: number, key: Uint8Array<ArrayBuffer>) {
    if (key.length !== SEAL_KEY_BYTES) throw new RangeError(`A key has ${SEAL_KEY_BYTES} bytes`);
    this.#symbols = library.symbols;
    this.#check("seal", this.#symbols.tdsm_seal_begin(this.#state, suite, key));
  }

  /**
   * Seals bytes as the next records.
   *
   * @param plain The bytes, which may change meanwhile.
   * @param out Where the records go: room for {@linkcode sealedBytes}.
   * @returns How many bytes they take.
   */
  seal(plain: Uint8Array, out: Uint8Array<ArrayBuffer>): number {
    const { length } = plain;
    const bytes = plain as Uint8Array<ArrayBuffer>;
    return this.#check(
      "seal",
      this.#symbols.tdsm_seal(this.#state, bytes, length, out, out.length),
    );
  }

  /**
   * Opens the records that have arrived whole.
   *
   * @param sealed What has arrived and was not taken yet.
   * @param out Where to put what they carry: as much room as `sealed` has bytes.
   * @returns How many bytes of `out` they carried; {@linkcode SealState.taken} has how many of
   * `sealed` are done with.
   * @throws {TdsmError} `FrameCorrupted` where they are not what the other end has sealed.
   */
  open(sealed: Uint8Array<ArrayBuffer>, out: Uint8Array<ArrayBuffer>): number {
    const { length } = sealed;
    return this.#check(
      "open",
      this.#symbols.tdsm_seal_open(this.#state, sealed, length, out, out.length, this.#taken),
    );
  }

  /** How many bytes make the next header or the rest of a record whole. */
  get needed(): number {
    const { length } = SEAL_STATE.fields;
    const carries = new DataView(this.#state.buffer).getUint32(length.offset, LITTLE_ENDIAN);
    return carries === 0 ? SEAL_HEADER_BYTES : carries + SEAL_OVERHEAD_BYTES - SEAL_HEADER_BYTES;
  }

  /**
   * Hands the key and the number of what comes next to another memory, and forgets them: a number
   * that was used twice would give away what it has sealed.
   *
   * @param target As many bytes as there are in a `tdsm_seal_state`.
   */
  moveTo(target: Uint8Array): void {
    target.set(this.#state);
    this.#state.fill(0);
  }

  /** How many bytes the last {@linkcode SealState.open} was done with. */
  get taken(): number {
    return this.#taken[0]!;
  }

  #check(operation: string, result: number): number {
    if (result >= 0) return result;
    if (result === -STATUSES.not_authentic) throw notAuthentic();
    throw statusError(`${operation} what nodes say to each other`, result, 0);
  }
}

/** Why a sealed connection ends on which something was changed, dropped, repeated or moved. */
export function notAuthentic(): TdsmError {
  const why = "what arrives is not what the other side has sealed: something on the way changes it";
  return new TdsmError("FrameCorrupted", why);
}

/** Why a sealed connection ends whose other side has ended before all of a record was there. */
export function endedInside(): TdsmError {
  return new TdsmError("ProtocolViolation", "ended inside of a record");
}

/** Words of a `tdsm_sealed_link` before what is sealed. */
const LINK_WORDS = SEALED_LINK.fields.out.offset / 4;

/** Both directions of one end of a connection whose bytes the library moves. */
export class LinkSeal {
  /** The keys are in here, and leave it by {@linkcode LinkSeal.moveTo} only. */
  readonly #bytes: Uint8Array<ArrayBuffer>;
  readonly #words: Uint32Array;

  /**
   * @param memory A `tdsm_sealed_link`, at an address that 8 divides, such as one that another
   * thread has used; left out, a new one is made.
   */
  constructor(memory: Uint8Array = new Uint8Array(SEALED_LINK.size)) {
    this.#bytes = memory as Uint8Array<ArrayBuffer>;
    this.#words = new Uint32Array(memory.buffer, memory.byteOffset, LINK_WORDS);
  }

  /**
   * Goes on with a direction at its next record.
   *
   * @param direction Whether it is what this end sends, or what it receives.
   * @param state The direction's state, which is of no use from then on.
   * @param arrived What has arrived of the next record, less than all of it.
   */
  goOn(direction: "sends" | "receives", state: SealState, arrived?: Uint8Array): void {
    const { fields } = SEALED_LINK;
    const { offset, size } = fields[direction];
    state.moveTo(this.#bytes.subarray(offset, offset + size));
    if (arrived === undefined) return;
    this.#bytes.set(arrived, fields.in.offset);
    this.#words[fields.in_end.offset / 4] = arrived.length;
  }

  /**
   * Hands everything to another memory, and forgets it here: no number is used in both.
   *
   * @param target As many bytes as there are in a `tdsm_sealed_link`.
   */
  moveTo(target: Uint8Array): void {
    target.set(this.#bytes);
    this.#bytes.fill(0);
  }

  /** What calls of the library are given. */
  get memory(): Uint8Array<ArrayBuffer> {
    return this.#bytes;
  }

  /** How many sealed bytes the kernel has not taken. */
  get unsentBytes(): number {
    const { out_start, out_end } = SEALED_LINK.fields;
    return this.#words[out_end.offset / 4]! - this.#words[out_start.offset / 4]!;
  }

  /** Whether there is something to receive of which the kernel knows nothing. */
  get holds(): boolean {
    return this.#words[SEALED_LINK.fields.held.offset / 4] !== 0;
  }
}
