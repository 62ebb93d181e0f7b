/**
 * Waiting for words of the region, on any node, as `Atomics.wait` waits for words of a process.
 */

import type { TdsmError } from "../errors.ts";
import { type EngineClient, silentDirectory } from "../ring/client.ts";
import type { RingRecord } from "../ring/ring.ts";
import type { WordMarks } from "../ring/word_marks.ts";
import { type SyncAnswer, syncAnswer, syncBody, type SyncDemand } from "../ring/sync_records.ts";
import type { ThreadLink } from "../ring/thread_link.ts";
import { show } from "../arguments/show.ts";
import {
  DESK_SILENCE_MAX_MS,
  FUTEX_COUNT_MAX,
  FUTEX_SPIN_LOOKS,
  THREAD_LINK_UNANSWERED_MAX,
  TIMEOUT_MAX_MS,
} from "../limits.ts";
import {
  futexAnswered,
  futexExpired,
  type FutexMove,
  type FutexOutcome,
  type FutexStep,
} from "../protocol/sync/futex_wait.ts";
import { WordMark } from "../protocol/sync/lent_words.ts";
import { SyncOperation, SyncStatus } from "../protocol/sync/messages.ts";
import { type DeskCall, EngineCall, LinkCall } from "./desk_call.ts";
import { LookTime } from "./look_time.ts";
import type { RegionMemory } from "./memory.ts";
import { type SyncClient, syncError } from "./sync_client.ts";

/**
 * A typed array whose elements a thread can wait for: of the region, by `node.view`, `node.alloc`
 * or over `node.shared`.
 *
 * @example Either kind of word
 * ```ts
 * import { type FutexView, join } from "@tdsm/runtime";
 *
 * await using node = await join({ directory: true, port: 0 });
 * const views: FutexView[] = [node.view(Int32Array, 0, 1), node.view(BigInt64Array, 8, 1)];
 * console.log(views.map((view) => node.futex.notify(view, 0))); // [ 0, 0 ]
 * ```
 */
export type FutexView = Int32Array<ArrayBufferLike> | BigInt64Array<ArrayBufferLike>;

/**
 * How a wait that does not block began: it has ended already, or `value` resolves when it ends.
 *
 * @example Wait without blocking
 * ```ts
 * import { type FutexWaitAsync, join } from "@tdsm/runtime";
 *
 * await using node = await join({ directory: true, port: 0 });
 * const cells = node.view(Int32Array, 0, 1);
 * const begun: FutexWaitAsync = node.futex.waitAsync(cells, 0, 0);
 * node.futex.notify(cells, 0);
 * console.log(await begun.value); // ok
 * ```
 */
export type FutexWaitAsync =
  | { readonly async: false; readonly value: "not-equal" | "timed-out" }
  | { readonly async: true; readonly value: Promise<"ok" | "timed-out"> };

const MS_US = 1000;

/** What {@linkcode Futex} is made of. */
export interface FutexParts {
  readonly client: EngineClient;
  readonly sync: SyncClient;
  readonly memory: RegionMemory;
  readonly wordMarks: WordMarks;
  /** Lets another thread have this core, if one waits for the core. */
  readonly giveWay: () => void;
}

/**
 * Makes the futex of a thread's node. Set by the class: programs have no constructor of it.
 *
 * @param parts What it is made of.
 * @returns The futex.
 */
export let newFutex: (parts: FutexParts) => Futex;

/** A wait for notifies alone, whatever the value of the word: it has begun before it blocks. */
export interface BegunWait {
  /**
   * Blocks this thread until the wait has ended.
   *
   * @param giveUpAt When to give up, by `performance.now`.
   * @returns Whether a notify has ended it.
   * @throws {TdsmError} Why the node cannot go on.
   */
  end(giveUpAt: number): boolean;
}

/**
 * Begins to wait for notifies at a word, which is never looked at. Set by the class.
 *
 * @param futex The thread's futex.
 * @param view The array.
 * @param index The element.
 * @returns The wait: every notify from here on may end it. The thread may do other things first.
 * @throws {TdsmError} `LimitExceeded` when too many threads wait, or why the node cannot go on.
 */
export let beginWait: (futex: Futex, view: FutexView, index: number) => BegunWait;

