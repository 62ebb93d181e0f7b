/**
 * A thread's own link to the desk of the directory node: requests about semaphores, barriers,
 * mutexes and words, and their answers, past the engine. The thread sends and blocks by itself, so
 * no engine of its node has to wake for it.
 */

import type { ThreadDescriptor } from "../../ffi/thread_link.ts";
import { ENDED_LOOK_MS, THREAD_LINK_UNANSWERED_MAX } from "../limits.ts";
import {
  firstTicketOf,
  type SyncMessage,
  SyncOperation,
  type SyncReply,
  type SyncRequest,
  SyncStatus,
  THREAD_TICKETS,
} from "../protocol/sync/messages.ts";
import type { FrameBounds } from "../wire/check.ts";
import { FRAME_HEADER_BYTES, PROTOCOL_VERSION } from "../wire/layout.ts";
import { decodeFrame } from "../wire/page_frames.ts";
import { encodeSync, SYNC_MAX_BYTES } from "../wire/sync_frames.ts";
import type { CallSlots } from "./call_slots.ts";
import type { SyncDemand } from "./sync_records.ts";

const MS_US = 1000;
/** No frame about pages comes by such a link. */
const NO_PAGES: FrameBounds = { pageCount: 0, pageSize: 0, runPages: 0 };

/** The bytes of each answer that comes by such a link. */
export const THREAD_ANSWER_BYTES: number = FRAME_HEADER_BYTES;

/** The version of the frames that go by such a link, for threads of native code. */
export const THREAD_FRAME_VERSION: number = PROTOCOL_VERSION;

/**
 * Reads an answer.
 *
 * @param bytes Its frame, of {@linkcode THREAD_ANSWER_BYTES}.
 * @returns It; `undefined` where that is none.
 */
export function threadAnswer(bytes: Uint8Array): SyncReply | undefined {
  const frame = decodeFrame(bytes, 0, bytes.length, NO_PAGES);
  const message: SyncMessage | undefined = frame.kind === "sync" ? frame.message : undefined;
  return message?.kind === "syncReply" ? message : undefined;
}

/** One thread's own link. After its end every call of it says so. */
export class ThreadLink {
  readonly #descriptor: ThreadDescriptor;
  readonly #slots: CallSlots;
  readonly #slot: number;
  readonly #first: number;
  readonly #tickets: number;
  readonly #frame = new Uint8Array(SYNC_MAX_BYTES);
  /** The answers that were taken together, from `#read` to `#end` those that were not read yet. */
  readonly #answers = new Uint8Array((THREAD_LINK_UNANSWERED_MAX + 1) * THREAD_ANSWER_BYTES);
  #read = 0;
  #end = 0;
  /** What takes the answer to a request that no call waits for, by its ticket. */
  readonly #posted = new Map<number, (reply: SyncReply) => void>();
  /** The tickets of locks that are held: they name a lock until it is unlocked. */
  readonly #locks = new Set<number>();
  /** The requests for locks that have no answer. */
  readonly #locking = new Set<number>();
  /**
   * The notifies that no call waits for. A notify is answered once the threads that wait ahead of
   * it have looked at the word, which may be after later requests.
   */
  readonly #notifying = new Set<number>();
  /**
   * What has one more answer, which may come while a call waits for another; and the answer, once
   * it is there.
   */
  readonly #kept = new Map<number, SyncReply | undefined>();
  #next = 0;
  #hasEnded = false;

  /**
   * @param descriptor The link.
   * @param slots Where the request is noted that may be granted a permit.
   * @param slot This thread's slot.
   * @param thread The node's number of this thread.
   * @param tickets How many tickets it has, behind which they begin anew.
   */
  constructor(
    descriptor: ThreadDescriptor,
    slots: CallSlots,
    slot: number,
    thread: number,
    tickets: number = THREAD_TICKETS,
  ) {
    this.#tickets = tickets;
    this.#descriptor = descriptor;
    this.#slots = slots;
    this.#slot = slot;
    this.#first = firstTicketOf(thread);
  }

  /** Whether the link is of no use any more. */
  get hasEnded(): boolean {
    return this.#hasEnded;
  }

  /** How many requests have no answer that no call waits for. */
  get unanswered(): number {
    return this.#posted.size;
  }

  /** How many of them are answered before every later request: all but notifies of words. */
  get unansweredInOrder(): number {
    return this.#posted.size - this.#notifying.size;
  }

