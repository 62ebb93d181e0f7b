/** Reading and writing the binary format of WebAssembly: every read is checked. */

import { TdsmError } from "../errors.ts";

/** The ids of sections. */
export const Section = {
  Custom: 0,
  Type: 1,
  Import: 2,
  Function: 3,
  Table: 4,
  Memory: 5,
  Global: 6,
  Export: 7,
  Start: 8,
  Element: 9,
  Code: 10,
  Data: 11,
  DataCount: 12,
  Tag: 13,
} as const;

/**
 * Refuses a module.
 *
 * @param problem What is wrong with it, and where.
 * @throws {TdsmError} Always.
 */
export function refuse(problem: string): never {
  const message = `Cannot rewrite the module: ${problem}`;
  throw new TdsmError("InvalidArgument", message, { operation: "rewrite" });
}

/** Writes bytes as messages have them. */
export function hex(bytes: Iterable<number>): string {
  return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join(" ");
}

/** A part of a module that is read from its first byte to its last. */
export class WasmReader {
  /** The whole module: places in messages count from its first byte. */
  readonly bytes: Uint8Array;
  /** The next byte. */
  at: number;
  /** Behind the last byte of the part. */
  readonly end: number;
  /** What the part is, for messages. */
  readonly #what: string;

  /**
   * @param bytes The whole module.
   * @param at The first byte of the part.
   * @param end Behind its last byte.
   * @param what What the part is, for messages.
   */
  constructor(bytes: Uint8Array, at: number, end: number, what: string) {
    this.bytes = bytes;
    this.at = at;
    this.end = end;
    this.#what = what;
  }

  /** Whether all of it is read. */
  get done(): boolean {
    return this.at === this.end;
  }

  /** Reads a byte. */
  byte(): number {
    if (this.at >= this.end) this.#cut();
    return this.bytes[this.at++]!;
  }

  /** Passes over bytes. */
  skip(count: number): void {
    if (count > this.end - this.at) this.#cut();
    this.at += count;
  }

  /** Reads an unsigned number of up to 32 bits. */
  u32(): number {
    let value = 0;
    for (let shift = 0; shift < 28; shift += 7) {
      const byte = this.byte();
      value |= (byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
    const last = this.byte();
    if (last > 0x0f) this.#tooLarge(32);
    return (value | last << 28) >>> 0;
  }

  /** Reads an unsigned number of up to 64 bits. */
  u64(): bigint {
    let value = 0n;
    for (let shift = 0n; shift < 63n; shift += 7n) {
      const byte = this.byte();
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
    const last = this.byte();
    if (last > 1) this.#tooLarge(64);
    return value | BigInt(last) << 63n;
  }

  /** Passes over an unsigned number of up to 64 bits. */
  skipU64(): void {
    for (let left = 9; left > 0; left--) if (this.byte() < 0x80) return;
    if (this.byte() > 1) this.#tooLarge(64);
  }

  /** Passes over a signed number of up to so many bits. */
  skipSigned(bits: 32 | 33 | 64): void {
    let left = bits;
    for (; left > 7; left -= 7) if (this.byte() < 0x80) return;
    const last = this.byte();
    // What the number has no room for repeats its sign.
    const rest = last >> (left - 1);
    if (rest !== 0 && rest !== 0x7f >> (left - 1)) this.#tooLarge(bits);
  }

  /** Reads a text. */
  name(): string {
    const length = this.u32();
    const first = this.at;
    this.skip(length);
    try {
      return UTF8.decode(this.bytes.subarray(first, this.at));
    } catch {
      refuse(`the name at byte ${first} is not UTF-8`);
    }
  }

  /** The next bytes as a part of their own, which this one passes over. */
  part(bytes: number, what: string): WasmReader {
    const first = this.at;
    this.skip(bytes);
    return new WasmReader(this.bytes, first, this.at, what);
  }

  /** Refuses what follows the last thing that belongs here. */
  finish(): void {
    if (!this.done) refuse(`${this.#what} has more than belongs there, from byte ${this.at} on`);
  }

  #cut(): never {
    refuse(
      `${this.#what} ends too early, at byte ${this.end}; look whether the file is whole`,
    );
  }

  #tooLarge(bits: number): never {
    refuse(`the number that ends at byte ${this.at - 1} has more than ${bits} bits`);
  }
}

const UTF8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** The room that a writer begins with, in bytes. */
const FIRST_ROOM_BYTES = 1024;

/** Bytes of a module that are written one after the other. */
export class WasmWriter {
  #bytes = new Uint8Array(FIRST_ROOM_BYTES);
  #length = 0;

  /** What is written so far; good until the next write. */
  get bytes(): Uint8Array<ArrayBuffer> {
    return this.#bytes.subarray(0, this.#length);
  }

  /** Forgets what is written. */
  clear(): void {
    this.#length = 0;
  }

  /** Writes a byte. */
  byte(value: number): void {
    this.#room(1);
    this.#bytes[this.#length++] = value;
  }

  /** Writes bytes of a module as they are. */
  copy(source: Uint8Array, first = 0, end = source.length): void {
    this.#room(end - first);
    if (end - first > COPY_LOOP_BYTES) {
      this.#bytes.set(source.subarray(first, end), this.#length);
      this.#length += end - first;
    } else {
      for (let at = first; at < end; at++) this.#bytes[this.#length++] = source[at]!;
    }
  }

  /** Writes an unsigned number of up to 32 bits. */
  u32(value: number): void {
    for (; value >= 0x80; value >>>= 7) this.byte(value & 0x7f | 0x80);
    this.byte(value);
  }

  /** Writes an unsigned number of up to 64 bits. */
  u64(value: bigint): void {
    for (; value >= 0x80n; value >>= 7n) this.byte(Number(value & 0x7fn) | 0x80);
    this.byte(Number(value));
  }

  /** Writes a signed number of up to 64 bits. */
  signed(value: bigint): void {
    for (; value < -0x40n || value > 0x3fn; value >>= 7n) {
      this.byte(Number(value & 0x7fn) | 0x80);
    }
    this.byte(Number(value & 0x7fn));
  }

  /** Writes a text. */
  name(text: string): void {
    this.sized(new TextEncoder().encode(text));
  }

  /** Writes how many bytes there are, and the bytes. */
  sized(bytes: Uint8Array): void {
    this.u32(bytes.length);
    this.copy(bytes);
  }

  /** Writes a section. */
  section(id: number, content: WasmWriter): void {
    this.byte(id);
    this.sized(content.bytes);
  }

  #room(bytes: number): void {
    if (this.#length + bytes <= this.#bytes.length) return;
    const larger = new Uint8Array(Math.max(2 * this.#bytes.length, this.#length + bytes));
    larger.set(this.bytes);
    this.#bytes = larger;
  }
}

/** Up to so many bytes a loop copies faster than `set`, which makes a view first. */
const COPY_LOOP_BYTES = 32;
