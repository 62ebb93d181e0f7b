/**
 * The shared memory between a program's threads and the engine: one SharedArrayBuffer. Each thread
 * has a slot with two rings, one for calls and one for answers.
 *
 * The engine polls the rings while there is work. Before it sleeps it sets a word in the buffer,
 * and a thread that then writes a call kicks the engine awake.
 */

import { SEALED_LINK } from "../../ffi/abi.ts";
import { LinkSeal } from "../../ffi/seal.ts";
import { TdsmError } from "../errors.ts";
import { CALL_SLOTS_MAX, FAILURE_TEXT_MAX, NODES_MAX, PEERS_LOOKS_MAX } from "../limits.ts";
import { WORD_MARKS, WordMarks } from "./word_marks.ts";
import { Ring, RING_BYTES, type WakeInKernel } from "./ring.ts";

/** Rings begin at a cache line. */
function align(words: number): number {
  return Math.ceil(words / 16) * 16;
}

/** Of this realm as it was before any node: these words are no part of a region. */
const { wait, notify } = Atomics;

/** The words about the link that a thread has for itself. The key has two words, as 64 bits do. */
export const LinkWord = {
  Descriptor: 0,
  Thread: 1,
  Ticket: 2,
  Sealed: 3,
  Key: 4,
  Words: 6,
} as const;
/** Where they begin: at an even word, behind those of {@linkcode Control}. */
const LINKS_AT = align(18 + 3 * CALL_SLOTS_MAX + NODES_MAX);
const QUIET_AT = align(LINKS_AT + CALL_SLOTS_MAX * LinkWord.Words);

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
  /** Of each slot what {@linkcode LinkWord} says. */
  Links: LINKS_AT,
  /** What {@linkcode WordMarks} has. */
  Quiet: QUIET_AT,
  Words: align(QUIET_AT + WORD_MARKS),
} as const;

/** Stands for a thread of which it is not known whether it has ended. */
export const UNKNOWN_THREAD: bigint = 2n ** 64n - 1n;

const RINGS_BYTES = CALL_SLOTS_MAX * 2 * RING_BYTES;
/** In place of the reason's length: a thread writes the reason. */
const FAILURE_BEGUN = -1;
/**
 * Room for the reason as JSON, in which a character takes at most 6 bytes, and the other fields a
 * few.
 */
const FAILURE_BYTES = 6 * FAILURE_TEXT_MAX + 1024;
/**
 * Where the states of sealed links begin, one a slot, and the bytes of each, at addresses that 8
 * divides. Memory that no link uses is never touched, and so costs nothing.
 */
const SEALS_AT = 4 * align((Control.Words * 4 + RINGS_BYTES + FAILURE_BYTES) / 4);
const SEAL_BYTES = 4 * align(SEALED_LINK.size / 4);

/**
 * Where in the buffer the library finds what threads of native code need, in bytes, by the fields
 * of `tdsm_program_node`.
 */
export const CALL_PLACES = {
  asleep_at: 4 * Control.Asleep,
  count_at: 4 * Control.Slots,
  ended_at: 4 * Control.Ended,
  closing_at: 4 * Control.Closing,
  failure_at: 4 * Control.Failure,
  wanted_at: 4 * Control.Wanted,
  released_at: 4 * Control.Released,
  threads_at: 4 * Control.Threads,
  next_call_at: 4 * Control.NextCall,
  peer_count_at: 4 * Control.PeerCount,
  quiet_at: 4 * Control.Quiet,
  rings_at: 4 * Control.Words,
  failure_text_at: 4 * Control.Words + RINGS_BYTES,
  links_at: 4 * Control.Links,
  seals_at: SEALS_AT,
  seal_bytes: SEAL_BYTES,
} as const;

/** A link to the directory node that one thread has for itself. */
export interface LentLink {
  /** Its descriptor, which the engine lends to the thread. */
  readonly fd: number;
  /** The node's number of the thread, by which its tickets are told from others. */
  readonly thread: number;
  /** How it is sealed, in the shared memory; left out where its bytes go as they are. */
  readonly seal?: LinkSeal;
}

/** The shared memory of all threads of one node. */
export class CallSlots {
  readonly buffer: SharedArrayBuffer;
  readonly #control: Int32Array;
  readonly #threads: BigUint64Array;
  /** The words about the threads' own links, as 64 bits. */
  readonly #keys: BigUint64Array;

  readonly #wakeInKernel: WakeInKernel | undefined;

  /**
   * @param buffer The buffer that another thread made; left out, a new one is made.
   * @param wakeInKernel Wakes threads of native code; left out where this thread answers none.
   */
  constructor(buffer?: SharedArrayBuffer, wakeInKernel?: WakeInKernel) {
    this.#wakeInKernel = wakeInKernel;
    this.buffer = buffer ??
      new SharedArrayBuffer(SEALS_AT + CALL_SLOTS_MAX * SEAL_BYTES);
    this.#control = new Int32Array(this.buffer, 0, Control.Words);
    this.#threads = new BigUint64Array(this.buffer, Control.Threads * 4, CALL_SLOTS_MAX);
    const keys = CALL_SLOTS_MAX * LinkWord.Words / 2;
    this.#keys = new BigUint64Array(this.buffer, Control.Links * 4, keys);
  }