/**
 * Wakes threads as `notify` does, but goes on without knowing how many where the last one has woken
 * some. Set by the class.
 *
 * @param futex The thread's futex.
 * @param view The array.
 * @param index The element.
 * @param count How many to wake at most.
 * @throws {TdsmError} Why the node cannot go on, or why an earlier one was refused; this one is not
 * made then.
 */
export let postNotify: (futex: Futex, view: FutexView, index: number, count: number) => void;

/**
 * `Atomics.wait`, `waitAsync` and `notify` for words of the region: a thread that waits is woken by
 * a notify of any thread of any node. Arguments and results are those of `Atomics`.
 *
 * A thread looks at its word for a short time before it goes to sleep. A notify at a word where
 * nobody has slept lately sends no message, nor do waits and notifies at a word that no other node
 * has used for a while.
 *
 * @example Wait until another thread has changed a word
 * ```ts
 * import { join } from "@tdsm/runtime";
 *
 * await using node = await join({ directory: true, port: 0 });
 * const ready = node.view(Int32Array, 0, 1);
 * // Another thread of any node: Atomics.store(ready, 0, 1); node.futex.notify(ready, 0);
 * console.log(node.futex.wait(ready, 0, 0, 10)); // timed-out
 * ```
 */
export class Futex {
  #client!: EngineClient;
  #sync!: SyncClient;
  #memory!: RegionMemory;
  #wordMarks!: WordMarks;
  #giveWay!: () => void;
  /** How long this thread looks before it asks the desk. */
  readonly #lookTime = new LookTime();
  /**
   * Whether this thread's last notify has woken a thread. Then the next one will, too, and goes by
   * the thread's own link. Any other goes by the engine, which learns where words are quiet, and so
   * does one at a word that is lent to the node.
   */
  #wakes = false;
  /** The notifies that have no answer yet, which no call waits for. */
  #posted = 0;
  /** Why one of them was refused, until a call throws it: any other call may read the answer. */
  #failure: TdsmError | undefined;

  static {
    newFutex = ({ client, sync, memory, wordMarks, giveWay }) => {
      const futex = new Futex();
      futex.#client = client;
      futex.#sync = sync;
      futex.#memory = memory;
      futex.#wordMarks = wordMarks;
      futex.#giveWay = giveWay;
      return futex;
    };
    beginWait = (futex, view, index) => futex.#register(view, index);
    postNotify = (futex, view, index, count) => futex.#post(view, index, count);
  }

  /** `node.futex` is one. */
  private constructor() {}

  /**
   * Blocks this thread until a word is notified, unless the word has another value than expected.
   *
   * @param view The array.
   * @param index The element.
   * @param value What the element is expected to be.
   * @param timeoutMs When to give up, in milliseconds; by default never.
   * @returns `"ok"` when notified, `"not-equal"` when the word had another value, `"timed-out"`.
   * @throws {TypeError} When the view is no `Int32Array` or `BigInt64Array`, or the value fits not.
   * @throws {RangeError} When the element is not in the view, or the view not over the region.
   * @throws {TdsmError} `LimitExceeded` when too many threads wait, or why the node cannot go on.
   */
  wait(
    view: Int32Array<ArrayBufferLike>,
    index: number,
    value: number,
    timeoutMs?: number,
  ): FutexOutcome;
  /**
   * The same for a word of 64 bits.
   *
   * @param view The array.
   * @param index The element.
   * @param value What the element is expected to be.
   * @param timeoutMs When to give up, in milliseconds; by default never.
   * @returns `"ok"` when notified, `"not-equal"` when the word had another value, `"timed-out"`.
   * @throws {TypeError} When the view is no `Int32Array` or `BigInt64Array`, or the value fits not.
   * @throws {RangeError} When the element is not in the view, or the view not over the region.
   * @throws {TdsmError} `LimitExceeded` when too many threads wait, or why the node cannot go on.
   */
  wait(
    view: BigInt64Array<ArrayBufferLike>,
    index: number,
    value: bigint,
    timeoutMs?: number,
  ): FutexOutcome;
  wait(view: FutexView, index: number, value: number | bigint, timeoutMs?: number): FutexOutcome {
    const { what, byte, isUnchanged, timeout } = this.#begin(view, index, value, timeoutMs);
    const begunAt = performance.now();
    const giveUpAt = begunAt + timeout;
    if (!this.#spin(isUnchanged, giveUpAt)) return "not-equal";
    if (timeout === 0) return "timed-out";
    const isLent = this.#isLent(byte);
    const link = isLent ? undefined : this.#sync.ownLink;
    const call = this.#ask(link, waitDemand(byte), what);
    const end = new OpenWait(call, what, isUnchanged).end(giveUpAt);
    // A link of its own is of no use for words that are lent to the node.
    if (link === undefined && !isLent) this.#client.blockedByEngine();
    if (end === "timed-out") this.#lookTime.inVain();
    else this.#lookTime.ended((performance.now() - begunAt) * MS_US);
    return end;
  }

  #register(view: FutexView, index: number): BegunWait {
    const { what, byte } = this.#begin(view, index, 0, undefined);
    const isLent = this.#isLent(byte);
    const link = isLent ? undefined : this.#sync.ownLink;
    const call = this.#ask(link, waitDemand(byte), what);
    const wait = new OpenWait(call, what, () => true);
    wait.register();
    call.keep();
    return {
      end: (giveUpAt) => {
        const end = wait.end(giveUpAt);
        if (link === undefined && !isLent) this.#client.blockedByEngine();
        return end === "ok";
      },
    };
  }

