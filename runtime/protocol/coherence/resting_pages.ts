/**
 * The freed pages that the home leaves where they are for a while. A program that allocates, uses
 * and frees in a loop is given the same pages each time: its node keeps them, and zeroes them by
 * plain writes, which takes far less than to clear them and to touch them anew.
 */

import { FreedPages } from "./freed_pages.ts";
import type { PageRun } from "./page.ts";

/** Pages that rest for one beat of the home's heart at least, and for two at most. */
export class RestingPages {
  /** Those that were freed since the last beat. */
  #young = new FreedPages();
  #old = new FreedPages();

  /** Whether there is none. */
  get isEmpty(): boolean {
    return this.#young.isEmpty && this.#old.isEmpty;
  }

  /** The pages of a run rest from now on. */
  add(run: PageRun): void {
    this.#old.delete(run);
    this.#young.add(run);
  }

  /** The pages of a run rest no longer. */
  delete(run: PageRun): void {
    this.#young.delete(run);
    this.#old.delete(run);
  }

  /** Whether any page of a run rests. */
  hasAny({ first, count }: PageRun): boolean {
    const end = first + count;
    return this.#young.next(first, end) !== undefined || this.#old.next(first, end) !== undefined;
  }

  /** Puts those of a run into a set: they rest no longer. */
  move(run: PageRun, target: FreedPages): void {
    this.#young.move(run, target);
    this.#old.move(run, target);
  }

  /**
   * A beat has passed.
   *
   * @param region All pages.
   * @param due The pages that are to be cleared.
   * @returns The same set, or another one, with those that had rested before the beat.
   */
  beat(region: PageRun, due: FreedPages): FreedPages {
    const [old, young] = [this.#old, this.#young];
    this.#old = young;
    if (due.isEmpty) {
      this.#young = due;
      return old;
    }
    old.move(region, due);
    this.#young = old;
    return due;
  }
}
