/**
 * What the simulated memory has to look like: one copy of every page, changed by each write at the
 * moment of that write.
 */

import { PAGE_WORDS } from "./mmu.ts";

/** A broken promise of the protocol. */
export class InvariantError extends Error {
  override readonly name = "InvariantError";
}

/**
 * Ends the schedule.
 *
 * @param message What is wrong.
 * @throws {InvariantError} Always.
 */
export function fail(message: string): never {
  throw new InvariantError(message);
}

/** The one true copy. */
export class Oracle {
  readonly #words: Int32Array;
  readonly #mayBeLost: Uint8Array;

  /** @param pageCount The pages of the region. */
  constructor(pageCount: number) {
    this.#words = new Int32Array(pageCount * PAGE_WORDS);
    this.#mayBeLost = new Uint8Array(pageCount);
  }

  /**
   * Takes note of a write.
   *
   * @param index The word.
   * @param value What it is now.
   */
  write(index: number, value: number): void {
    this.#words[index] = value;
  }

  /** @returns The word's last value. */
  word(index: number): number {
    return this.#words[index]!;
  }

  /**
   * @param alias A node's bytes.
   * @param page A page that the node has a copy of.
   * @returns Whether the copy has the last writes.
   */
  matches(alias: Int32Array, page: number): boolean {
    const start = page * PAGE_WORDS;
    for (let index = start; index < start + PAGE_WORDS; index++) {
      if (alias[index] !== this.#words[index]) return false;
    }
    return true;
  }

  /** @param page A page of which a node had the only copy, or was getting it, when it died. */
  allowLoss(page: number): void {
    this.#mayBeLost[page] = 1;
  }

  /** @returns Whether the page may be lost. */
  mayBeLost(page: number): boolean {
    return this.#mayBeLost[page] === 1;
  }
}
