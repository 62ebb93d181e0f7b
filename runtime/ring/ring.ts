/**
 * The channel between a program's threads and the engine: byte rings in one SharedArrayBuffer.
 *
 * Each thread of the program has a slot with two rings, one for calls and one for answers, each
 * with a single writer and a single reader. Positions only grow (modulo 2^32); a reader waits on
 * the writer's position. The engine polls while there is work. Before it sleeps it sets a word in
 * the buffer, and a thread that then writes a call kicks the engine awake.
 */

import { TdsmError } from "../errors.ts";
import {
  CALL_QUIET_MAX_BYTES,
  CALL_RING_BYTES,
  CALL_SLOTS_MAX,
  FAILURE_TEXT_MAX,
  NODES_MAX,
  PEERS_LOOKS_MAX,
} from "../limits.ts";

/** Rings begin at a cache line. */
function align(words: number): number {
  return Math.ceil(words / 16) * 16;
}

/** Words at the start of the buffer. */
const Control = {
  Asleep: 0,
  Slots: 1,
  Ended: 2,
  Closing: 3,
  /** The bytes of the reason why the node cannot go on; 0 while it can. */
  Failure: 4,
  /** Whether a thread has found every slot taken. */
  Wanted: 5,
  /** Counts the slots that were released. */
  Released: 6,
  /** Of each slot the thread that has it, as two words; 0 for none. */
  Threads: 16,
  NextCall: 16 + 2 * CALL_SLOTS_MAX,
  /** Odd while the list of peers is written. */
  PeersVersion: 16 + 3 * CALL_SLOTS_MAX,
  PeerCount: 17 + 3 * CALL_SLOTS_MAX,
  Peers: 18 + 3 * CALL_SLOTS_MAX,
  Words: align(18 + 3 * CALL_SLOTS_MAX + NODES_MAX),
} as const;

/** Stands for a thread of which it is not known whether it has ended. */
export const UNKNOWN_THREAD: bigint = 2n ** 64n - 1n;
/**
 * Words of a ring, before its bytes. Each side has a cache line of its own, with its position in
 * it, and whether the other side has gone to sleep until that moves: to wake a thread that does not
 * sleep is a system call, too.
 */
const RingWord = { Written: 0, ReaderWaits: 1, Read: 16, WriterWaits: 17, Words: 32 } as const;
/** A record's header in words; the key has two of them, and is aligned as 64 bits must be. */
const RecordWord = { Length: 0, Kind: 1, Call: 2, Code: 3, Count: 4, Id: 5, Key: 6 } as const;
/** The bytes of a header. Records begin at multiples of this, so that no header wraps around. */
const RECORD_HEADER_BYTES = 32;

const RING_BYTES = RingWord.Words * 4 + CALL_RING_BYTES;
const RINGS_BYTES = CALL_SLOTS_MAX * 2 * RING_BYTES;
/** In place of the reason's length: a thread writes the reason. */
const FAILURE_BEGUN = -1;
/**
 * Room for the reason as JSON, in which a character takes at most 6 bytes, and the other fields a
 * few.
 */
const FAILURE_BYTES = 6 * FAILURE_TEXT_MAX + 1024;

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

/** A ring of records between two threads. */
export class Ring {
  readonly #words: Int32Array;
  readonly #header: Uint32Array;
  readonly #keys: BigUint64Array;
  readonly #bytes: Uint8Array;

