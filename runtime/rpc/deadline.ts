/**
 * Ends calls early: after a time, or by a signal of the program.
 */

import { TdsmError } from "../errors.ts";
import { RPC_TIMEOUT_MAX_MS } from "../limits.ts";
import type { RpcOptions } from "./types.ts";

/**
 * Refuses what is no time to wait for an answer.
 *
 * @param procedure The procedure, for the message.
 * @param timeoutMs The time, if there is one.
 * @throws {RangeError} When it is none.
 */
export function requireTimeout(procedure: string, timeoutMs: number | undefined): void {
  if (timeoutMs === undefined || (timeoutMs > 0 && timeoutMs <= RPC_TIMEOUT_MAX_MS)) return;
  const bounds = `timeoutMs must be above 0 and at most ${RPC_TIMEOUT_MAX_MS}`;
  throw new RangeError(`Cannot call ${procedure} within ${timeoutMs} ms: ${bounds}`);
}

/**
 * Does something that may end early.
 *
 * @param what What could not be done if it ends early, for the message.
 * @param options When it ends early.
 * @param start Begins it; is given a signal, where it may end early, that fires when it does.
 * @returns Its result.
 * @throws {TdsmError} `Aborted` or `TimedOut` when it ended early.
 */
export async function endEarly<T>(
  what: string,
  { signal, timeoutMs }: RpcOptions,
  start: (signal: AbortSignal | undefined) => Promise<T>,
): Promise<T> {
  if (signal === undefined && timeoutMs === undefined) return await start(undefined);
  const ended = new AbortController();
  const early = Promise.withResolvers<never>();
  const end = (error: TdsmError): void => {
    early.reject(error);
    ended.abort(error);
  };
  const abort = (): void => {
    const init = { operation: "call", cause: signal?.reason };
    end(new TdsmError("Aborted", `${what}: its signal fired`, init));
  };
  const expire = (): void => {
    const message = `${what}: no answer within ${timeoutMs} ms; it may still run there`;
    end(new TdsmError("TimedOut", message, { operation: "call" }));
  };
  // Thrown once `start` has begun nothing: what is aborted already is not done at all.
  if (signal?.aborted) abort();
  signal?.addEventListener("abort", abort, { once: true });
  const timer = timeoutMs === undefined ? undefined : setTimeout(expire, timeoutMs);
  try {
    if (ended.signal.aborted) return await early.promise;
    return await Promise.race([start(ended.signal), early.promise]);
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener("abort", abort);
  }
}
