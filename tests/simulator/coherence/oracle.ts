/**
 * The expected contents of the simulated memory: one copy of every page, which each write changes
 * at the moment of that write.
 */

import type { NodeId } from "../../../runtime/protocol/coherence/messages.ts";
import { PAGE_WORDS } from "./mmu.ts";
import { type AccessOperation, perform } from "./operation.ts";

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
  /** For each page a bit for each node that the page may be lost with. */
  readonly #losses: Uint32Array;

  /** @param pageCount The pages of the region. */
  constructor(pageCount: number) {
    this.#words = new Int32Array(pageCount * PAGE_WORDS);
    this.#losses = new Uint32Array(pageCount);
  }

  /** @returns For each page its first word, and the nodes that it may be lost with. */
  save(): { readonly words: readonly number[]; readonly losses: readonly number[] } {
    const losses = [...this.#losses];
    return { words: losses.map((_, page) => this.#words[page * PAGE_WORDS]!), losses };
  }

  /** Takes these in place of what is known; all other words are zeros. */
  load({ words, losses }: ReturnType<Oracle["save"]>): void {
    this.#losses.set(losses);
    this.#words.fill(0);
    for (const [page, word] of words.entries()) this.#words[page * PAGE_WORDS] = word;
  }

  /** @param operation An access that happens now. */
  perform(operation: AccessOperation): void {
    perform(this.#words, operation);
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

  /**
   * @param page A page of which a node had the only copy, or was getting it, when it died.
   * @param node The node.
   */
  allowLoss(page: number, node: NodeId): void {
    this.#losses[page]! |= 1 << node;
  }

  /**
   * @param page A page.
   * @param node A node that is gone, and took nothing of the page along.
   */
  forbidLoss(page: number, node: NodeId): void {
    this.#losses[page]! &= ~(1 << node);
  }

  /** @param page A page that is still there, now that the home has heard of every death. */
  forbidLosses(page: number): void {
    this.#losses[page] = 0;
  }

  /** @param page A page that was cleared, and is from now on as if no node had ever touched it. */
  clear(page: number): void {
    this.#losses[page] = 0;
    this.#words.fill(0, page * PAGE_WORDS, (page + 1) * PAGE_WORDS);
  }

  /** @returns Whether the page has no other words than zeros. */
  isZero(page: number): boolean {
    return this.#words.subarray(page * PAGE_WORDS, (page + 1) * PAGE_WORDS).every((word) =>
      word === 0
    );
  }

  /** @returns Whether the page may be lost. */
  mayBeLost(page: number): boolean {
    return this.#losses[page] !== 0;
  }
}
