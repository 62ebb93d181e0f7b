/** Sealing and opening what one direction of a connection carries, by `libtdsm.so`. */

import {
  SEAL_HEADER_BYTES,
  SEAL_KEY_BYTES,
  SEAL_OVERHEAD_BYTES,
  SEAL_RECORD_MAX_BYTES,
  SEAL_STATE,
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

  /** How many bytes the last {@linkcode SealState.open} was done with. */
  get taken(): number {
    return this.#taken[0]!;
  }

  #check(operation: string, result: number): number {
    if (result >= 0) return result;
    if (result === -STATUSES.not_authentic) {
      const why =
        "what arrives is not what the other side has sealed: something on the way changes it";
      throw new TdsmError("FrameCorrupted", why);
    }
    throw statusError(`${operation} what nodes say to each other`, result, 0);
  }
}
