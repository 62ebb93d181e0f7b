/**
 * Calls of the program's threads to the engine, and the engine's answers. Each call and each answer
 * is one record of a ring: values of fixed width are fields of the record; lists and maps are
 * MessagePack in its payload. No call is on the path of a page, so MessagePack is fast enough.
 */

import { decode } from "../std/msgpack_decode.js";
import { encode } from "../std/msgpack_encode.js";
import type { ValueType } from "../std/msgpack_encode.d.ts";
import { TdsmError, type TdsmErrorCode } from "../errors.ts";
import { CALL_BATCH, TICKET_MAX } from "../limits.ts";
import { type CallSlots, UNKNOWN_THREAD } from "./call_slots.ts";
import { newBody, type RecordBody, type Ring, type RingRecord } from "./ring.ts";
import { RingWriter } from "./writer.ts";

/** The kinds of calls; each arrow stands before the answer. */
export const Call = {
  /** → the other nodes, as a list of `{ id, address, port }`. */
  Peers: 1,
  /** `id`: a node → nothing, once it has joined. */
  WaitForPeer: 2,
  /** → {@linkcode NodeStats}. */
  Stats: 3,
  /** → nothing, once the node has left and its links are closed; of a node that has failed, why. */
  Close: 4,
  /** A request about a semaphore, barrier or mutex → its answer, both as in `sync_records.ts`. */
  Sync: 5,
  /** `id`: a call of this thread that is given up. That call is answered, the cancel is not. */
  Cancel: 6,
  /** `AllocationRequest` → `{ offset, dirtyBytes, reused?, created }`. */
  Allocate: 7,
  /**
   * `key`: the offset of an allocation that this thread has taken, and zeroed where that was
   * needed. No answer.
   */
  Taken: 8,
  /** `{ offset, bytes }` → nothing, once it is free. */
  Free: 9,
  /** A remote call → its answer, both as `rpc_records.ts` has them. */
  Rpc: 10,
  /** `id`: a remote call that this thread has served, with the answer to its caller. No answer. */
  RpcServed: 11,
  /** Why this node has failed, as text: the cluster ends. No answer. */
  Abort: 12,
  /** → nothing, once the node has left or the time is up; its threads may still use the region. */
  Leave: 13,
  /** The last of this thread, which reads no answer any more. No answer. */
  Detach: 14,
  /** This thread often blocks at the desk: it is to have a link of its own there. No answer. */
  OpenLink: 15,
  /** That link has ended → an error that says why, once the engine knows. */
  LinkEnded: 16,
  /**
   * By that link a request was answered with the status `code`; `count` is a node, the payload the
   * request in words → nothing, once the engine has told the thread that it concerns.
   */
  LinkTold: 17,
  /** A page → the node that is its home; 0 where none is yet. */
  HomeOf: 18,
  /** `id`: the ticket of a wait for a word whose thread has found the word unchanged. No answer. */
  FutexStay: 19,
  /**
   * The name of a procedure → the next call of it that comes from any node, both as
   * `rpc_records.ts` has calls. The caller is answered when this thread is given the call.
   */
  TakeCall: 20,
  /** The path of a trace that is to begin → where it is written. */
  TraceBegin: 21,
  /** Where a trace is written that is to end → how many events it lacks, once it is written. */
  TraceEnd: 22,
} as const;
/** One of {@linkcode Call}. */
export type Call = typeof Call[keyof typeof Call];

/** How a call ended. */
export const Answer = {
  /** The call succeeded. */
  Value: 0,
  /** The call failed. An error that names no operation is about the node as a whole. */
  Error: 1,
  /** The call was given up before it was done. */
  Cancelled: 2,
  /** No answer: a remote call that this thread is to serve, as `rpc_records.ts` has it. */
  Serve: 3,
  /**
   * The call succeeded, and has taken something that must be given back if the thread ends before
   * it has read this: a lock, whose name is `id`, or a permit of semaphore `key`.
   */
  Grant: 4,
  /** What this thread gave back was refused; the payload says why, if the thread does not. */
  Refused: 5,
  /** The call goes on: it has come as far as `code` says, and is answered once more. */
  Progress: 6,
} as const;

/** The kinds of answers that count also where the thread has not read them. */
export type GrantKind = typeof Answer.Grant | typeof Answer.Refused;
const GRANTS: ReadonlySet<number> = new Set([Answer.Grant, Answer.Refused]);

