/**
 * A thread's way to the engine of its node: calls by the ring, and waiting for the answer without
 * or with blocking.
 */

import type { TdsmLibrary } from "../../ffi/library.ts";
import type { NativeRegion } from "../../ffi/native.ts";
import { ThreadDescriptor } from "../../ffi/thread_link.ts";
import type { ValueType } from "../std/msgpack_encode.d.ts";
import { Answer, Call, type PackedError, unpackError, valueFields, valueOf } from "./calls.ts";
import { type CallSlots, UNKNOWN_THREAD } from "./call_slots.ts";
import type { WordMarks } from "./word_marks.ts";
import { newBody, type RecordBody, type Ring, type RingRecord } from "./ring.ts";
import { ThreadLink } from "./thread_link.ts";
import { RingWriter } from "./writer.ts";
import { TdsmError } from "../errors.ts";
import {
  CALL_SLOTS_MAX,
  CALL_SYNC_MAX_MS,
  DESK_SILENCE_MAX_MS,
  ENDED_LOOK_MS,
  LEAVE_MAX_MS,
  SLOT_LOOK_MS,
  SLOT_WAIT_MAX_MS,
  THREAD_LINK_AFTER,
  TICKET_MAX,
} from "../limits.ts";

/** A call that has no answer yet. */
interface Waiter {
  /** The purpose of the call, in the program's words: "acquire semaphore 7". */
  readonly what: string;
  resolve(answer: RingRecord): void;
  reject(error: Error): void;
}

/** A call that was made. */
export interface StartedCall {
  /** Its number, by which another call can refer to it. */
  readonly id: number;
  /** Resolves to the answer, which says `Cancelled` where the call was given up. */
  readonly answer: Promise<RingRecord>;
}

/**
 * The reason for {@linkcode failedError} where this program has closed the node. Made when it is
 * needed: to make an error while modules load, V8 parses a whole bundle a second time.
 */
function nodeClosed(): TdsmError {
  return new TdsmError("NodeClosed", "the node is closed");
}

/**
 * The error that a node is closed.
 *
 * @param what What the program wanted: "acquire semaphore 7".
 * @returns The error.
 */
export function closedError(what: string): TdsmError {
  return failedError(what, nodeClosed());
}

/**
 * The error that something cannot be done because the node, or the cluster, cannot go on.
 *
 * @param what What was wanted.
 * @param why Why nothing is done any more.
 * @returns The error, with the same code.
 */
export function failedError(what: string, { code, message, errno }: TdsmError): TdsmError {
  return new TdsmError(code, `Cannot ${what}: ${message}`, {
    operation: what,
    ...(errno === undefined ? {} : { errno }),
  });
}

/** A call that is answered several times. */
export class OpenCall {
  /** Its number, by which another call can refer to it. */
  readonly id: number;
  /** The answers that were not looked at yet. */
  readonly answers: RingRecord[] = [];
  /** Why there is no further answer. */
  error: Error | undefined;
  /** Called at each answer, and at the error. */
  answered: () => void = () => {};

  /** @param id Its number. */
  constructor(id: number) {
    this.id = id;
  }
}

