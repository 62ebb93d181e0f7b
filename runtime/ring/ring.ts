/**
 * A ring of records in shared memory, with a single writer and a single reader, each a thread of
 * the program or the engine. Positions only grow (modulo 2^32); a reader waits on the writer's
 * position, and a writer for whom there is no room on the reader's.
 */

import { TdsmError } from "../errors.ts";
import { CALL_QUIET_MAX_BYTES, CALL_RING_BYTES } from "../limits.ts";

/**
 * Words of a ring, before its bytes. Each side has a cache line of its own, with its position in
 * it, and whether the other side has gone to sleep until that moves: to wake a thread that does not
 * sleep is a system call, too.
 */
export const RingWord = {
  Written: 0,
  ReaderWaits: 1,
  Read: 16,
  WriterWaits: 17,
  Words: 32,
} as const;
/** A record's header in words; the key has two of them, and is aligned as 64 bits must be. */
export const RecordWord = {
  Length: 0,
  Kind: 1,
  Call: 2,
  Code: 3,
  Count: 4,
  Id: 5,
  Key: 6,
} as const;
/**
 * How a side sleeps that has said so: in `Atomics.wait` or `waitAsync`, or, a thread of native code
 * (`zig/src/call_ring.zig`), in a futex of the kernel.
 */
const Sleep = { None: 0, InAtomics: 1, InKernel: 2 } as const;
/** The bytes of a header. Records begin at multiples of this, so that no header wraps around. */
const RECORD_HEADER_BYTES = 32;

/** Of this realm as it was before any node: rings are no part of a region. */
const { wait, waitAsync, notify } = Atomics;

/** The bytes of a ring, with its words. */
export const RING_BYTES: number = RingWord.Words * 4 + CALL_RING_BYTES;

/**
 * The contents of a record: fields of fixed width, and a payload of bytes. Both threads belong to
 * one program, so nothing is encoded or checked. What a field means depends on the record's kind.
 */
export interface RecordBody {
  /** The record's kind. */
  readonly kind: number;
  /** 32 bits: an operation, or the status of one. */
  readonly code: number;
  /** 32 bits: a count. */
  readonly count: number;
  /** 32 bits: a small number that names something, such as a node or a lock. */
  readonly id: number;
  /** 64 bits: a large number that names something, such as a semaphore. */
  readonly key: bigint;
  /** A name, or bytes of the program. */
  readonly payload: Uint8Array;
}

/** One record of a ring. */
export interface RingRecord extends RecordBody {
  /** The caller's number for the call. */
  readonly call: number;
}

/** The payload of records that have none. */
export const NO_BYTES: Uint8Array = new Uint8Array(0);

/**
 * Makes a record's body.
 *
 * @param kind What the record is.
 * @param fields Its fields; a field that is left out is zero.
 * @returns The body.
 */
export function newBody(kind: number, fields: Partial<RecordBody> = {}): RecordBody {
  return {
    kind,
    code: fields.code ?? 0,
    count: fields.count ?? 0,
    id: fields.id ?? 0,
    key: fields.key ?? 0n,
    payload: fields.payload ?? NO_BYTES,
  };
}

/** Wakes the thread that sleeps in the kernel at the word with which an array begins. */
export type WakeInKernel = (word: Int32Array<SharedArrayBuffer>) => void;

/** A ring of records between two threads. */
export class Ring {
  readonly #words: Int32Array<SharedArrayBuffer>;
  readonly #header: Uint32Array;
  readonly #keys: BigUint64Array;
  readonly #bytes: Uint8Array;
  readonly #wakeInKernel: WakeInKernel;

  /**
   * @param buffer The shared memory.
   * @param offset Where the ring begins, in bytes.
   * @param wakeInKernel Wakes a thread of native code on the other side; left out where none can
   *   be.
   */
  constructor(
    buffer: SharedArrayBuffer,
    offset: number,
    wakeInKernel: WakeInKernel = () => {},
  ) {
    this.#wakeInKernel = wakeInKernel;
    const start = offset + RingWord.Words * 4;
    this.#words = new Int32Array(buffer, offset, RingWord.Words);
    this.#header = new Uint32Array(buffer, start, CALL_RING_BYTES / 4);
    this.#keys = new BigUint64Array(buffer, start, CALL_RING_BYTES / 8);
    this.#bytes = new Uint8Array(buffer, start, CALL_RING_BYTES);
  }

  /** The longest payload that fits, in bytes. */
  static readonly PAYLOAD_MAX_BYTES: number = CALL_RING_BYTES - RECORD_HEADER_BYTES;

