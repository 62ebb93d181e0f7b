/**
 * A thread's requests about semaphores, barriers and mutexes: what goes into the ring, and what the
 * answers mean.
 */

import { encode } from "../std/msgpack_encode.js";
import { Call } from "../ring/calls.ts";
import type { EngineClient, StartedCall } from "../ring/client.ts";
import { TdsmError } from "../errors.ts";
import { TIMEOUT_MAX_MS } from "../limits.ts";
import { decodeFrame } from "../wire/page_frames.ts";
import { encodeSync, SYNC_MAX_BYTES } from "../wire/sync_frames.ts";
import {
  type SyncOperation,
  type SyncReply,
  type SyncRequest,
  SyncStatus,
} from "../protocol/sync/messages.ts";

/**
 * How long, and until what, to wait.
 *
 * @example Wait until a signal says otherwise
 * ```ts
 * import { join, type WaitOptions } from "@tdsm/runtime";
 *
 * await using node = await join({ directory: true, port: 0 });
 * const given = new AbortController();
 * const options: WaitOptions = { signal: given.signal };
 * const waiting = node.semaphore(1n).acquire(options).catch((reason) => reason);
 * given.abort("enough");
 * console.log(await waiting); // enough
 * ```
 */
export interface WaitOptions {
  /** Ends the wait with its reason. */
  readonly signal?: AbortSignal;
  /** Ends the wait with a `TimedOut` error, in milliseconds. */
  readonly timeoutMs?: number;
}

/**
 * How long to wait, where the thread blocks.
 *
 * @example Block for a tenth of a second at most
 * ```ts
 * import { type BlockOptions, join, TdsmError } from "@tdsm/runtime";
 *
 * await using node = await join({ directory: true, port: 0 });
 * const limit: BlockOptions = { timeoutMs: 100 };
 * try {
 *   node.semaphore(1n).acquireSync(limit);
 * } catch (error) {
 *   if (!(error instanceof TdsmError) || error.code !== "TimedOut") throw error;
 * }
 * ```
 */
export interface BlockOptions {
  /** Ends the wait with a `TimedOut` error, in milliseconds. */
  readonly timeoutMs?: number;
}

/** A request as the program's thread makes it: the engine numbers it. */
type Unnumbered<Request> = Request extends unknown ? Omit<Request, "kind" | "ticket"> : never;
/** What can be asked for. */
export type SyncDemand = Exclude<
  Unnumbered<SyncRequest>,
  { operation: typeof SyncOperation.Cancel }
>;

const NO_REGION = { pageCount: 0, pageSize: 0, runPages: 0 };

/** One thread's way to the directory's semaphores, barriers and mutexes. */
export class SyncClient {
  readonly #client: EngineClient;
  readonly #buffer = new Uint8Array(SYNC_MAX_BYTES);

  /** @param client The thread's way to its engine. */
  constructor(client: EngineClient) {
    this.#client = client;
  }

