/**
 * A thread's way to the engine of its node: calls by the ring, and waiting for the answer without or
 * with blocking.
 */

import type { NativeRegion } from "../../ffi/native.ts";
import { decode } from "../std/msgpack_decode.js";
import { encode } from "../std/msgpack_encode.js";
import type { ValueType } from "../std/msgpack_encode.d.ts";
import { Answer, Call, type PackedError, unpackError } from "./calls.ts";
import type { CallSlots, Ring, RingRecord } from "./ring.ts";
import { RingWriter } from "./writer.ts";
import { TdsmError } from "../errors.ts";
import {
  CALL_SLOTS_MAX,
  CALL_SYNC_MAX_MS,
  ENDED_LOOK_MS,
  SILENCE_MAX_MS,
  TICKET_MAX,
} from "../limits.ts";

interface Waiter {
  resolve(answer: Uint8Array): void;
  reject(error: Error): void;
}

/** A call that was made. */
export interface StartedCall {
  /** Its number, to refer to it in another call. */
  readonly id: number;
  /** Resolves to the answer's bytes. */
  readonly answer: Promise<Uint8Array>;
}

/** How a thread that blocks for an answer may give up. */
export interface BlockLimit {
  /** After how long, in milliseconds. */
  readonly timeoutMs: number;
  /** The call that tells the engine so; it answers the one that is given up. */
  readonly cancel: Call;
}

