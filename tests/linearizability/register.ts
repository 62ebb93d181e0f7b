/** A word as a register: what each operation on it answers, and what it leaves. */

/** The operations, by the names that `Atomics` gives them. */
export const OPERATIONS = [
  "load",
  "store",
  "add",
  "sub",
  "and",
  "or",
  "xor",
  "exchange",
  "compareExchange",
] as const;

/** One of the operations. */
export type OperationKind = (typeof OPERATIONS)[number];

/** An operation that was made, and what it answered. Values are 32-bit integers. */
export interface Operation {
  /** Which thread made it; a thread makes one at a time. */
  readonly thread: number;
  readonly kind: OperationKind;
  /** What was stored, added, or put in place of `expected`; 0 for a load. */
  readonly value: number;
  /** What a `compareExchange` looked for; 0 for others. */
  readonly expected: number;
  /** What it answered: the old value; for a store, nothing that counts. */
  readonly result: number;
  /** When it was called, in nanoseconds. */
  readonly invocation: number;
  /** When it came back, in nanoseconds. */
  readonly response: number;
}

/** @returns What an operation leaves in a word that has `old`. */
export function stateAfter({ kind, value, expected }: Operation, old: number): number {
  switch (kind) {
    case "load":
      return old;
    case "store":
    case "exchange":
      return value;
    case "add":
      return (old + value) | 0;
    case "sub":
      return (old - value) | 0;
    case "and":
      return old & value;
    case "or":
      return old | value;
    case "xor":
      return old ^ value;
    case "compareExchange":
      return old === expected ? value : old;
    default:
      return kind satisfies never;
  }
}

/** @returns Whether an operation on a word that has `old` may have answered what it did. */
export function fits({ kind, result }: Operation, old: number): boolean {
  return kind === "store" || result === old;
}

/** @returns An operation in print, as `thread 3 compareExchange(4, 5) = 4 at 17-42 ns`. */
export function printOperation(operation: Operation): string {
  const { thread, kind, value, expected, result, invocation, response } = operation;
  const args = kind === "load" ? "" : kind === "compareExchange" ? `${expected}, ${value}` : value;
  const answer = kind === "store" ? "" : ` = ${result}`;
  return `thread ${thread} ${kind}(${args})${answer} at ${invocation}-${response} ns`;
}