/** A call as the engine takes it, with the functions that answer the call. */
export interface ThreadCall {
  /** The calling thread's slot; with the thread's number for the call, it identifies the call. */
  readonly slot: number;
  /** The call's kind and arguments. */
  readonly record: RingRecord;
  /**
   * Answers the call.
   *
   * @param fields The answer.
   * @param quiet Whether the thread need not be woken, because it does not wait for this answer.
   */
  respond(fields?: Partial<RecordBody>, quiet?: boolean): void;
  /** Says how far the call has come, which goes on. */
  progress(fields: Partial<RecordBody>): void;
  /** Whether its thread has ended or detached, so that no answer is read any more. */
  readonly isGone: boolean;
  /**
   * Answers the call with something that is to be given back, or told, if the thread does not read
   * the answer.
   *
   * @param fields The answer.
   * @param kind A lock or a permit, where nothing else is said.
   */
  grant(fields: Partial<RecordBody>, kind?: GrantKind): void;
  /** Answers the call with an error. */
  reject(error: unknown): void;
  /** Answers that the call was given up. */
  cancelled(): void;
}

/**
 * Writes a value into a record's payload, in MessagePack; `null` takes no bytes.
 *
 * @param value The value.
 * @returns The fields.
 */
export function valueFields(value: ValueType): Partial<RecordBody> {
  return value === null ? {} : { payload: encode(value) };
}

/**
 * Reads what {@linkcode valueFields} wrote.
 *
 * @param body The record's body.
 * @returns The value.
 */
export function valueOf({ payload }: RecordBody): ValueType {
  return payload.length === 0 ? null : decode(payload);
}

/**
 * Answers a call with a value, in MessagePack, or with the error that was thrown instead of a
 * value.
 *
 * @param call The call.
 * @param make Makes the value from the call's argument; may be async.
 */
export async function answerWith(
  call: ThreadCall,
  make: (argument: ValueType) => ValueType | Promise<ValueType>,
): Promise<void> {
  try {
    const made = make(valueOf(call.record));
    call.respond(valueFields(made instanceof Promise ? await made : made));
  } catch (error) {
    call.reject(error);
  }
}

/** The engine's side of the rings. */
export class CallServer {
  /** Whether a thread was woken by an answer since this was last set to `false`. */
  hasWoken = false;
  readonly #slots: CallSlots;
  readonly #take: (call: ThreadCall) => void;
  readonly #taken: () => void;
  readonly #rings: SlotRings[] = [];
  readonly #threads: ThreadsOptions;

  /**
   * @param slots The rings.
   * @param take Takes a call, which may be answered at once or later.
   * @param taken Called after each batch of calls, to send to other nodes what they have led to.
   * @param threads Knows which threads have ended.
   */
  constructor(
    slots: CallSlots,
    take: (call: ThreadCall) => void,
    taken: () => void = () => {},
    threads: ThreadsOptions = { hasEnded: () => false, gone: () => {} },
  ) {
    this.#slots = slots;
    this.#take = take;
    this.#taken = taken;
    this.#threads = threads;
  }

  /** Takes every call that waits. Returns whether there was one. */
  poll(): boolean {
    let taken = 0;
    // The count is read again before each slot: what a thread in a new slot has asked for may be
    // older than a call that was taken just now, as where the thread that joined closes the node
    // next.
    for (let slot = 0; slot < this.#slots.count; slot++) {
      if (slot === this.#rings.length) this.#open();
      const rings = this.#rings[slot]!;
      for (let record = rings.calls.pop(); record !== undefined; record = rings.calls.pop()) {
        this.#takeCall(slot, rings, record);
        if (++taken % CALL_BATCH === 0) this.#taken();
      }
    }
    if (taken % CALL_BATCH !== 0) this.#taken();
    if (this.#slots.takeWanted()) this.lookForEnded();
    return taken > 0;
  }

  /** Frees the slots of threads that have ended without a word. */
  lookForEnded(): void {
    // The thread that joined ends with its engine.
    for (let slot = 1; slot < this.#rings.length; slot++) {
      const thread = this.#slots.thread(slot);
      if (thread === 0n || thread === UNKNOWN_THREAD || !this.#threads.hasEnded(thread)) continue;
      const rings = this.#rings[slot]!;
      // What it asked for last counts as what it asked for before.
      for (let record = rings.calls.pop(); record !== undefined; record = rings.calls.pop()) {
        this.#takeCall(slot, rings, record);
      }
      this.#end(slot, rings);
      this.#taken();
    }
  }

  #takeCall(slot: number, rings: SlotRings, record: RingRecord): void {
    if (record.call !== 0) rings.lastCall = record.call;
    if (record.kind === Call.Detach) return this.#end(slot, rings);
    this.#take(new RingCall(slot, record, rings, this));
  }

  /** The thread of a slot reads nothing more: gives up the answers to it, and frees the slot. */
  #end(slot: number, rings: SlotRings): void {
    rings.owner++;
    const unread: RecordBody[] = [];
    for (let record = rings.unread.pop(); record !== undefined; record = rings.unread.pop()) {
      unread.push(record);
    }
    unread.push(...rings.answers.takeUnwritten());
    this.#threads.gone(slot, unread.filter(({ kind }) => GRANTS.has(kind)));
    const { lastCall } = rings;
    this.#slots.release(slot, lastCall === TICKET_MAX ? 1 : lastCall + 1);
  }

  /** Has the thread that joined serve a remote call. */
  serve(id: number, fields: Partial<RecordBody>): void {
    if (this.#rings.length === 0) this.#open();
    this.hasWoken = true;
    void this.#rings[0]!.answers.push(id, newBody(Answer.Serve, fields));
  }

  /** Adds the rings of one more slot. */
  #open(): void {
    const { calls, answers } = this.#slots.rings(this.#rings.length);
    this.#rings.push({
      calls,
      answers: new RingWriter(answers),
      unread: answers,
      lastCall: 0,
      owner: 0,
    });
  }
}

