/** What was recorded: operations of all threads, as files have them and word by word. */

import { type Operation, OPERATIONS } from "./register.ts";

/**
 * What is recorded of an operation, in this order: its word, and what {@linkcode Operation} has.
 */
export const RECORDED = [
  "word",
  "kind",
  "value",
  "expected",
  "result",
  "invocation",
  "response",
] as const;

/** One number of a recorded operation; `kind` is the place in {@linkcode OPERATIONS}. */
export type RecordedField = (typeof RECORDED)[number];

/** The histories of some words. */
export class History {
  /** For each word its operations. */
  readonly words: readonly Operation[][];

  /** @param words How many words there are. */
  constructor(words: number) {
    this.words = Array.from({ length: words }, () => []);
  }

  /** How many operations there are. */
  get size(): number {
    return this.words.reduce((sum, { length }) => sum + length, 0);
  }

  /**
   * Adds what a thread has recorded.
   *
   * @param thread Which thread.
   * @param rows The numbers of {@linkcode RECORDED} for each operation.
   */
  add(thread: number, rows: Float64Array): void {
    for (let at = 0; at < rows.length; at += RECORDED.length) {
      const field = (name: RecordedField) => rows[at + RECORDED.indexOf(name)]!;
      this.words[field("word")]!.push({
        thread,
        kind: OPERATIONS[field("kind")]!,
        value: field("value"),
        expected: field("expected"),
        result: field("result"),
        invocation: field("invocation"),
        response: field("response"),
      });
    }
  }
}