  /**
   * Writes a record and wakes the reader.
   *
   * @param call The caller's number for the call.
   * @param body Its contents, with a payload of at most {@linkcode Ring.PAYLOAD_MAX_BYTES} bytes.
   * @param quiet Whether the reader need not be woken for this record, unless
   * {@linkcode CALL_QUIET_MAX_BYTES} wait already.
   * @returns `false` when there is no room now.
   * @throws {TdsmError} `LimitExceeded` when there would never be room.
   */
  push(call: number, body: RecordBody, quiet = false): boolean {
    const { payload } = body;
    const { length } = payload;
    if (length > Ring.PAYLOAD_MAX_BYTES) throw tooLong(length);
    const size = recordBytes(length);
    const written = Atomics.load(this.#words, RingWord.Written);
    const used = ((written - Atomics.load(this.#words, RingWord.Read)) >>> 0) + size;
    if (used > CALL_RING_BYTES) return false;
    const start = (written >>> 0) % CALL_RING_BYTES;
    const header = this.#header;
    const at = start / 4;
    header[at + RecordWord.Length] = length;
    header[at + RecordWord.Kind] = body.kind;
    header[at + RecordWord.Call] = call;
    header[at + RecordWord.Code] = body.code;
    header[at + RecordWord.Count] = body.count;
    header[at + RecordWord.Id] = body.id;
    this.#keys[(at + RecordWord.Key) / 2] = body.key;
    const from = (start + RECORD_HEADER_BYTES) % CALL_RING_BYTES;
    const head = CALL_RING_BYTES - from;
    if (length <= head) this.#bytes.set(payload, from);
    else {
      this.#bytes.set(payload.subarray(0, head), from);
      this.#bytes.set(payload.subarray(head), 0);
    }
    Atomics.store(this.#words, RingWord.Written, (written + size) | 0);
    if (!quiet || used > CALL_QUIET_MAX_BYTES) {
      this.#wake(RingWord.Written, RingWord.ReaderWaits);
    }
    return true;
  }

  /** Takes the oldest record; `undefined` when there is none. The payload is a copy. */
  pop(): RingRecord | undefined {
    const read = Atomics.load(this.#words, RingWord.Read);
    if (Atomics.load(this.#words, RingWord.Written) === read) return undefined;
    const start = (read >>> 0) % CALL_RING_BYTES;
    const header = this.#header;
    const at = start / 4;
    const length = header[at + RecordWord.Length]!;
    // Most records have no key: a constant costs no allocation.
    const keyless = (header[at + RecordWord.Key]! | header[at + RecordWord.Key + 1]!) === 0;
    const record = {
      kind: header[at + RecordWord.Kind]!,
      call: header[at + RecordWord.Call]!,
      code: header[at + RecordWord.Code]!,
      count: header[at + RecordWord.Count]!,
      id: header[at + RecordWord.Id]!,
      key: keyless ? 0n : this.#keys[(at + RecordWord.Key) / 2]!,
      payload: length === 0 ? NO_BYTES : this.#payload(start + RECORD_HEADER_BYTES, length),
    };
    Atomics.store(this.#words, RingWord.Read, (read + recordBytes(length)) | 0);
    this.#wake(RingWord.Read, RingWord.WriterWaits);
    return record;
  }

  /** Copies bytes out of the ring, where they may be in two parts. */
  #payload(start: number, length: number): Uint8Array {
    const payload = new Uint8Array(length);
    const from = start % CALL_RING_BYTES;
    const head = Math.min(length, CALL_RING_BYTES - from);
    payload.set(this.#bytes.subarray(from, from + head));
    if (head < length) payload.set(this.#bytes.subarray(0, length - head), head);
    return payload;
  }

  /** Blocks this thread until there is a record, `wakeReader` is called, or the time is up. */
  waitForRecord(timeoutMs: number): void {
    const read = this.readPosition;
    this.#sleeps(RingWord.ReaderWaits);
    wait(this.#words, RingWord.Written, read, timeoutMs);
  }

  /** Ends the waits for a record, though there is none. */
  wakeReader(): void {
    notify(this.#words, RingWord.Written);
    if (Atomics.load(this.#words, RingWord.ReaderWaits) === Sleep.InKernel) {
      this.#wakeInKernel(this.#words.subarray(RingWord.Written));
    }
  }

  /** The reader's position, in bytes. */
  get readPosition(): number {
    return Atomics.load(this.#words, RingWord.Read);
  }

  /** Resolves when the reader has come further than this; `undefined` when it has already. */
  untilReadBeyond(position: number): Promise<unknown> | undefined {
    this.#sleeps(RingWord.WriterWaits);
    const wakes = waitAsync(this.#words, RingWord.Read, position);
    return wakes.async ? wakes.value : undefined;
  }

  /**
   * Resolves when there is a record, or by `wakeReader`; `undefined` when there is a record
   * already.
   */
  untilRecord(): Promise<unknown> | undefined {
    const read = this.readPosition;
    this.#sleeps(RingWord.ReaderWaits);
    const wakes = waitAsync(this.#words, RingWord.Written, read);
    return wakes.async ? wakes.value : undefined;
  }

  /**
   * Writes a record; blocks this thread until there is room for it. `false` when the time is up.
   */
  pushSync(call: number, body: RecordBody, timeoutMs: number): boolean {
    const giveUpAt = performance.now() + timeoutMs;
    for (;;) {
      const read = this.readPosition;
      if (this.push(call, body)) return true;
      const leftMs = giveUpAt - performance.now();
      if (leftMs <= 0) return false;
      this.#sleeps(RingWord.WriterWaits);
      wait(this.#words, RingWord.Read, read, leftMs);
    }
  }

  /**
   * Announces a wait. The caller looks at the position once more afterwards; the other side moves
   * the position first and reads this word afterwards, so at least one side notices the other. Only
   * the side that wakes clears the word, because this thread may have two waits at the same time.
   */
  #sleeps(waits: number): void {
    Atomics.store(this.#words, waits, Sleep.InAtomics);
  }

  /** Wakes the other side, if it waits for a position that has moved. */
  #wake(position: number, waits: number): void {
    if (Atomics.load(this.#words, waits) === Sleep.None) return;
    const sleep = Atomics.exchange(this.#words, waits, Sleep.None);
    if (sleep === Sleep.InKernel) this.#wakeInKernel(this.#words.subarray(position));
    else if (sleep !== Sleep.None) notify(this.#words, position);
  }
}

function tooLong(bytes: number): TdsmError {
  const message =
    `Cannot hand over ${bytes} bytes between threads: at most ${Ring.PAYLOAD_MAX_BYTES}`;
  return new TdsmError("LimitExceeded", message, { operation: "call" });
}

function recordBytes(payloadBytes: number): number {
  return RECORD_HEADER_BYTES + Math.ceil(payloadBytes / RECORD_HEADER_BYTES) * RECORD_HEADER_BYTES;
}
