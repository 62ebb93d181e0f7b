/**
 * Is there one order of all operations on a word in which each takes effect at one moment between
 * its call and its return, and answers what it did? That is linearizability (Herlihy and Wing). It
 * is local: a history is linearizable if that of each word is, so words are checked one by one.
 *
 * The search is that of Wing and Gong with the memory of Lowe ("Testing for linearizability",
 * 2017), done just in time: going through calls and returns in order of time, it keeps every
 * configuration that is possible so far. That is the word's value, and which of the operations
 * under way have taken effect; an operation does so at the latest when it returns. Equal
 * configurations are one. So at a quiescent moment, when nothing is under way, only the possible
 * values are kept.
 */

import { fits, type Operation, printOperation, stateAfter } from "./register.ts";

/** Threads are bits of a number that has as many beside the 32 of a value. */
const THREADS_MAX = 20;

const VALUES = 2 ** 32;

/** Why a history is not linearizable. */
export interface Violation {
  /** The operation that can have taken effect at no moment. */
  readonly operation: Operation;
  /** The word's possible values when nothing was under way for the last time before. */
  readonly values: readonly number[];
  /** All that was called since then, in order of calls, up to the return of `operation`. */
  readonly since: readonly Operation[];
}

/** The result of checking a history. */
export interface Verdict {
  /** How many operations were looked at. */
  readonly operations: number;
  /** How many pieces the history has, cut where nothing was under way. */
  readonly pieces: number;
  /** How many operations were called while another was under way. */
  readonly overlapping: number;
  /** The most configurations that were possible at one time. */
  readonly configurationsMax: number;
  /** The violation; `undefined` for a linearizable history. */
  readonly violation: Violation | undefined;
}

/** A call or a return. */
interface Moment {
  readonly time: number;
  readonly isReturn: boolean;
  readonly operation: Operation;
}

function momentsOf(operations: readonly Operation[]): Moment[] {
  const moments: Moment[] = [];
  for (const operation of operations) {
    const { thread, invocation, response } = operation;
    if (!(thread >= 0 && thread < THREADS_MAX)) throw new RangeError(`thread ${thread}`);
    if (!(invocation <= response)) throw new RangeError("an operation returns before its call");
    moments.push({ time: invocation, isReturn: false, operation });
    moments.push({ time: response, isReturn: true, operation });
  }
  // What happens at the same time overlaps, so calls come first.
  return moments.sort((a, b) => a.time - b.time || Number(a.isReturn) - Number(b.isReturn));
}

/** The search through one history. */
class Search {
  /** Each is the value, and a bit for each thread whose operation has taken effect. */
  #configurations: Set<number>;
  #pending = new Map<number, Operation>();
  #since: Operation[] = [];
  #values: number[];
  pieces = 0;
  overlapping = 0;
  configurationsMax = 1;

  constructor(initial: number) {
    this.#values = [initial];
    this.#configurations = new Set([initial >>> 0]);
  }

  call(operation: Operation): void {
    if (this.#pending.has(operation.thread)) {
      throw new RangeError(`thread ${operation.thread} calls while it is in a call`);
    }
    if (this.#pending.size === 0) {
      this.pieces++;
      this.#since = [];
      this.#values = [...this.#configurations].map((value) => value | 0);
    } else this.overlapping++;
    this.#pending.set(operation.thread, operation);
    this.#since.push(operation);
  }

  /** Returns what is wrong, if nothing can be right any more. */
  return(operation: Operation): Violation | undefined {
    const bit = 2 ** operation.thread;
    const done = new Set<number>();
    const seen = new Set<number>();
    const open = [...this.#configurations];
    for (let one = open.pop(); one !== undefined; one = open.pop()) {
      if (seen.has(one)) continue;
      seen.add(one);
      const taken = Math.floor(one / VALUES);
      if (taken & bit) {
        // Its thread's bit is free for its next operation.
        done.add(one - bit * VALUES);
        continue;
      }
      this.#takeEffect(one, taken, open);
    }
    this.configurationsMax = Math.max(this.configurationsMax, seen.size);
    this.#configurations = done;
    this.#pending.delete(operation.thread);
    if (done.size > 0) return undefined;
    return { operation, values: this.#values, since: this.#since };
  }

  /** Puts on `open` each configuration in which one more operation has taken effect. */
  #takeEffect(configuration: number, taken: number, open: number[]): void {
    const old = (configuration % VALUES) | 0;
    for (const [thread, operation] of this.#pending) {
      if (taken & (2 ** thread) || !fits(operation, old)) continue;
      open.push((taken + 2 ** thread) * VALUES + (stateAfter(operation, old) >>> 0));
    }
  }
}

/**
 * Checks the history of one word.
 *
 * @param operations Its operations, in any order; all of them have returned.
 * @param initial Its value before them.
 * @returns Whether there is an order that explains what they answered.
 * @throws {RangeError} When this is no history: a thread with two operations at a time, an
 * operation that returns before its call, too many threads.
 */
export function checkRegister(operations: readonly Operation[], initial = 0): Verdict {
  const search = new Search(initial);
  let violation: Violation | undefined;
  let returned = 0;
  for (const { isReturn, operation } of momentsOf(operations)) {
    if (!isReturn) {
      search.call(operation);
      continue;
    }
    returned++;
    violation = search.return(operation);
    if (violation !== undefined) break;
  }
  const { pieces, overlapping, configurationsMax } = search;
  return { operations: returned, pieces, overlapping, configurationsMax, violation };
}

/**
 * Says what is wrong, with all that is needed to see it.
 *
 * @param violation What was found.
 * @returns Several lines.
 */
export function printViolation({ operation, values, since }: Violation): string {
  return [
    `no moment fits ${printOperation(operation)}`,
    `possible values when nothing was under way: ${values.join(", ")}`,
    "since then:",
    ...since.map((other) => `  ${printOperation(other)}`),
  ].join("\n");
}