/** What the engine knows of the threads of the program. */
export interface ThreadsOptions {
  /** Whether the thread of that name has ended. */
  hasEnded(thread: bigint): boolean;
  /**
   * The thread of a slot has ended, or detached.
   *
   * @param slot The slot, which another thread may take from here on.
   * @param unread What the thread was granted or refused, and has not read.
   */
  gone(slot: number, unread: readonly RecordBody[]): void;
}

/** The engine's side of a slot. */
interface SlotRings {
  readonly calls: Ring;
  readonly answers: RingWriter;
  /** The answers, to be read where their thread does not read them any more. */
  readonly unread: Ring;
  /** The number of the last call that came; 0 before there was one. */
  lastCall: number;
  /** Counts the threads that have had the slot. */
  owner: number;
}

/** A call, as it came out of the ring. */
class RingCall implements ThreadCall {
  readonly slot: number;
  readonly record: RingRecord;
  readonly #rings: SlotRings;
  readonly #server: CallServer;
  readonly #owner: number;

  constructor(slot: number, record: RingRecord, rings: SlotRings, server: CallServer) {
    this.slot = slot;
    this.record = record;
    this.#rings = rings;
    this.#server = server;
    this.#owner = rings.owner;
  }

  respond(fields?: Partial<RecordBody>, quiet?: boolean): void {
    this.#push(newBody(Answer.Value, fields), quiet);
  }

  progress(fields: Partial<RecordBody>): void {
    this.#push(newBody(Answer.Progress, fields));
  }

  get isGone(): boolean {
    return this.#rings.owner !== this.#owner;
  }

  grant(fields: Partial<RecordBody>, kind: GrantKind = Answer.Grant): void {
    this.#push(newBody(kind, fields));
  }

  reject(error: unknown): void {
    this.#push(newBody(Answer.Error, valueFields({ ...packError(error) })));
  }

  cancelled(): void {
    this.#push(newBody(Answer.Cancelled));
  }

  #push(body: RecordBody, quiet = false): void {
    // What comes too late for its thread is not for the next one in the slot.
    if (this.isGone) return;
    if (!quiet) this.#server.hasWoken = true;
    void this.#rings.answers.push(this.record.call, body, quiet);
  }
}

/** An error, as it crosses threads. */
export interface PackedError {
  readonly code: TdsmErrorCode;
  readonly message: string;
  readonly operation: string | null;
  readonly errno: number | null;
}

/** Makes an error fit to cross threads. One that is no `TdsmError` is a fault of the engine. */
export function packError(error: unknown): PackedError {
  if (error instanceof TdsmError) {
    const { code, message, operation, errno } = error;
    return { code, message, operation: operation ?? null, errno: errno ?? null };
  }
  const message = error instanceof Error ? error.stack ?? error.message : String(error);
  return { code: "EngineFailed", message, operation: null, errno: null };
}

/** The error that {@linkcode packError} packed. */
export function unpackError({ code, message, operation, errno }: PackedError): TdsmError {
  return new TdsmError(code, message, {
    ...(operation === null ? {} : { operation }),
    ...(errno === null ? {} : { errno }),
  });
}
