/**
 * The bounds of what a program waits for, be it an answer of the directory node or of a called
 * node: a time-out, a signal, or both. A time-out of 0 is not to wait: what is there at once is
 * taken.
 */

import { TIMEOUT_MAX_MS } from "../limits.ts";
import { checkOptions } from "./options.ts";
import { show } from "./show.ts";

/** When a wait ends early. */
export interface WaitBounds {
  /** Ends the wait when it fires. */
  readonly signal?: AbortSignal | undefined;
  /** Ends the wait after so many milliseconds. */
  readonly timeoutMs?: number | undefined;
}

/** The bounds of a wait that lets its thread go on. */
export const WAIT_NAMES = ["timeoutMs", "signal"] as const satisfies (keyof WaitBounds)[];
/** The bounds of a wait that blocks its thread: no signal could fire. */
export const BLOCK_NAMES = ["timeoutMs"] as const satisfies (keyof WaitBounds)[];

/**
 * Checks the options of a wait.
 *
 * @param options What was given.
 * @param names The options that there are.
 * @param what What is waited for: "acquire semaphore 7".
 * @throws {TypeError} When it is no such object, or one with another option, or an option is of
 * another type.
 * @throws {RangeError} When the time cannot be counted.
 */
export function checkWait(options: unknown, names: readonly string[], what: string): void {
  if (options instanceof AbortSignal && names.includes("signal")) {
    throw new TypeError(`Cannot ${what} with an AbortSignal alone: give it as { signal }`);
  }
  const { timeoutMs, signal } = checkOptions(options, names, what, "{ timeoutMs: 1000 }");
  if (signal !== undefined && !(signal instanceof AbortSignal)) {
    throw new TypeError(`Cannot ${what} with ${show(signal)} as signal: give an AbortSignal`);
  }
  if (timeoutMs === undefined) return;
  if (typeof timeoutMs === "number" && timeoutMs >= 0 && timeoutMs <= TIMEOUT_MAX_MS) return;
  // A timer treats a longer time as 1 ms.
  const bounds = `timeoutMs is a number from 0 to ${TIMEOUT_MAX_MS}; leave it out to wait for ever`;
  const Wrong = typeof timeoutMs === "number" ? RangeError : TypeError;
  throw new Wrong(`Cannot ${what} within ${show(timeoutMs)} ms: ${bounds}`);
}

/**
 * Watches the bounds of a wait that lets its thread go on.
 *
 * @param bounds The bounds; a signal that has fired already is not seen.
 * @param end Called once, when the first of the bounds is reached: with which.
 * @returns To be disposed of when the wait is over.
 */
export function watchBounds(
  { signal, timeoutMs }: WaitBounds,
  end: (reached: keyof WaitBounds) => void,
): Disposable {
  const stop = (): void => {
    clearTimeout(timer);
    signal?.removeEventListener("abort", abort);
  };
  const reach = (reached: keyof WaitBounds): void => {
    stop();
    end(reached);
  };
  const abort = (): void => reach("signal");
  signal?.addEventListener("abort", abort);
  const timer = timeoutMs === undefined ? undefined : setTimeout(reach, timeoutMs, "timeoutMs");
  return { [Symbol.dispose]: stop };
}