  /**
   * The same without blocking while it waits: only until the wait is registered, so that a notify
   * that comes later wakes it.
   *
   * @param view The array.
   * @param index The element.
   * @param value What the element is expected to be.
   * @param timeoutMs When to give up, in milliseconds; by default never.
   * @returns Whether it waits, and how the wait has ended, or will.
   * @throws {TypeError} When the view is no `Int32Array` or `BigInt64Array`, or the value fits not.
   * @throws {RangeError} When the element is not in the view, or the view not over the region.
   * @throws {TdsmError} `LimitExceeded` when too many threads wait, or why the node cannot go on.
   */
  waitAsync(
    view: Int32Array<ArrayBufferLike>,
    index: number,
    value: number,
    timeoutMs?: number,
  ): FutexWaitAsync;
  /**
   * The same for a word of 64 bits.
   *
   * @param view The array.
   * @param index The element.
   * @param value What the element is expected to be.
   * @param timeoutMs When to give up, in milliseconds; by default never.
   * @returns Whether it waits, and how the wait has ended, or will.
   * @throws {TypeError} When the view is no `Int32Array` or `BigInt64Array`, or the value fits not.
   * @throws {RangeError} When the element is not in the view, or the view not over the region.
   * @throws {TdsmError} `LimitExceeded` when too many threads wait, or why the node cannot go on.
   */
  waitAsync(
    view: BigInt64Array<ArrayBufferLike>,
    index: number,
    value: bigint,
    timeoutMs?: number,
  ): FutexWaitAsync;
  waitAsync(
    view: FutexView,
    index: number,
    value: number | bigint,
    timeoutMs?: number,
  ): FutexWaitAsync {
    const { what, byte, isUnchanged, timeout } = this.#begin(view, index, value, timeoutMs);
    if (!isUnchanged()) return { async: false, value: "not-equal" };
    if (timeout === 0) return { async: false, value: "timed-out" };
    const call = new EngineCall(this.#client, waitDemand(byte), what);
    const wait = new OpenWait(call, what, isUnchanged);
    wait.register();
    if (wait.step === "changed") {
      call.next(DESK_SILENCE_MAX_MS);
      return { async: false, value: "not-equal" };
    }
    const { promise, resolve, reject } = Promise.withResolvers<"ok" | "timed-out">();
    const timer = timeout > TIMEOUT_MAX_MS
      ? undefined
      : setTimeout(() => wait.move(futexExpired(wait.step as FutexStep)), timeout);
    const look = (): void => {
      const { answers, error } = call.open;
      try {
        for (let next = answers.shift(); next !== undefined; next = answers.shift()) {
          wait.take(call.read(next));
        }
        if (error !== undefined) throw error;
      } catch (error) {
        clearTimeout(timer);
        return reject(error);
      }
      if (isOpen(wait.step)) return;
      clearTimeout(timer);
      resolve(wait.step as "ok" | "timed-out");
    };
    call.open.answered = look;
    look();
    this.#client.listen();
    return { async: true, value: promise };
  }

  /**
   * Wakes threads that wait for a word, on any node, those first that have waited longest.
   *
   * @param view The array.
   * @param index The element.
   * @param count How many at most; by default all.
   * @returns How many were woken.
   * @throws {TypeError} When the view is no `Int32Array` or `BigInt64Array`.
   * @throws {RangeError} When the element is not in the view, or the view not over the region.
   * @throws {TdsmError} `LimitExceeded` when too many threads wait, or why the node cannot go on.
   */
  notify(view: FutexView, index: number, count?: number): number {
    const byte = this.#byteOf(view, index, "notify");
    const wanted = count === undefined ? Infinity : Math.max(0, Math.trunc(Number(count)) || 0);
    const refusal = this.#client.refusal("notify");
    if (refusal !== undefined) throw refusal;
    this.#throwFailure();
    const marks = this.#wordMarks.of(byte);
    if (wanted === 0 || (marks & WordMark.Quiet) !== 0) return 0;
    const { demand, what } = notifyDemand(byte, wanted);
    const isLent = (marks & WordMark.Lent) !== 0;
    const link = this.#wakes && !isLent ? this.#sync.ownLink : undefined;
    return this.#notified(this.#ask(link, demand, what).next(Infinity)!, what);
  }

  #post(view: FutexView, index: number, count: number): void {
    const byte = this.#byteOf(view, index, "notify");
    if (!this.#wakes || this.#posted === THREAD_LINK_UNANSWERED_MAX) {
      this.notify(view, index, count);
      return;
    }
    this.#throwFailure();
    const marks = this.#wordMarks.of(byte);
    if (count === 0 || (marks & WordMark.Quiet) !== 0) return;
    const { demand, what } = notifyDemand(byte, count);
    const refused = (error: TdsmError): void => {
      this.#posted--;
      this.#failure ??= error;
    };
    const answered = (answer: SyncAnswer): void => {
      if (!isNotified(answer)) return refused(syncError(answer, what));
      this.#posted--;
      this.#wakes = answer.count > 0;
    };
    const link = (marks & WordMark.Lent) !== 0 ? undefined : this.#sync.ownLink;
    const told = (record: RingRecord): void => answered(syncAnswer(record));
    if (link !== undefined) link.send(demand, answered);
    else this.#client.tell(syncBody(demand), what, told, refused);
    this.#posted++;
  }

