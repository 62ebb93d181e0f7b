/**
 * What the threads of the simulated nodes do, and what their accesses mean for memory.
 */

import { Access } from "../../../runtime/protocol/coherence/page.ts";
import { PAGE_WORDS } from "./mmu.ts";

/** One indivisible access to one word. */
export interface AccessOperation {
  readonly kind: "read" | "write" | "add" | "exchange" | "compareExchange";
  readonly page: number;
  /** Which of the page's words, from 0 on. */
  readonly word: number;
  /** What is written or added; without meaning for a read. */
  readonly value: number;
  /** What a compareExchange must find to write. */
  readonly expected: number;
}

/** Asks for pages before they are touched. */
export interface FetchOperation {
  readonly kind: "fetch";
  readonly page: number;
  readonly count: number;
}

/** What a thread does next. */
export type Operation = AccessOperation | FetchOperation;

/** @returns The right to its page that an access needs, whatever it finds there. */
export function neededAccess({ kind }: AccessOperation): Access {
  return kind === "read" ? Access.Read : Access.Write;
}

/**
 * Does an access.
 *
 * @param words The words of all pages.
 * @param operation What to do.
 * @returns What the word was before.
 */
export function perform(words: Int32Array, operation: AccessOperation): number {
  const { kind, page, word, value, expected } = operation;
  const index = page * PAGE_WORDS + word;
  const before = words[index]!;
  switch (kind) {
    case "read":
      break;
    case "write":
    case "exchange":
      words[index] = value;
      break;
    case "add":
      words[index] = before + value;
      break;
    case "compareExchange":
      if (before === expected) words[index] = value;
      break;
    default:
      kind satisfies never;
  }
  return before;
}