/** One thread's calls to the engine. */
export class EngineClient {
  readonly #slots: CallSlots;
  readonly #slot: number;
  readonly #region: NativeRegion;
  readonly #calls: RingWriter;
  readonly #answers: Ring;
  readonly #waiters = new Map<number, Waiter>();
  readonly #library: TdsmLibrary | undefined;
  /** This thread's own link to the directory's desk, once it has looked at it. */
  #ownLink: ThreadLink | undefined;
  /** How many times this thread has blocked at that desk by its engine. */
  #blockedTimes = 0;
  #nextCall: number;
  #listening = false;
  /** The call that closes the engine; 0 before there is one. */
  #closeCall = 0;
  /** How many calls block this thread: one, or more where one is made from within another. */
  #blocking = 0;
  /** Remote calls that came while this thread was blocked. */
  #unserved: RingRecord[] = [];
  /** Why no call of this thread is answered any more. */
  #failure: TdsmError | undefined;
  #toldFailure = false;
  #detached = false;
  /** What ends a wait for answers goes on with; made once. */
  readonly #listenOn = (): void => {
    this.#listening = false;
    this.#listen();
  };
  /** Takes remote calls that this thread is to serve. */
  #serve: ((record: RingRecord) => void) | undefined;

  /**
   * @param slots The rings of the node.
   * @param region What to kick when the engine sleeps.
   * @param thread This thread's name, by which the engine sees when the thread has ended.
   * @param library What a link of the thread's own is used by; without it, there is none.
   * @throws {TdsmError} `LimitExceeded` when every slot is taken, and stays so for a while.
   */
  constructor(
    slots: CallSlots,
    region: NativeRegion,
    thread: bigint = UNKNOWN_THREAD,
    library?: TdsmLibrary,
  ) {
    this.#library = library;
    this.#slots = slots;
    this.#region = region;
    const slot = this.#claim(thread);
    this.#slot = slot;
    this.#nextCall = slots.nextCall(slot);
    const { calls, answers } = slots.rings(slot);
    this.#calls = new RingWriter(calls, () => this.#kick());
    this.#answers = answers;
  }

  /**
   * The error of a call by a thread that has detached, or whose node closes, is closed or cannot go
   * on.
   *
   * @param what What the thread would ask for.
   * @param isForClosing Whether a node that closes may be asked for that, until it is closed.
   * @returns The error, which the caller throws; `undefined` when the thread may call.
   */
  refusal(what: string, isForClosing = false): TdsmError | undefined {
    this.#learn();
    const why = this.#failure;
    // That the node could not go on is the reason also where the program has closed it since.
    if (why === undefined) {
      return this.#slots.closing && !isForClosing ? closedError(what) : undefined;
    }
    return why.code === "NodeClosed" ? failedError(what, why) : this.#tellFailure(what, why);
  }

  /** Whether a call of this thread has no answer yet. */
  get waiting(): boolean {
    return this.#waiters.size > 0;
  }

  /**
   * Whether a call of this thread has told the program why the node cannot go on, or was the
   * reason.
   */
  get toldFailure(): boolean {
    return this.#toldFailure;
  }

  /**
   * Notes that the program knows why the node will not go on: a call of this thread ends the
   * cluster.
   */
  foretellFailure(): void {
    this.#toldFailure = true;
  }

  /**
   * Asks the engine, in MessagePack.
   *
   * @param call What is asked.
   * @param argument What it is asked with.
   * @param what The same as the program would say it: "list the other nodes".
   * @returns Its answer.
   * @throws {TdsmError} What the engine answers, or why it cannot.
   */
  async call(call: Call, argument: ValueType, what: string): Promise<ValueType> {
    return valueOf(await this.start(newBody(call, valueFields(argument)), what).answer);
  }

  /**
   * Asks the engine, in MessagePack, and blocks this thread until it answers.
   *
   * @param call What is asked.
   * @param argument What it is asked with.
   * @param what The same as the program would say it.
   * @returns Its answer.
   * @throws {TdsmError} What the engine answers, or `EngineFailed` when it is silent.
   */
  callSync(call: Call, argument: ValueType, what: string): ValueType {
    const body = newBody(call, valueFields(argument));
    return valueOf(this.#block(body, what, CALL_SYNC_MAX_MS, false));
  }

  /**
   * Asks the engine.
   *
   * @param body What is asked.
   * @param what The same as the program would say it.
   * @returns The call's number, and the answer when it comes.
   */
  start(body: RecordBody, what: string): StartedCall {
    const id = this.#newCall();
    const refusal = this.refusal(what);
    return {
      id,
      answer: refusal === undefined ? this.#ask(body, id, what) : Promise.reject(refusal),
    };
  }

  /**
   * Asks the engine, and goes on.
   *
   * @param body What is asked.
   * @param what The same as the program would say it.
   * @param answered Takes the answer when it comes; is not called where the node cannot go on.
   * @param refused Takes the error that the engine answers with while the node goes on.
   * @throws {TdsmError} `NodeClosed`, or why the node cannot go on: nothing was asked.
   */
  tell(
    body: RecordBody,
    what: string,
    answered: (answer: RingRecord) => void,
    refused: (error: TdsmError) => void = () => {},
  ): void {
    const id = this.#newCall();
    const refusal = this.refusal(what);
    if (refusal !== undefined) throw refusal;
    const reject = (error: TdsmError): void => {
      this.#learn();
      if (this.#failure === undefined) refused(error);
    };
    this.#waiters.set(id, { what, resolve: answered, reject });
    this.#send(body, id);
  }

  /**
   * Asks the engine, and blocks this thread until it answers.
   *
   * @param body What is asked.
   * @param what The same as the program would say it.
   * @param timeoutMs When to give up, in milliseconds; without it, never.
   * @returns The answer, which says `Cancelled` where the call was given up.
   * @throws {TdsmError} What the engine answers.
   */
  block(body: RecordBody, what: string, timeoutMs?: number): RingRecord {
    return this.#block(body, what, timeoutMs ?? Infinity, timeoutMs !== undefined);
  }

  /**
   * Asks the engine for what is answered several times.
   *
   * @param body What is asked.
   * @param what The same as the program would say it.
   * @returns The call.
   * @throws {TdsmError} `NodeClosed`, or why the node cannot go on: nothing was asked.
   */
  open(body: RecordBody, what: string): OpenCall {
    const refusal = this.refusal(what);
    if (refusal !== undefined) throw refusal;
    const call = new OpenCall(this.#newCall());
    const waiter: Waiter = {
      what,
      resolve: (record) => {
        if (record.kind === Answer.Progress) this.#waiters.set(call.id, waiter);
        call.answers.push(record);
        call.answered();
      },
      reject: (error) => {
        call.error = error;
        call.answered();
      },
    };
    this.#waiters.set(call.id, waiter);
    this.#sendSync(body, call.id, what);
    return call;
  }

  /**
   * Blocks this thread until a call is answered once more.
   *
   * @param call The call.
   * @param timeoutMs The longest wait, in milliseconds.
   * @returns The answer; `undefined` when the time is over.
   * @throws {TdsmError} Why there is none.
   */
  nextAnswer(call: OpenCall, timeoutMs: number): RingRecord | undefined {
    const isPending = (): boolean => call.answers.length === 0 && call.error === undefined;
    this.#blockWhile(isPending, performance.now() + timeoutMs);
    const answer = call.answers.shift();
    if (answer === undefined && call.error !== undefined) throw call.error;
    return answer;
  }

  /** Takes the answers that are there, as of calls that this thread does not wait for. */
  takeAnswers(): void {
    this.#takeAll();
  }

  /** Takes answers while this thread goes on, as for a call that it awaits. */
  listen(): void {
    this.#listen();
  }

  /**
   * This thread's own link to the directory's desk; `undefined` where it has none, or none any
   * more. To be asked for again before each use: the thread may have learnt meanwhile that the node
   * is closed.
   */
  get ownLink(): ThreadLink | undefined {
    if (this.#ownLink !== undefined || this.#library === undefined) return this.#ownLink;
    const lent = this.#failure === undefined ? this.#slots.link(this.#slot) : undefined;
    if (lent === undefined) return undefined;
    const descriptor = new ThreadDescriptor(this.#library, lent.fd, lent.seal);
    return this.#ownLink = new ThreadLink(descriptor, this.#slots, this.#slot, lent.thread);
  }

  /** This thread has blocked at the desk by its engine: if it often does, it is given a link. */
  blockedByEngine(): void {
    if (this.#library === undefined || ++this.#blockedTimes !== THREAD_LINK_AFTER) return;
    this.post(newBody(Call.OpenLink));
  }

  /** Gives the link up. This thread does not use it at this moment. */
  #closeOwnLink(): void {
    this.#ownLink = undefined;
    if (this.#library === undefined) return;
    const fd = this.#slots.takeLink(this.#slot);
    if (fd !== undefined) new ThreadDescriptor(this.#library, fd).close();
  }

  /** Makes a call that has no answer. */
  post(body: RecordBody): void {
    this.#learn();
    if (this.#failure === undefined) this.#send(body, 0);
  }

  /**
   * Gives up a call. The call is answered all the same: with `Cancelled`, or with an earlier
   * answer.
   *
   * @param id The number of the call.
   */
  cancel(id: number): void {
    this.post(newBody(Call.Cancel, { id }));
  }

  /** From here on this thread serves remote calls, until the node is closed. */
  serveCalls(serve: (record: RingRecord) => void): void {
    this.#serve = serve;
    this.#listen();
  }

  /** What words are, as far as the engine knows: quiet, lent to this node, or neither. */
  get wordMarks(): WordMarks {
    return this.#slots.wordMarks;
  }

  /** How many nodes there are, this one among them, as far as the engine has told. */
  get nodeCount(): number {
    return this.#slots.peerCount + 1;
  }

  /** The ids of the other nodes, as far as the engine has told without being asked. */
  get peers(): number[] {
    return this.#slots.peers;
  }

  /** Why the node cannot go on, as far as this thread knows. */
  get failure(): TdsmError | undefined {
    return this.#failure;
  }

  /**
   * Asks the engine to leave the cluster and to close, even if the node cannot go on.
   *
   * @returns Whether the engine has closed; `false` when the engine had ended before.
   */
  async close(): Promise<boolean> {
    this.#slots.beginClosing();
    if (this.#slots.ended) return false;
    try {
      this.#closeCall = this.#newCall();
      const answer = await this.#ask(newBody(Call.Close), this.#closeCall, "close the node");
      // The answer may overtake the news of a failure that happened before.
      const failure = valueOf(answer) as unknown as PackedError | null;
      if (failure !== null) this.fail(unpackError(failure));
      return true;
    } catch {
      // The engine has ended while it closed; the node's `closed` rejects with the reason.
      return false;
    }
  }

  /**
   * Asks the engine to leave the cluster, and blocks this thread until it has: the process is about
   * to end. An engine that has ended is not waited for.
   */
  leaveSync(): void {
    if (this.#slots.ended) return;
    try {
      this.#blockFor(newBody(Call.Leave), "leave the cluster", 2 * LEAVE_MAX_MS, false);
    } catch {
      // The process is about to end, so no part of the program could act on the error.
    }
    // What listeners for the end of the process still ask for would never be answered.
    this.end();
  }

  /**
   * Detaches this thread: ends its calls as {@linkcode EngineClient.fail} does. The engine cancels
   * what they waited for, takes back what comes for them, and frees the slot for another thread.
   */
  detach(): void {
    // Answers may have come without waking this thread; they still count.
    if (this.#serve === undefined) this.#takeAll();
    // From here on only the engine reads what comes for this thread, by the link too.
    this.#ownLink = undefined;
    if (this.#slots.ended) this.#closeOwnLink();
    else this.#send(newBody(Call.Detach), 0);
    this.#detached = true;
    this.fail(new TdsmError("NodeClosed", "this thread has detached from the node"));
  }

  /** The node is closed: ends its calls as {@linkcode EngineClient.fail} does. */
  end(): void {
    this.fail(nodeClosed());
  }

  /**
   * Ends every call, and every later one.
   *
   * @param why Why the node cannot go on; each call ends with an error of this code that names what
   * the call was for.
   */
  fail(why: TdsmError): void {
    this.#failure ??= why;
    if (!this.#detached) this.#closeOwnLink();
    this.#serve = undefined;
    this.#unserved = [];
    // The listening loop looks once more, and ends because no call waits.
    this.#answers.wakeReader();
    // An engine that cannot go on still answers the call to close.
    const closes = !this.#slots.ended;
    for (const [call, { what, reject }] of this.#waiters) {
      if (closes && call === this.#closeCall) continue;
      this.#waiters.delete(call);
      reject(this.#tellFailure(what, this.#failure));
    }
  }

  /**
   * Takes a slot; where all are taken, waits a while for the engine to find one of a thread that
   * has ended.
   */
  #claim(thread: bigint): number {
    const slots = this.#slots;
    const giveUpAt = performance.now() + SLOT_WAIT_MAX_MS;
    for (;;) {
      const { released } = slots;
      const slot = slots.claim(thread);
      if (slot !== undefined) return slot;
      const leftMs = giveUpAt - performance.now();
      if (leftMs <= 0 || slots.ended || slots.closing || slots.failure !== undefined) break;
      slots.awaitReleased(released, Math.min(leftMs, SLOT_LOOK_MS), () => this.#kick());
    }
    const message = `Cannot use the node from more than ${CALL_SLOTS_MAX} threads at one time; ` +
      "let one of them detach or end first";
    throw new TdsmError("LimitExceeded", message, { operation: "attach" });
  }

  /**
   * Only here do threads other than the one that joined learn that the node is closed, or cannot go
   * on.
   */
  #learn(): void {
    const failure = this.#failure === undefined ? this.#slots.failure : undefined;
    if (failure !== undefined) this.fail(failure);
    if (this.#slots.ended) this.end();
  }

  #tellFailure(what: string, why: TdsmError): TdsmError {
    this.#toldFailure = true;
    return failedError(what, why);
  }

  #newCall(): number {
    const id = this.#nextCall;
    this.#nextCall = id === TICKET_MAX ? 1 : id + 1;
    return id;
  }

  #ask(body: RecordBody, id: number, what: string): Promise<RingRecord> {
    const { promise, resolve, reject } = Promise.withResolvers<RingRecord>();
    this.#waiters.set(id, { what, resolve, reject });
    this.#send(body, id);
    return promise;
  }

  /** Blocks until the answer is there, which is `Cancelled` for a call whose time is up. */
  #block(body: RecordBody, what: string, timeoutMs: number, cancels: boolean): RingRecord {
    const refusal = this.refusal(what);
    if (refusal !== undefined) throw refusal;
    return this.#blockFor(body, what, timeoutMs, cancels);
  }

  #blockFor(body: RecordBody, what: string, timeoutMs: number, cancels: boolean): RingRecord {
    const id = this.#newCall();
    this.#sendSync(body, id, what);
    let answer: { record: RingRecord } | { error: Error } | undefined;
    this.#waiters.set(id, {
      what,
      resolve: (record) => answer = { record },
      reject: (error) => answer = { error },
    });
    const isPending = (): boolean => answer === undefined;
    this.#blocking++;
    try {
      if (!this.#blockWhile(isPending, performance.now() + timeoutMs)) {
        if (!cancels) throw silent(what);
        this.#sendSync(newBody(Call.Cancel, { id }), 0, what);
        // From here an answer comes in any case: the real one, `Cancelled`, or that the directory
        // node is lost.
        const giveUpAt = performance.now() + DESK_SILENCE_MAX_MS;
        if (!this.#blockWhile(isPending, giveUpAt)) throw silent(what);
      }
    } finally {
      this.#waiters.delete(id);
      if (--this.#blocking === 0) this.#serveLater();
    }
    const { record, error } = answer as { record?: RingRecord; error?: Error };
    if (record === undefined) throw error;
    return record;
  }

  /** Blocks this thread, and takes answers, while something is missing; `false` after the time. */
  #blockWhile(isPending: () => boolean, giveUpAt: number): boolean {
    this.#blocking++;
    try {
      while (isPending()) {
        // Read before the ring, so that answers from before the engine's end are not lost.
        const { ended } = this.#slots;
        const record = this.#answers.pop();
        const leftMs = giveUpAt - performance.now();
        if (record !== undefined) this.#take(record);
        else if (ended) this.#learn();
        else if (leftMs <= 0) return false;
        // The engine may end between the look and the wait, too early to wake this thread.
        else this.#answers.waitForRecord(Math.min(leftMs, ENDED_LOOK_MS));
      }
      return true;
    } finally {
      if (--this.#blocking === 0) this.#serveLater();
    }
  }

  /** Writes a call, at once or when there is room. */
  #send(body: RecordBody, id: number): void {
    try {
      // Not awaited: an engine that has failed makes no room in the ring, but `fail` ends the call.
      this.#calls.push(id, body)?.catch((error) => this.#unsent(id, error));
    } catch (error) {
      this.#unsent(id, error as Error);
    }
    this.#listen();
  }

  /** A call could not be written: ends the wait for its answer. */
  #unsent(id: number, error: Error): void {
    const waiter = this.#waiters.get(id);
    this.#waiters.delete(id);
    waiter?.reject(error);
  }

  #sendSync(body: RecordBody, id: number, what: string): void {
    if (!this.#calls.pushSync(id, body, CALL_SYNC_MAX_MS)) throw silent(what);
  }

  /** Wakes the engine if it sleeps; to be done after each call that was written. */
  #kick(): void {
    if (!this.#slots.takeAsleep()) return;
    try {
      this.#region.kick();
    } catch (error) {
      // The engine woke by something else, and has taken the call: one that has closed the node.
      const isLast = error instanceof TdsmError && error.code === "NodeClosed";
      if (!isLast || this.#closeCall === 0) throw error;
    }
  }

  #takeAll(): void {
    for (let next = this.#answers.pop(); next !== undefined; next = this.#answers.pop()) {
      this.#take(next);
    }
  }

  /**
   * Takes answers while a call of this thread waits for one. A thread that serves remote calls
   * listens all the time, so a call that it makes never starts another node's procedure from here.
   */
  #listen(): void {
    if (this.#listening) return;
    this.#listening = true;
    try {
      while (this.#waiters.size > 0 || this.#serve !== undefined) {
        const { ended } = this.#slots;
        const record = this.#answers.pop();
        if (record !== undefined) this.#take(record);
        else if (ended) this.#learn();
        else {
          const arrived = this.#answers.untilRecord();
          // The engine may have ended before this thread waited to be woken.
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
    const { kind, call } = record;
    if (kind === Answer.Serve) {
      // A blocking call stands in the middle of the program's code: no procedure may run inside of
      // it.
      if (this.#blocking > 0 || this.#unserved.length > 0) this.#unserved.push(record);
      else this.#serve?.(record);
      return;
    }
    const waiter = this.#waiters.get(call);
    if (waiter === undefined) return;
    this.#waiters.delete(call);
    if (kind !== Answer.Error) return waiter.resolve(record);
    const error = unpackError(valueOf(record) as unknown as PackedError);
    // An error that names no operation is about the node, and gets the operation of each call it
    // ends.
    waiter.reject(error.operation === undefined ? this.#tellFailure(waiter.what, error) : error);
  }

  /**
   * Serves the remote calls that came while this thread blocked, once the blocking call has
   * returned.
   */
  #serveLater(): void {
    if (this.#unserved.length === 0) return;
    queueMicrotask(() => {
      for (let next = this.#unserved.shift(); next !== undefined; next = this.#unserved.shift()) {
        this.#serve?.(next);
      }
    });
  }
}

function silent(what: string): TdsmError {
  const why = `the engine is silent for ${CALL_SYNC_MAX_MS} ms`;
  return failedError(what, new TdsmError("EngineFailed", why));
}

/**
 * The error of a thread that the directory node leaves without an answer for too long.
 *
 * @param what What was wanted.
 * @returns The error.
 */
export function silentDirectory(what: string): TdsmError {
  const why = "the directory node does not answer";
  return failedError(what, new TdsmError("EngineFailed", why));
}