  /** Tells the caller that an earlier notify was refused whose answer no call waited for. */
  #throwFailure(): void {
    const failure = this.#failure;
    this.#failure = undefined;
    if (failure !== undefined) throw failure;
  }

  /** A notify is answered: how many threads it has woken. */
  #notified(answer: SyncAnswer, what: string): number {
    if (!isNotified(answer)) throw syncError(answer, what);
    this.#wakes = answer.count > 0;
    return answer.count;
  }

  /** Asks the desk by this thread's own link or, where that is not given, by the engine. */
  #ask(link: ThreadLink | undefined, demand: SyncDemand, what: string): DeskCall {
    return link === undefined
      ? new EngineCall(this.#client, demand, what)
      : new LinkCall(this.#client, this.#sync, link, demand, what);
  }

  /** Checks what a wait was given. */
  #begin(view: FutexView, index: number, value: number | bigint, timeoutMs: number | undefined): {
    what: string;
    byte: number;
    isUnchanged: () => boolean;
    timeout: number;
  } {
    const byte = this.#byteOf(view, index, "wait for");
    const what = `wait for byte ${byte} of the region`;
    const refusal = this.#client.refusal(what);
    if (refusal !== undefined) throw refusal;
    this.#throwFailure();
    // As `Atomics.wait` reads its arguments.
    const timeout = timeoutMs === undefined || Number.isNaN(Number(timeoutMs))
      ? Infinity
      : Math.max(0, Number(timeoutMs));
    if (view instanceof BigInt64Array) {
      const expected = BigInt.asIntN(64, BigInt(value));
      return { what, byte, isUnchanged: () => Atomics.load(view, index) === expected, timeout };
    }
    const expected = (value as number) | 0;
    return { what, byte, isUnchanged: () => Atomics.load(view, index) === expected, timeout };
  }

  #byteOf(view: FutexView, index: number, verb: string): number {
    if (!(view instanceof Int32Array || view instanceof BigInt64Array)) {
      throw new TypeError(
        `Cannot ${verb} an element of ${show(view)}: give an Int32Array or a BigInt64Array`,
      );
    }
    if (!Number.isInteger(index) || index < 0 || index >= view.length) {
      throw new RangeError(`Cannot ${verb} element ${show(index)} of ${view.length}`);
    }
    const offset = this.#memory.offsetOf(view);
    if (offset !== undefined) return offset + index * view.BYTES_PER_ELEMENT;
    throw new RangeError(`Cannot ${verb} an element of an array that is not over the region`);
  }

  /** Whether none but threads of this node use a word. */
  #isLent(byte: number): boolean {
    return (this.#wordMarks.of(byte) & WordMark.Lent) !== 0;
  }

  /** Looks at a word for a while; `false` once the word has changed. */
  #spin(isUnchanged: () => boolean, giveUpAt: number): boolean {
    if (!isUnchanged()) return false;
    const endAt = Math.min(performance.now() + this.#lookTime.us / MS_US, giveUpAt);
    do {
      // The thread that is to change the word may be one that waits for this core.
      this.#giveWay();
      for (let looks = 0; looks < FUTEX_SPIN_LOOKS; looks++) {
        if (isUnchanged()) continue;
        this.#lookTime.ended(0);
        return false;
      }
    } while (performance.now() < endAt);
    return true;
  }
}

