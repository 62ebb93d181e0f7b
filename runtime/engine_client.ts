/**
 * A thread's way to the engine of its node: calls by the ring, and waiting for the answer without or
 * with blocking.
 */

import type { NativeRegion } from "../ffi/native.ts";
// @ts-types="./std/msgpack_decode.d.ts"
import { decode } from "@std/msgpack/decode";
// @ts-types="./std/msgpack_encode.d.ts"
import { encode } from "@std/msgpack/encode";
import type { ValueType } from "./std/msgpack_encode.d.ts";
import { Answer, type Call, type PackedError, unpackError } from "./engine/calls.ts";
import type { CallSlots, Ring, RingRecord } from "./engine/ring.ts";
import { TdsmError } from "./errors.ts";
import { CALL_SLOTS_MAX, CALL_SYNC_MAX_MS } from "./limits.ts";

interface Waiter {
  resolve(value: ValueType): void;
  reject(error: Error): void;
}

/** One thread's calls to the engine. */
export class EngineClient {
  readonly #slots: CallSlots;
  readonly #region: NativeRegion;
  readonly #calls: Ring;
  readonly #answers: Ring;
  readonly #waiters = new Map<number, Waiter>();
  #nextCall = 1;
  #listening = false;
  #failure: TdsmError | undefined;

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
    this.#region = region;
    const { calls, answers } = slots.rings(slot);
    this.#calls = calls;
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
    if (this.#failure !== undefined) throw this.#failure;
    const id = this.#newCall();
    const { promise, resolve, reject } = Promise.withResolvers<ValueType>();
    this.#waiters.set(id, { resolve, reject });
    const payload = encode(argument);
    if (!this.#calls.push(call, id, payload)) await this.#calls.pushWhenRoom(call, id, payload);
    if (this.#slots.takeAsleep()) this.#region.kick();
    void this.#listen();
    return await promise;
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
    if (this.#failure !== undefined) throw this.#failure;
    const id = this.#newCall();
    let answer: { value: ValueType } | { error: Error } | undefined;
    this.#waiters.set(id, {
      resolve: (value) => answer = { value },
      reject: (error) => answer = { error },
    });
    this.#calls.pushSync(call, id, encode(argument));
    if (this.#slots.takeAsleep()) this.#region.kick();
    const giveUpAt = performance.now() + CALL_SYNC_MAX_MS;
    while (answer === undefined) {
      const record = this.#answers.pop();
      if (record !== undefined) this.#take(record);
      else if (performance.now() < giveUpAt) this.#answers.waitForRecord(CALL_SYNC_MAX_MS);
      else throw new TdsmError("EngineFailed", `The engine is silent for ${CALL_SYNC_MAX_MS} ms`);
    }
    if ("error" in answer) throw answer.error;
    return answer.value;
  }

  /** Ends every call, and all that come, with an error. */
  fail(error: TdsmError): void {
    this.#failure ??= error;
    for (const { reject } of this.#waiters.values()) reject(this.#failure);
    this.#waiters.clear();
  }

  #newCall(): number {
    const id = this.#nextCall;
    this.#nextCall = id === 0xffff_ffff ? 1 : id + 1;
    return id;
  }

  /** Takes answers while any is awaited. */
  async #listen(): Promise<void> {
    if (this.#listening) return;
    this.#listening = true;
    while (this.#waiters.size > 0) {
      const record = this.#answers.pop();
      if (record === undefined) await this.#answers.untilRecord();
      else this.#take(record);
    }
    this.#listening = false;
  }

  #take({ kind, call, payload }: RingRecord): void {
    const waiter = this.#waiters.get(call);
    this.#waiters.delete(call);
    const value = decode(payload);
    if (kind === Answer.Value) waiter?.resolve(value);
    else waiter?.reject(unpackError(value as unknown as PackedError));
  }
}