  /**
   * Asks for what is not waited for.
   *
   * @param demand What is asked for.
   * @param what The same in words. An answer that it was not done ends the program, as an error
   * does that nobody awaits.
   */
  post(demand: SyncDemand, what: () => string): void {
    // When the node cannot go on, everything that waits is told so; this does not wait.
    this.#client.tell(Call.Sync, this.#encode(demand), (bytes) => {
      const reply = decode(bytes);
      if (reply.status !== SyncStatus.Done) void Promise.reject(syncError(reply, what()));
    });
  }

  /**
   * Asks, and waits for the answer without blocking.
   *
   * @param demand What is asked for.
   * @param what The same in words, for messages.
   * @param options How long to wait.
   * @returns The answer.
   * @throws {RangeError} When the time-out cannot be used.
   * @throws {TdsmError} `TimedOut`, or why there is no answer; or the signal's reason.
   */
  async ask(demand: SyncDemand, what: string, options: WaitOptions = {}): Promise<SyncReply> {
    const { signal, timeoutMs } = options;
    checkTimeout(timeoutMs, what);
    signal?.throwIfAborted();
    const started = this.#client.start(Call.Sync, this.#encode(demand));
    if (signal === undefined && timeoutMs === undefined) return decode(await started.answer);
    return await this.#within(started, what, options);
  }

  /** Waits for an answer until a signal or the time ends that. */
  async #within(
    { id, answer }: StartedCall,
    what: string,
    { signal, timeoutMs }: WaitOptions,
  ): Promise<SyncReply> {
    let why: (() => unknown) | undefined;
    const cancel = (reason: () => unknown): void => {
      why ??= reason;
      this.#client.post(Call.SyncCancel, encode(id));
    };
    const abort = (): void => cancel(() => signal!.reason);
    signal?.addEventListener("abort", abort, { once: true });
    const timer = timeoutMs === undefined
      ? undefined
      : setTimeout(() => cancel(() => timedOut(what, timeoutMs)), timeoutMs);
    try {
      const reply = decode(await answer);
      if (reply.status === SyncStatus.Cancelled) throw why!();
      return reply;
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener("abort", abort);
    }
  }

  /** Asks, and blocks this thread until the answer is there. */
  askSync(demand: SyncDemand, what: string, { timeoutMs }: BlockOptions = {}): SyncReply {
    checkTimeout(timeoutMs, what);
    const limit = timeoutMs === undefined ? undefined : { timeoutMs, cancel: Call.SyncCancel };
    const reply = decode(this.#client.block(Call.Sync, this.#encode(demand), limit));
    if (reply.status === SyncStatus.Cancelled) throw timedOut(what, timeoutMs!);
    return reply;
  }

  #encode(demand: SyncDemand): Uint8Array {
    const message = { kind: "sync", ticket: 0, ...demand } as SyncRequest;
    return this.#buffer.slice(0, encodeSync(message, this.#buffer, 0));
  }
}

/** The error that an answer stands for, when it is not what was hoped for. */
export function syncError({ status, parties }: SyncReply, what: string): TdsmError {
  switch (status) {
    case SyncStatus.Overflow:
      return new TdsmError("LimitExceeded", `Cannot ${what}: it would have more than 2^31 - 1`);
    case SyncStatus.PartiesMismatch: {
      const message = `Cannot ${what}: another thread counts ${parties} parties`;
      return new TdsmError("InvalidOption", message);
    }
    case SyncStatus.NotHolder:
      return new TdsmError("InvalidOption", `Cannot ${what}: this lock does not hold it`);
    case SyncStatus.LimitExceeded:
      return new TdsmError("LimitExceeded", `Cannot ${what}: too many are in use`);
    default:
      return new TdsmError("EngineFailed", `Cannot ${what}: unexpected status ${status}`);
  }
}

/** Checks a whole number that a program gives. */
export function checkCount(value: number, least: number, most: number, what: string): void {
  if (Number.isSafeInteger(value) && value >= least && value <= most) return;
  throw new RangeError(`Cannot use ${value} as ${what}: a whole number from ${least} to ${most}`);
}

/** Timers take what is longer for a millisecond. */
function checkTimeout(timeoutMs: number | undefined, what: string): void {
  if (timeoutMs === undefined || (timeoutMs >= 0 && timeoutMs <= TIMEOUT_MAX_MS)) return;
  const bounds = `timeoutMs must be from 0 to ${TIMEOUT_MAX_MS}; leave it out to wait for ever`;
  throw new RangeError(`Cannot ${what} within ${timeoutMs} ms: ${bounds}`);
}

function timedOut(what: string, timeoutMs: number): TdsmError {
  return new TdsmError("TimedOut", `Could not ${what} within ${timeoutMs} ms`);
}

function decode(bytes: Uint8Array): SyncReply {
  const frame = decodeFrame(bytes, 0, bytes.length, NO_REGION);
  if (frame.kind === "sync" && frame.message.kind === "syncReply") return frame.message;
  throw new TdsmError("EngineFailed", "The engine's answer cannot be read");
}
