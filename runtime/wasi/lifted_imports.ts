/**
 * What a program's lifted functions import: its condition variables and barriers, of which the
 * objects in its memory are no more than names.
 */

import type { AttachedNode } from "../node/attach.ts";
import { beginWait, type BegunWait, postNotify } from "../node/futex.ts";
import type { LiftFunction } from "../wasm/code.ts";
import { Errno } from "./errno.ts";

/** What `pthread_barrier_wait` returns to one thread of each round. */
const SERIAL_THREAD = -1;
/** The layout of a `timespec`. */
const Time = { Seconds: 0, Nanoseconds: 8 } as const;
const SECOND_NS = 1_000_000_000;

/**
 * Makes the imports of lifted functions, for the instances of one thread.
 *
 * @param node The thread's node.
 * @param buffer The program's memory.
 * @param nowNs The time of the program's clocks, in nanoseconds.
 * @returns The imports.
 */
export function makeLiftedImports(
  node: AttachedNode,
  buffer: ArrayBufferLike,
  nowNs: () => bigint,
): Record<LiftFunction, (...args: number[]) => number> {
  const words = new Int32Array(buffer);
  const view = new DataView(buffer);
  /** The wait that this thread has begun, for what, and when it gives up. */
  let wait: BegunWait | undefined;
  let word = 0;
  let giveUpAt = 0;
  /** The place of a condition variable as a word that is waited for, and never read. */
  const wordOf = (address: number): number => address >>> 2;
  const leftMs = (deadline: number): number => {
    const seconds = view.getBigInt64(deadline + Time.Seconds, true);
    const ns = view.getInt32(deadline + Time.Nanoseconds, true);
    return Number(seconds * BigInt(SECOND_NS) + BigInt(ns) - nowNs()) / 1e6;
  };
  return {
    beginCondWait: (condition, deadline) => {
      const at = deadline >>> 0;
      if (at !== 0 && view.getUint32(at + Time.Nanoseconds, true) >= SECOND_NS) {
        return Errno.Invalid;
      }
      // In this order: a thread that has no core between the two waits for longer, not shorter.
      giveUpAt = (at === 0 ? Infinity : leftMs(at)) + performance.now();
      word = wordOf(condition);
      wait = beginWait(node.futex, words, word);
      return Errno.Success;
    },
    endCondWait: (isRefused) => {
      const isWoken = wait!.end(isRefused === 0 ? giveUpAt : 0);
      wait = undefined;
      // It was for a thread that waits.
      if (isWoken && isRefused !== 0) postNotify(node.futex, words, word, 1);
      return isWoken ? Errno.Success : Errno.TimedOut;
    },
    wakeCond: (condition, count) => {
      postNotify(node.futex, words, wordOf(condition), count >>> 0);
      return Errno.Success;
    },
    waitAtBarrier: (barrier, parties) => {
      // A barrier that is made anew at the same place, for others, is another one.
      const name = `pthread_barrier at ${barrier >>> 0} of ${parties}`;
      return node.barrier(name, parties).waitSync() ? SERIAL_THREAD : 0;
    },
  };
}