  /**
   * Sends a request.
   *
   * @param demand The request.
   * @param answered Takes the answer, where no call waits for it.
   * @returns Its ticket.
   */
  send(demand: SyncDemand, answered?: (reply: SyncReply) => void): number {
    const { Acquire, TryAcquire, Lock, TryLock, Unlock, FutexNotify } = SyncOperation;
    const ticket = this.#newTicket();
    switch (demand.operation) {
      case Acquire:
      case TryAcquire:
        this.#slots.notePermit(this.#slot, ticket, demand.key);
        break;
      case Lock:
      case TryLock:
        this.#locking.add(ticket);
        break;
      case Unlock:
        this.#locks.delete(demand.lock);
        break;
      case FutexNotify:
        if (answered !== undefined) this.#notifying.add(ticket);
        break;
    }
    if (answered !== undefined) this.#posted.set(ticket, answered);
    this.#send({ ...demand, kind: "sync", ticket } as SyncRequest);
    return ticket;
  }

  /** This thread has looked at the word for which it waits under a ticket, and goes on to wait. */
  stay(ticket: number): void {
    this.#send({ kind: "sync", operation: SyncOperation.FutexStay, ticket });
  }

  /** Keeps the one further answer to a request for {@linkcode ThreadLink.kept}, when it comes. */
  keep(ticket: number): void {
    this.#kept.set(ticket, undefined);
  }

  /** Takes the answer that was kept, if it is there. */
  kept(ticket: number): SyncReply | undefined {
    const reply = this.#kept.get(ticket);
    if (reply !== undefined) this.#kept.delete(ticket);
    return reply;
  }

  /** Gives a request up, which is answered all the same. */
  cancel(ticket: number): void {
    this.#send({ kind: "sync", operation: SyncOperation.Cancel, ticket });
  }

  /**
   * Blocks this thread until answers are there, and takes one.
   *
   * @param timeoutMs The longest wait, in milliseconds; 0 does not wait.
   * @param isAwaited Whether a call waits for the answer to the last request. The answers to all
   * others but notifies come before that one, so this thread is woken once, by that.
   * @returns The answer, where a call waits for it; `undefined` where it was another, where the
   * time is over, or where the link has ended.
   */
  receive(timeoutMs: number, isAwaited = false): SyncReply | undefined {
    if (this.#hasEnded) return undefined;
    const isThere = this.#end - this.#read >= THREAD_ANSWER_BYTES;
    if (!isThere && !this.#fill(timeoutMs, isAwaited)) return undefined;
    const end = this.#read + THREAD_ANSWER_BYTES;
    const reply = threadAnswer(this.#answers.subarray(this.#read, end));
    if (reply === undefined) {
      this.#hasEnded = true;
      return undefined;
    }
    this.#read = end;
    const { ticket, status } = reply;
    if (this.#locking.delete(ticket)) {
      if (status === SyncStatus.Done || status === SyncStatus.Abandoned) this.#locks.add(ticket);
    }
    if (this.#kept.has(ticket)) this.#kept.set(ticket, reply);
    const answered = this.#posted.get(ticket);
    if (answered === undefined) return reply;
    this.#posted.delete(ticket);
    this.#notifying.delete(ticket);
    answered(reply);
    return undefined;
  }

  /** Takes what has arrived; `false` where that is not all of an answer. */
  #fill(timeoutMs: number, isAwaited: boolean): boolean {
    const answers = isAwaited ? this.unansweredInOrder + 1 : 1;
    // A part of one may be left of the last time.
    this.#answers.copyWithin(0, this.#read, this.#end);
    this.#end -= this.#read;
    this.#read = 0;
    const bytes = this.#answers.subarray(this.#end, answers * THREAD_ANSWER_BYTES);
    const received = this.#descriptor.receive(bytes, Math.ceil(timeoutMs * MS_US));
    this.#hasEnded = received === undefined;
    this.#end += received ?? 0;
    return this.#end >= THREAD_ANSWER_BYTES;
  }

  /** The program has what the last answer gives. */
  taken(): void {
    this.#slots.notePermit(this.#slot, 0);
  }

  #newTicket(): number {
    let ticket: number;
    do {
      ticket = this.#first + this.#next;
      this.#next = (this.#next + 1) % this.#tickets;
    } while (this.#locks.has(ticket) || this.#posted.has(ticket) || this.#kept.has(ticket));
    return ticket;
  }

  #send(request: SyncRequest): void {
    if (this.#hasEnded) return;
    const size = encodeSync(request, this.#frame, 0);
    // So few requests have no answer that there is room, unless the directory node stands still.
    for (let sent = 0; sent < size || this.#descriptor.unsentBytes > 0;) {
      const more = this.#descriptor.send(this.#frame.subarray(sent, size), ENDED_LOOK_MS * MS_US);
      if (more === undefined) return void (this.#hasEnded = true);
      sent += more;
    }
  }
}
