/**
 * Waiting for the engine's answer until it comes, or the program gives up: by a time-out or, where
 * the thread does not block, by a signal.
 */

import { TdsmError } from "../errors.ts";
import { Answer } from "../ring/calls.ts";
import type { EngineClient } from "../ring/client.ts";
import type { RecordBody, RingRecord } from "../ring/ring.ts";
import { BLOCK_NAMES, checkWait, WAIT_NAMES, watchBounds } from "../arguments/wait_bounds.ts";

/**
 * The bounds of a wait: a time-out, a signal, or both.
 *
 * @example End a wait by a signal
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
  /**
   * Ends the wait with a `TimedOut` error, in milliseconds. 0 is not to wait: what is there at once
   * is taken.
   */
  readonly timeoutMs?: number;
}

/**
 * The bound of a wait that blocks the thread.
 *
 * @example Block for at most 100 ms
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
  /**
   * Ends the wait with a `TimedOut` error, in milliseconds. 0 is not to wait: what is there at once
   * is taken.
   */
  readonly timeoutMs?: number;
}

/**
 * Asks the engine, and waits for the answer without blocking.
 *
 * @param client The thread's way to its engine.
 * @param body What is asked.
 * @param what The same as the program would say it: "acquire semaphore 7".
 * @param options How long to wait.
 * @returns The answer.
 * @throws {TypeError} When the options are none.
 * @throws {RangeError} When the time-out cannot be used.
 * @throws {TdsmError} `TimedOut`, or why there is no answer; or the signal's reason.
 */
export async function waitFor(
  client: EngineClient,
  body: RecordBody,
  what: string,
  options: WaitOptions = {},
): Promise<RingRecord> {
  checkWait(options, WAIT_NAMES, what);
  options.signal?.throwIfAborted();
  const { id, answer } = client.start(body, what);
  // The answer is awaited even where the wait has ended: a permit may have come at the same moment.
  let ended: "signal" | "timeoutMs" | undefined;
  using _bounds = watchBounds(options, (reached) => {
    ended = reached;
    client.cancel(id);
  });
  const record = await answer;
  if (record.kind !== Answer.Cancelled) return record;
  throw ended === "signal" ? options.signal!.reason : timedOut(what, options.timeoutMs!);
}

/**
 * Asks the engine, and blocks this thread until the answer is there.
 *
 * @param client The thread's way to its engine.
 * @param body What is asked.
 * @param what The same as the program would say it.
 * @param options How long to wait.
 * @returns The answer.
 * @throws {TypeError} When the options are none.
 * @throws {RangeError} When the time-out cannot be used.
 * @throws {TdsmError} `TimedOut`, or why there is no answer.
 */
export function blockFor(
  client: EngineClient,
  body: RecordBody,
  what: string,
  options: BlockOptions = {},
): RingRecord {
  checkWait(options, BLOCK_NAMES, what);
  const record = client.block(body, what, options.timeoutMs);
  if (record.kind === Answer.Cancelled) throw timedOut(what, options.timeoutMs!);
  return record;
}

/**
 * The error of a wait whose time is up.
 *
 * @param what What was waited for.
 * @param timeoutMs The time, in milliseconds.
 * @returns The error.
 */
export function timedOut(what: string, timeoutMs: number): TdsmError {
  const message = `Could not ${what} within ${timeoutMs} ms`;
  return new TdsmError("TimedOut", message, { operation: what });
}