  /** @param buffer The shared memory. @param offset Where the ring begins, in bytes. */
  constructor(buffer: SharedArrayBuffer, offset: number) {
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
    Atomics.wait(this.#words, RingWord.Written, read, timeoutMs);
  }

  /** Ends the waits for a record, though there is none. */
  wakeReader(): void {
    Atomics.notify(this.#words, RingWord.Written);
  }

  /** The reader's position, in bytes. */
  get readPosition(): number {
    return Atomics.load(this.#words, RingWord.Read);
  }

  /** Resolves when the reader has come further than this; `undefined` when it has already. */
  untilReadBeyond(position: number): Promise<unknown> | undefined {
    this.#sleeps(RingWord.WriterWaits);
    const wait = Atomics.waitAsync(this.#words, RingWord.Read, position);
    return wait.async ? wait.value : undefined;
  }

  /**
   * Resolves when there is a record, or by `wakeReader`; `undefined` when there is a record
   * already.
   */
  untilRecord(): Promise<unknown> | undefined {
    const read = this.readPosition;
    this.#sleeps(RingWord.ReaderWaits);
    const wait = Atomics.waitAsync(this.#words, RingWord.Written, read);
    return wait.async ? wait.value : undefined;
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
      Atomics.wait(this.#words, RingWord.Read, read, leftMs);
    }
  }

  /**
   * Announces a wait. The caller looks at the position once more afterwards; the other side moves
   * the position first and reads this word afterwards, so at least one side notices the other. Only
   * the side that wakes clears the word, because this thread may have two waits at the same time.
   */
  #sleeps(waits: number): void {
    Atomics.store(this.#words, waits, 1);
  }

  /** Wakes the other side, if it waits for a position that has moved. */
  #wake(position: number, waits: number): void {
    if (Atomics.load(this.#words, waits) === 0) return;
    if (Atomics.exchange(this.#words, waits, 0) !== 0) Atomics.notify(this.#words, position);
  }
}

/** The shared memory of all threads of one node. */
export class CallSlots {
  readonly buffer: SharedArrayBuffer;
  readonly #control: Int32Array;
  readonly #threads: BigUint64Array;

  /** @param buffer The buffer that another thread made; left out, a new one is made. */
  constructor(buffer?: SharedArrayBuffer) {
    this.buffer = buffer ??
      new SharedArrayBuffer(Control.Words * 4 + RINGS_BYTES + FAILURE_BYTES);
    this.#control = new Int32Array(this.buffer, 0, Control.Words);
    this.#threads = new BigUint64Array(this.buffer, Control.Threads * 4, CALL_SLOTS_MAX);
  }

  /** The slots that are or were in use: 0, 1, … one less than this. */
  get count(): number {
    return Atomics.load(this.#control, Control.Slots);
  }

  /** How many slots are in use: one for each thread that uses the node. */
  get threads(): number {
    let taken = 0;
    for (let slot = 0; slot < this.count; slot++) {
      if (this.thread(slot) !== 0n) taken++;
    }
    return taken;
  }

  /** The thread that has a slot; 0 for none. */
  thread(slot: number): bigint {
    return Atomics.load(this.#threads, slot);
  }

  /**
   * Takes a slot for this thread.
   *
   * @param thread The thread's name, by which it can be told whether it has ended.
   * @returns The slot; `undefined` when all are taken.
   */
  claim(thread: bigint = UNKNOWN_THREAD): number | undefined {
    for (let slot = 0; slot < CALL_SLOTS_MAX; slot++) {
      if (Atomics.compareExchange(this.#threads, slot, 0n, thread) !== 0n) continue;
      // All lower slots were taken at this moment, each by a thread that raises the count as this
      // one does.
      for (let count = this.count; count <= slot; count = this.count) {
        Atomics.compareExchange(this.#control, Control.Slots, count, slot + 1);
      }
      return slot;
    }
    return undefined;
  }

  /**
   * Lets another thread take a slot.
   *
   * @param slot The slot.
   * @param nextCall The first call number that was not used in the slot. Answers to earlier calls
   * may still come, and must not be taken for answers to calls of the next thread.
   */
  release(slot: number, nextCall: number): void {
    Atomics.store(this.#control, Control.NextCall + slot, nextCall | 0);
    Atomics.store(this.#threads, slot, 0n);
    Atomics.add(this.#control, Control.Released, 1);
    Atomics.notify(this.#control, Control.Released);
  }

  /** How many slots were released so far, modulo 2^32. */
  get released(): number {
    return Atomics.load(this.#control, Control.Released);
  }

  /**
   * Asks the engine, which has to be kicked, to look for threads that have ended, and blocks this
   * thread until a slot is released or the time is over.
   *
   * @param released What `released` said before this thread tried to take a slot.
   * @param timeoutMs The longest wait, in milliseconds.
   * @param kick Wakes the engine if it sleeps.
   */
  awaitReleased(released: number, timeoutMs: number, kick: () => void): void {
    Atomics.store(this.#control, Control.Wanted, 1);
    kick();
    Atomics.wait(this.#control, Control.Released, released, timeoutMs);
  }

  /** Whether a thread has found every slot taken since this was last asked. */
  takeWanted(): boolean {
    return Atomics.load(this.#control, Control.Wanted) === 1 &&
      Atomics.exchange(this.#control, Control.Wanted, 0) === 1;
  }

  /** The number of the first call of the thread that has taken a slot. */
  nextCall(slot: number): number {
    return Atomics.load(this.#control, Control.NextCall + slot) >>> 0 || 1;
  }

  /** The rings of a slot. */
  rings(slot: number): { calls: Ring; answers: Ring } {
    const offset = Control.Words * 4 + slot * 2 * RING_BYTES;
    return {
      calls: new Ring(this.buffer, offset),
      answers: new Ring(this.buffer, offset + RING_BYTES),
    };
  }

  /** Marks the engine as ended, after which no call is answered, and ends the waits for answers. */
  end(): void {
    Atomics.store(this.#control, Control.Ended, 1);
    for (let slot = 0; slot < this.count; slot++) this.rings(slot).answers.wakeReader();
  }

  /** Marks the node as closing: no thread can make a call from here on. */
  beginClosing(): void {
    Atomics.store(this.#control, Control.Closing, 1);
  }

  /** Whether the thread that joined closes the node, or has closed it. */
  get closing(): boolean {
    return Atomics.load(this.#control, Control.Closing) === 1;
  }

  /** Whether the engine has ended. */
  get ended(): boolean {
    return Atomics.load(this.#control, Control.Ended) === 1;
  }

  /**
   * Tells every thread why the node cannot go on. Only the first reason is kept.
   *
   * @param why The reason; the end of a message that is longer than `FAILURE_TEXT_MAX` is cut off.
   */
  fail({ code, message, errno }: TdsmError): void {
    const { Failure } = Control;
    if (Atomics.compareExchange(this.#control, Failure, 0, FAILURE_BEGUN) !== 0) return;
    const text = JSON.stringify({ code, message: message.slice(0, FAILURE_TEXT_MAX), errno });
    const bytes = new TextEncoder().encode(text);
    this.#failureBytes(bytes.length).set(bytes);
    Atomics.store(this.#control, Failure, bytes.length);
  }

  /** Why the node cannot go on; `undefined` while it can. */
  get failure(): TdsmError | undefined {
    const length = Atomics.load(this.#control, Control.Failure);
    if (length === 0 || length === FAILURE_BEGUN) return undefined;
    // A decoder takes no shared memory.
    const text = new TextDecoder().decode(this.#failureBytes(length).slice());
    const { code, message, errno } = JSON.parse(text) as Pick<
      TdsmError,
      "code" | "message" | "errno"
    >;
    return new TdsmError(code, message, errno === undefined ? {} : { errno });
  }

  #failureBytes(length: number): Uint8Array<SharedArrayBuffer> {
    return new Uint8Array(this.buffer, Control.Words * 4 + RINGS_BYTES, length);
  }

  /** Publishes the ids of the other nodes, so that threads can read them without a call. */
  setPeers(ids: readonly number[]): void {
    Atomics.add(this.#control, Control.PeersVersion, 1);
    Atomics.store(this.#control, Control.PeerCount, ids.length);
    for (const [index, id] of ids.entries()) {
      Atomics.store(this.#control, Control.Peers + index, id);
    }
    Atomics.add(this.#control, Control.PeersVersion, 1);
  }

  /** The ids of the other nodes that the engine has published; never blocks. */
  get peers(): number[] {
    let ids: number[] = [];
    // An engine that is writing will be done at once, but one that died while writing must not keep
    // this thread for ever.
    for (let look = 0; look < PEERS_LOOKS_MAX; look++) {
      const version = Atomics.load(this.#control, Control.PeersVersion);
      const length = Atomics.load(this.#control, Control.PeerCount);
      ids = Array.from(
        { length },
        (_, at) => Atomics.load(this.#control, Control.Peers + at) >>> 0,
      );
      if (version % 2 === 0 && Atomics.load(this.#control, Control.PeersVersion) === version) break;
    }
    return ids;
  }

  /**
   * Tells threads whether the engine sleeps. After that the engine looks at the rings once more.
   */
  setAsleep(asleep: boolean): void {
    Atomics.store(this.#control, Control.Asleep, asleep ? 1 : 0);
  }

  /** Whether the engine slept. Only one caller gets `true`, and must kick the engine. */
  takeAsleep(): boolean {
    return Atomics.exchange(this.#control, Control.Asleep, 0) === 1;
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