  /** What words are, as far as this node knows: quiet, lent to this node, or neither. */
  get wordMarks(): WordMarks {
    return new WordMarks(new Int32Array(this.buffer, Control.Quiet * 4, WORD_MARKS));
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
    notify(this.#control, Control.Released);
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
    wait(this.#control, Control.Released, released, timeoutMs);
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

  #linkWord(slot: number, word: number): number {
    return Control.Links + slot * LinkWord.Words + word;
  }

  #seal(slot: number): Uint8Array {
    return new Uint8Array(this.buffer, SEALS_AT + slot * SEAL_BYTES, SEALED_LINK.size);
  }

  /**
   * Gives the thread of a slot a link to the directory node for itself.
   *
   * @param slot The slot.
   * @param lent Its descriptor, and the node's number of the thread.
   * @param seal How the link is sealed, which from here on only the thread knows; left out where
   * its bytes go as they are.
   */
  lendLink(slot: number, { fd, thread }: Omit<LentLink, "seal">, seal?: LinkSeal): void {
    seal?.moveTo(this.#seal(slot));
    const sealed = seal === undefined ? 0 : 1;
    Atomics.store(this.#control, this.#linkWord(slot, LinkWord.Sealed), sealed);
    Atomics.store(this.#control, this.#linkWord(slot, LinkWord.Thread), thread);
    Atomics.store(this.#control, this.#linkWord(slot, LinkWord.Descriptor), fd);
  }

  /** The link that the thread of a slot has for itself; `undefined` where it has none. */
  link(slot: number): LentLink | undefined {
    const fd = Atomics.load(this.#control, this.#linkWord(slot, LinkWord.Descriptor));
    if (fd === 0) return undefined;
    const thread = Atomics.load(this.#control, this.#linkWord(slot, LinkWord.Thread));
    const sealed = Atomics.load(this.#control, this.#linkWord(slot, LinkWord.Sealed)) === 1;
    return { fd, thread, ...(sealed && { seal: new LinkSeal(this.#seal(slot)) }) };
  }

  /**
   * Takes the link of a slot, whose thread uses it no longer.
   *
   * @param slot The slot.
   * @returns Its descriptor, which the caller closes; `undefined` where another thread has taken
   * it, or there was none.
   */
  takeLink(slot: number): number | undefined {
    const fd = Atomics.exchange(this.#control, this.#linkWord(slot, LinkWord.Descriptor), 0);
    return fd === 0 ? undefined : fd;
  }

  /**
   * Takes how the link of a slot is sealed, once its thread is gone. Nothing is left of it there.
   *
   * @param slot The slot.
   * @returns How; `undefined` where the link is not sealed, or there was none.
   */
  takeSeal(slot: number): LinkSeal | undefined {
    const word = this.#linkWord(slot, LinkWord.Sealed);
    if (Atomics.exchange(this.#control, word, 0) === 0) return undefined;
    const seal = new LinkSeal();
    new LinkSeal(this.#seal(slot)).moveTo(seal.memory);
    return seal;
  }

  /**
   * Notes the request by which the thread of a slot may be granted a permit over its own link, so
   * that the permit is given back if the thread ends before it has read the answer.
   *
   * @param slot The slot.
   * @param ticket The request; 0 where there is none any more.
   * @param key The semaphore.
   */
  notePermit(slot: number, ticket: number, key = 0n): void {
    this.#keys[(slot * LinkWord.Words + LinkWord.Key) / 2] = key;
    Atomics.store(this.#control, this.#linkWord(slot, LinkWord.Ticket), ticket | 0);
  }

  /** What {@linkcode CallSlots.notePermit} has noted; `undefined` where that is nothing. */
  permit(slot: number): { readonly ticket: number; readonly key: bigint } | undefined {
    const ticket = Atomics.load(this.#control, this.#linkWord(slot, LinkWord.Ticket)) >>> 0;
    if (ticket === 0) return undefined;
    return { ticket, key: this.#keys[(slot * LinkWord.Words + LinkWord.Key) / 2]! };
  }

  /** The rings of a slot. */
  rings(slot: number): { calls: Ring; answers: Ring } {
    const offset = Control.Words * 4 + slot * 2 * RING_BYTES;
    return {
      calls: new Ring(this.buffer, offset, this.#wakeInKernel),
      answers: new Ring(this.buffer, offset + RING_BYTES, this.#wakeInKernel),
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

  /** How many other nodes there are, as far as the engine has published. */
  get peerCount(): number {
    return Atomics.load(this.#control, Control.PeerCount);
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
