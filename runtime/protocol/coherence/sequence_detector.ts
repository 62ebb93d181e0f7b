/**
 * Notices that misses walk through memory, and says how many pages the next request should ask for,
 * and which to ask for ahead of the walk.
 *
 * A miss just behind the pages that an earlier miss brought doubles the run; any other miss starts
 * a new sequence with a single page. Several threads may walk at once. Once the runs of a walk are
 * long enough, one more is asked for ahead: behind what was missed, and then each time that the walk
 * enters the one that was asked ahead before.
 */

import type { PageRun } from "./page.ts";

/** How many walks are followed at the same time. */
const SEQUENCES_MAX = 16;

interface Sequence {
  /** The page where the walk will fault next, if it goes on. */
  next: number;
  /** The end of the run that was asked for ahead; no more than `next` if there is none. */
  end: number;
  /** The pages of its last run. */
  length: number;
}

/** Follows sequential misses. */
export class SequenceDetector {
  readonly #maxPages: number;
  readonly #aheadMinPages: number;
  /** The most recently used last. */
  readonly #sequences: Sequence[] = [];

  /**
   * @param maxPages The longest run to ask for, in pages; 1 turns detection off.
   * @param aheadMinPages The shortest run behind which the next one is asked for ahead, in pages;
   * `Infinity` turns that off.
   */
  constructor(maxPages: number, aheadMinPages = Infinity) {
    this.#maxPages = maxPages;
    this.#aheadMinPages = aheadMinPages;
  }

  /**
   * Takes note of a miss.
   *
   * @param page Where it was.
   * @returns The pages to ask for from there on, at least 1.
   */
  miss(page: number): number {
    let sequence = this.#follow((other) => other.next === page);
    if (sequence === undefined) {
      sequence = { next: page, end: 0, length: 1 };
      if (this.#sequences.length === SEQUENCES_MAX) this.#sequences.shift();
      this.#sequences.push(sequence);
    } else {
      sequence.length = Math.min(sequence.length * 2, this.#maxPages);
    }
    sequence.next = page + sequence.length;
    return sequence.length;
  }

  /**
   * Takes note of a fault that was no miss.
   *
   * @param page Where it was.
   * @returns Whether a walk enters there what was asked for ahead of it.
   */
  enters(page: number): boolean {
    const sequence = this.#follow(({ next, end }) => next === page && end > next);
    if (sequence === undefined) return false;
    sequence.next = sequence.end;
    return true;
  }

  /**
   * What to ask for ahead of the walk that moved last.
   *
   * @returns The run, or `undefined` when its runs are short, or a run ahead of it was asked for already.
   */
  ahead(): PageRun | undefined {
    const sequence = this.#sequences.at(-1);
    if (sequence === undefined || sequence.end > sequence.next) return undefined;
    if (sequence.length < this.#aheadMinPages) return undefined;
    sequence.length = Math.min(sequence.length * 2, this.#maxPages);
    return { first: sequence.next, count: sequence.length };
  }

  /**
   * Takes note of how much was asked for, which can be less than this said.
   *
   * @param first The page where the last walk missed, or from where on to ask ahead of it.
   * @param count The pages asked for.
   */
  asked(first: number, count: number): void {
    const sequence = this.#sequences.at(-1);
    if (sequence === undefined) return;
    if (first === sequence.next) sequence.end = first + count;
    else sequence.next = first + count;
  }

  /**
   * Takes note of how much of a request was granted.
   *
   * @param first The request's first page.
   * @param asked The pages asked for.
   * @param granted The pages that came.
   */
  granted(first: number, asked: number, granted: number): void {
    if (asked === granted) return;
    for (const sequence of this.#sequences) {
      const { next, end } = sequence;
      if (next === first && end === first + asked) {
        sequence.end = first + granted;
      } else if (next === first + asked) {
        // The walk will miss in the gap; what was asked for ahead begins behind that.
        if (end <= next) sequence.end = 0;
        sequence.next = first + granted;
      }
    }
  }

  /**
   * Takes note of pages that another node took to write. A walk that has not come to what was asked
   * ahead of it, and finds it taken, was none, or has ended: it would only take from others again.
   *
   * @param first The first of the pages.
   * @param count How many.
   */
  taken(first: number, count: number): void {
    const index = this.#sequences.findIndex(({ next, end }) =>
      next < end && next < first + count && first < end
    );
    if (index >= 0) this.#sequences.splice(index, 1);
  }

  /** The first walk of a kind, which becomes the one that moved last. */
  #follow(fits: (sequence: Sequence) => boolean): Sequence | undefined {
    const index = this.#sequences.findIndex(fits);
    if (index < 0) return undefined;
    const sequence = this.#sequences.splice(index, 1)[0]!;
    this.#sequences.push(sequence);
    return sequence;
  }
}
