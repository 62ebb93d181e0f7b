/**
 * The steps of one wait for a word, as its thread takes them: pure, so that they are simulated with
 * the desk.
 */

import { SyncOperation, SyncStatus } from "./messages.ts";

/**
 * How a wait for a word ends, in the words of `Atomics.wait`.
 *
 * @example Tell a time-out from a notify
 * ```ts
 * import { type FutexOutcome, join } from "@tdsm/runtime";
 *
 * await using node = await join({ directory: true, port: 0 });
 * const outcome: FutexOutcome = node.futex.wait(node.view(Int32Array, 0, 1), 0, 0, 1);
 * console.log(outcome); // timed-out
 * ```
 */
export type FutexOutcome = "ok" | "not-equal" | "timed-out";

/** Where a wait stands that has not ended. */
export type FutexStep =
  /** The desk has yet to acknowledge it. */
  | "registering"
  /** Its thread has found the word unchanged. */
  | "asleep"
  /** It was given up, as its time is over. */
  | "expired"
  /** It was given up, as its thread has found the word changed. */
  | "changed";

/** What a step leads to. */
export interface FutexMove {
  /** Where the wait stands now; or how it has ended. */
  readonly step: FutexStep | FutexOutcome;
  /** What to tell the desk. */
  readonly say?: typeof SyncOperation.FutexStay | typeof SyncOperation.Cancel;
}

/**
 * The desk has answered.
 *
 * @param step Where the wait stands.
 * @param status The answer.
 * @param isUnchanged Looks at the word. It is called after the acknowledgement and not before: a
 * notify that comes earlier wakes nobody, but what was written before it is seen.
 * @returns What follows; `undefined` where the desk may not answer so.
 */
export function futexAnswered(
  step: FutexStep,
  status: SyncStatus,
  isUnchanged: () => boolean,
): FutexMove | undefined {
  switch (status) {
    case SyncStatus.Registered:
      if (step !== "registering") return undefined;
      return isUnchanged()
        ? { step: "asleep", say: SyncOperation.FutexStay }
        : { step: "changed", say: SyncOperation.Cancel };
    case SyncStatus.Done:
      return step === "asleep" || step === "expired" ? { step: "ok" } : undefined;
    case SyncStatus.Cancelled:
      return { step: step === "changed" ? "not-equal" : "timed-out" };
    default:
      return undefined;
  }
}

/**
 * The time of a wait is over.
 *
 * @param step Where the wait stands.
 * @returns What follows. One that is not acknowledged is given up once it is.
 */
export function futexExpired(step: FutexStep): FutexMove {
  return step === "asleep" ? { step: "expired", say: SyncOperation.Cancel } : { step };
}