/** One thread's calls to the engine. */
export class EngineClient {
  readonly #slots: CallSlots;
  readonly #slot: number;
  readonly #region: NativeRegion;
  readonly #calls: RingWriter;
  readonly #answers: Ring;
  readonly #waiters = new Map<number, Waiter>();
  #nextCall: number;
  #listening = false;
  /** How many calls block this thread: one, or more where one is made from within another. */
  #blocking = 0;
  /** Remote calls that came while this thread was blocked. */
  #unserved: RingRecord[] = [];
  #failure: TdsmError | undefined;
  /** What ends a wait for answers goes on with; made once. */
  readonly #listenOn = (): void => {
    this.#listening = false;
    this.#listen();
  };
  /** Takes remote calls that this thread is to serve. */
  #serve: ((id: number, payload: Uint8Array) => void) | undefined;

  /**
   * @param slots The rings of the node.
   * @param region What to kick when the engine sleeps.
   * @throws {TdsmError} `LimitExceeded` when every slot is taken.
   */
  constructor(slots: CallSlots, region: NativeRegion) {
    const slot = slots.claim();
    if (slot === undefined) {
      const message = `Cannot use the node from more than ${CALL_SLOTS_MAX} threads`;
      throw new TdsmError("LimitExceeded", message, { operation: "attach" });
    }
    this.#slots = slots;
    this.#slot = slot;
    this.#nextCall = slots.nextCall(slot);
    this.#region = region;
    const { calls, answers } = slots.rings(slot);
    this.#calls = new RingWriter(calls, () => this.#kick());
    this.#answers = answers;
  }

  /**
   * Asks the engine.
   *
   * @param call What.
   * @param argument With what.
   * @returns Its answer.
   * @throws {TdsmError} What the engine answers, or why it cannot.
   */
  async call(call: Call, argument: ValueType = null): Promise<ValueType> {
    return decode(await this.start(call, encode(argument)).answer);
  }

  /**
   * Asks the engine, and blocks this thread until it answers.
   *
   * @param call What.
   * @param argument With what.
   * @returns Its answer.
   * @throws {TdsmError} What the engine answers, or `EngineFailed` when it is silent.
   */
  callSync(call: Call, argument: ValueType = null): ValueType {
    const deadline = { timeoutMs: CALL_SYNC_MAX_MS, cancel: undefined };
    return decode(this.#block(call, encode(argument), deadline));
  }

  /**
   * Asks the engine, in the call's own bytes.
   *
   * @param call What.
   * @param payload With what.
   * @returns The call's number, and the answer when it comes.
   */
  start(call: Call, payload: Uint8Array): StartedCall {
    const id = this.#newCall();
    this.#failIfEnded();
    if (this.#failure !== undefined) return { id, answer: Promise.reject(this.#failure) };
    return { id, answer: this.#ask(call, id, payload) };
  }

  /**
   * Asks the engine, and goes on.
   *
   * @param call What.
   * @param payload With what.
   * @param answered Takes the answer's bytes, sometime; nothing where the node cannot go on.
   */
  tell(call: Call, payload: Uint8Array, answered: (answer: Uint8Array) => void): void {
    const id = this.#newCall();
    this.#failIfEnded();
    if (this.#failure !== undefined) return;
    this.#waiters.set(id, { resolve: answered, reject: () => {} });
    this.#send(call, id, payload);
  }

  /**
   * Asks the engine, and blocks this thread until it answers, however long that takes.
   *
   * @param call What.
   * @param payload With what.
   * @param limit When to give up; without it, never.
   * @returns The answer's bytes.
   * @throws {TdsmError} What the engine answers.
   */
  block(call: Call, payload: Uint8Array, limit?: BlockLimit): Uint8Array {
    return this.#block(call, payload, limit ?? { timeoutMs: Infinity, cancel: undefined });
  }

  /** Tells the engine something that has no answer. */
  post(call: Call, payload: Uint8Array): void {
    this.#failIfEnded();
    if (this.#failure !== undefined) return;
    this.#send(call, 0, payload);
  }

  /** From here on this thread serves remote calls, until the node is closed. */
  serveCalls(serve: (id: number, payload: Uint8Array) => void): void {
    this.#serve = serve;
    this.#listen();
  }

  /**
   * Asks the engine to leave the cluster and to close, even if the node cannot go on.
   *
   * @returns Whether it has; `false` when the engine itself has failed.
   */
  async close(): Promise<boolean> {
    if (this.#failure?.code === "EngineFailed") return false;
    try {
      await this.#ask(Call.Close, this.#newCall(), encode(null));
      return true;
    } catch {
      // It has failed while it closed: `closed` of the node tells why.
      return false;
    }
  }

  /**
   * Ends every call, and all that come, as {@linkcode EngineClient.fail} does. Another thread can
   * have this one's slot, unless calls of this one are still to be written.
   */
  detach(error: TdsmError): void {
    // What was answered without waking this thread is answered.
    if (this.#serve === undefined) this.#takeAll();
    this.fail(error);
    if (this.#calls.isIdle) this.#slots.release(this.#slot, this.#nextCall);
  }

  /** Ends every call, and all that come, with an error. */
  fail(error: TdsmError): void {
    this.#failure ??= error;
    this.#serve = undefined;
    this.#unserved = [];
    // Whoever listens looks once more, and finds that there is nothing to wait for.
    this.#answers.wakeReader();
    for (const { reject } of this.#waiters.values()) reject(this.#failure);
    this.#waiters.clear();
  }

  /** Threads beside the one that joined learn by this alone that the node is closed. */
  #failIfEnded(): void {
    if (this.#slots.ended) {
      this.fail(new TdsmError("NodeClosed", "Cannot go on: the node is closed"));
    }
  }

  #newCall(): number {
    const id = this.#nextCall;
    this.#nextCall = id === TICKET_MAX ? 1 : id + 1;
    return id;
  }

  #ask(call: Call, id: number, payload: Uint8Array): Promise<Uint8Array> {
    const { promise, resolve, reject } = Promise.withResolvers<Uint8Array>();
    this.#waiters.set(id, { resolve, reject });
    this.#send(call, id, payload);
    return promise;
  }

  #block(
    call: Call,
    payload: Uint8Array,
    { timeoutMs, cancel }: { timeoutMs: number; cancel: Call | undefined },
  ): Uint8Array {
    this.#failIfEnded();
    if (this.#failure !== undefined) throw this.#failure;
    const id = this.#newCall();
    this.#sendSync(call, id, payload);
    let answer: { bytes: Uint8Array } | { error: Error } | undefined;
    this.#waiters.set(id, {
      resolve: (bytes) => answer = { bytes },
      reject: (error) => answer = { error },
    });
    let giveUpAt = performance.now() + timeoutMs;
    this.#blocking++;
    try {
      while (answer === undefined) {
        // Before the ring is looked at: what the engine has answered before its end counts.
        const { ended } = this.#slots;
        const record = this.#answers.pop();
        const leftMs = giveUpAt - performance.now();
        if (record !== undefined) this.#take(record);
        else if (ended) this.#failIfEnded();
        // It may end between the look and the wait, and then wake nobody.
        else if (leftMs > 0) this.#answers.waitForRecord(Math.min(leftMs, ENDED_LOOK_MS));
        else if (cancel === undefined) throw silent();
        else {
          this.#sendSync(cancel, 0, encode(id));
          // The answer is on its way now, whichever it is, or the directory is found to be gone.
          cancel = undefined;
          giveUpAt = performance.now() + SILENCE_MAX_MS + CALL_SYNC_MAX_MS;
        }
      }
    } finally {
      this.#waiters.delete(id);
      if (--this.#blocking === 0) this.#serveLater();
    }
    if ("error" in answer) throw answer.error;
    return answer.bytes;
  }

  /** Writes a call, at once or when there is room. */
  #send(call: Call, id: number, payload: Uint8Array): void {
    try {
      // Awaited by nobody: an engine that has failed makes no room, but `fail` ends the call.
      this.#calls.push(call, id, payload)?.catch((error) => this.#unsent(id, error));
    } catch (error) {
      this.#unsent(id, error as Error);
    }
    this.#listen();
  }

  /** A call could not be written: tells whoever waits for its answer. */
  #unsent(id: number, error: Error): void {
    const waiter = this.#waiters.get(id);
    this.#waiters.delete(id);
    waiter?.reject(error);
  }

  #sendSync(call: Call, id: number, payload: Uint8Array): void {
    if (!this.#calls.pushSync(call, id, payload, CALL_SYNC_MAX_MS)) throw silent();
  }

  /** Wakes the engine if it sleeps; to be done after each call that was written. */
  #kick(): void {
    if (this.#slots.takeAsleep()) this.#region.kick();
  }

  #takeAll(): void {
    for (let next = this.#answers.pop(); next !== undefined; next = this.#answers.pop()) {
      this.#take(next);
    }
  }

  /**
   * Takes answers while any is awaited. A thread that serves is always at it, so none of its calls
   * begins another's procedure here.
   */
  #listen(): void {
    if (this.#listening) return;
    this.#listening = true;
    try {
      while (this.#waiters.size > 0 || this.#serve !== undefined) {
        const { ended } = this.#slots;
        const record = this.#answers.pop();
        if (record !== undefined) this.#take(record);
        else if (ended) this.#failIfEnded();
        else {
          const arrived = this.#answers.untilRecord();
          // It may have ended before there was anybody to wake.
          if (arrived === undefined || this.#slots.ended) continue;
          arrived.then(this.#listenOn);
          return;
        }
      }
    } catch (error) {
      this.#listening = false;
      throw error;
    }
    this.#listening = false;
  }

  #take(record: RingRecord): void {
    const { kind, call, payload } = record;
    if (kind === Answer.Serve) {
      // Whoever blocks is in the middle of something: no other code of the program may run meanwhile.
      if (this.#blocking > 0 || this.#unserved.length > 0) this.#unserved.push(record);
      else this.#serve?.(call, payload);
      return;
    }
    const waiter = this.#waiters.get(call);
    this.#waiters.delete(call);
    if (kind === Answer.Value) waiter?.resolve(payload);
    else waiter?.reject(unpackError(decode(payload) as unknown as PackedError));
  }

  /** Serves what came while this thread was blocked, once the code that blocked it has run on. */
  #serveLater(): void {
    if (this.#unserved.length === 0) return;
    queueMicrotask(() => {
      for (let next = this.#unserved.shift(); next !== undefined; next = this.#unserved.shift()) {
        this.#serve?.(next.call, next.payload);
      }
    });
  }
}

function silent(): TdsmError {
  return new TdsmError("EngineFailed", `The engine is silent for ${CALL_SYNC_MAX_MS} ms`);
}