/** A wait that the desk knows of, or will. */
class OpenWait {
  step: FutexStep | FutexOutcome = "registering";
  readonly #call: DeskCall;
  readonly #what: string;
  readonly #isUnchanged: () => boolean;

  constructor(call: DeskCall, what: string, isUnchanged: () => boolean) {
    this.#call = call;
    this.#what = what;
    this.#isUnchanged = isUnchanged;
  }

  /** The desk has answered. */
  take(answer: SyncAnswer): void {
    const move = futexAnswered(this.step as FutexStep, answer.status, this.#isUnchanged);
    if (move === undefined) throw syncError(answer, this.#what);
    this.move(move);
  }

  /** Blocks until the desk answers what it answers soon. */
  register(): void {
    const answer = this.#call.next(DESK_SILENCE_MAX_MS);
    if (answer !== undefined) return this.take(answer);
    // Or the desk would have a wait whose thread never looks, and every notify there waits for it.
    if (this.step === "registering") this.#call.cancel();
    throw silentDirectory(this.#what);
  }

  /** Blocks until it has ended. */
  end(giveUpAt: number): FutexOutcome {
    while (isOpen(this.step)) {
      if (this.step !== "asleep") {
        this.register();
        continue;
      }
      const answer = this.#call.next(Math.max(0, giveUpAt - performance.now()));
      if (answer !== undefined) this.take(answer);
      else this.move(futexExpired(this.step));
    }
    return this.step;
  }

  /** Goes on. */
  move({ step, say }: FutexMove): void {
    this.step = step;
    if (say === SyncOperation.Cancel) this.#call.cancel();
    else if (say !== undefined) this.#call.stay();
  }
}

function waitDemand(byte: number): SyncDemand {
  return { operation: SyncOperation.FutexWait, key: BigInt(byte) };
}

function notifyDemand(byte: number, count: number): { demand: SyncDemand; what: string } {
  const operation = SyncOperation.FutexNotify;
  const demand = { operation, key: BigInt(byte), count: Math.min(count, FUTEX_COUNT_MAX) } as const;
  return { demand, what: `notify byte ${byte} of the region` };
}

function isNotified({ status }: SyncAnswer): boolean {
  return status === SyncStatus.Notified || status === SyncStatus.Quiet;
}

function isOpen(step: FutexStep | FutexOutcome): step is FutexStep {
  return step !== "ok" && step !== "not-equal" && step !== "timed-out";
}
