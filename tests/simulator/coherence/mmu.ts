/**
 * The memory of one simulated node: the alias that has the bytes, and the windows through which
 * threads reach them as far as the page tables allow.
 */

import type { PageOperation } from "../../../runtime/protocol/coherence/output.ts";
import { PageState } from "../../../runtime/protocol/coherence/page.ts";

/** The words of a page. */
export const PAGE_WORDS = 4;

/** Simulated memory. */
export class Mmu {
  /** The bytes of every page. */
  readonly alias: Int32Array;
  /** For each window the state of each page's entry. */
  readonly windows: Uint8Array[] = [];
  /** For each page whether the alias has memory for it. */
  readonly resident: Uint8Array;
  /** The pages whose memory is given back as soon as their bytes have left. */
  readonly leaving = new Set<number>();
  readonly #pageCount: number;

  /** @param pageCount The pages of the region. */
  constructor(pageCount: number) {
    this.#pageCount = pageCount;
    this.alias = new Int32Array(pageCount * PAGE_WORDS);
    this.resident = new Uint8Array(pageCount);
    this.openWindow();
  }

  /** Maps the region once more, with no page in it yet. */
  openWindow(): void {
    this.windows.push(new Uint8Array(this.#pageCount));
  }

  /** @returns The most that any window allows with the page. */
  state(page: number): PageState {
    let most = 0;
    for (const window of this.windows) most = Math.max(most, window[page]!);
    return most as PageState;
  }

  /** How many pages have memory, but for those that are about to give it back. */
  get residents(): number {
    let count = 0;
    for (const [page, is] of this.resident.entries()) if (is && !this.leaving.has(page)) count++;
    return count;
  }

  /** Bytes arrive for a page. */
  fill(page: number): void {
    this.resident[page] = 1;
    this.leaving.delete(page);
  }

  /**
   * Gives back the memory of pages that were discarded.
   *
   * @param isSending Whether bytes of the page have yet to leave.
   */
  giveBack(isSending: (page: number) => boolean): void {
    for (const page of this.leaving) {
      if (isSending(page)) continue;
      this.leaving.delete(page);
      this.resident[page] = 0;
      this.alias.fill(0, page * PAGE_WORDS, (page + 1) * PAGE_WORDS);
    }
  }

  /**
   * Does what the protocol asks for.
   *
   * @param operation What to do.
   * @returns Whether it wakes the threads that faulted on its pages.
   */
  operate(operation: PageOperation): boolean {
    const { kind, first, count } = operation;
    const end = first + count;
    for (let page = first; page < end; page++) {
      if (kind === "discard") this.leaving.add(page);
      else if (kind === "install" || kind === "installZero") this.fill(page);
    }
    if (kind === "installZero") this.alias.fill(0, first * PAGE_WORDS, end * PAGE_WORDS);
    for (const window of this.windows) {
      switch (kind) {
        case "install":
          window.fill(operation.writable ? PageState.Exclusive : PageState.Shared, first, end);
          break;
        case "installZero":
          window.fill(PageState.Exclusive, first, end);
          break;
        case "evict":
          window.fill(PageState.Invalid, first, end);
          break;
        case "protect":
          replace(window, first, end, PageState.Exclusive, PageState.Shared);
          break;
        case "unprotect":
          replace(window, first, end, PageState.Shared, PageState.Exclusive);
          break;
        case "discard":
          // Whatever maps a page then maps what is no page any more.
          break;
        default:
          kind satisfies never;
      }
    }
    return kind !== "evict" && kind !== "protect" && kind !== "discard";
  }
}

/** Changing an entry's protection makes none where there is none. */
function replace(window: Uint8Array, first: number, end: number, from: number, to: number): void {
  for (let page = first; page < end; page++) if (window[page] === from) window[page] = to;
}
