/**
 * Detects walks: misses that follow each other through memory. Says how many pages the next request
 * should ask for, and which pages to request ahead of the walk.
 *
 * A miss just behind the pages that an earlier miss brought doubles the run; any other miss starts
 * a new sequence with a single page. Several threads may walk at once. Once the runs of a walk are
 * long enough, one more run is requested ahead: first behind the run that was missed, then each
 * time that the walk enters the run that was requested ahead.
 *
 * Where a walk ends, the rest of its last run is brought in vain, and others that need it have to
 * take it back. So a run of which another node takes pages before the walk has come out of it is
 * a quarter as long the next time that a run begins there, and twice as long again once a walk does
 * come out of it.
 */

import { RUN_CAPS_MAX } from "../../limits.ts";
import type { PageRun } from "./page.ts";

/** How many walks are followed at the same time. */
const SEQUENCES_MAX = 16;

interface Sequence {
  /** Where the run begins that the walk missed or entered last; -1 if part of it was taken. */
  start: number;
  /** The page where the walk will fault next, if it goes on. */
  next: number;
  /** The end of the run that was requested ahead; no more than `next` if there is none. */
  end: number;
  /** The length of the walk's last run, in pages. */
  length: number;
}

/** Follows sequential misses. */
export class SequenceDetector {
  readonly #maxPages: number;
  readonly #aheadMinPages: number;
  /** The most recently used last. */
  readonly #sequences: Sequence[] = [];
  /** The longest runs to request at some pages; those that were changed last are the last. */
  readonly #caps = new Map<number, number>();

  /**
   * @param maxPages The longest run to request, in pages; 1 turns detection off.
   * @param aheadMinPages The shortest run behind which the next run is requested ahead, in pages;
   * `Infinity` turns that off.
   */
  constructor(maxPages: number, aheadMinPages = Infinity) {
    this.#maxPages = maxPages;
    this.#aheadMinPages = aheadMinPages;
  }

  /**
   * Notes a miss.
   *
   * @param page The page that was missed.
   * @returns How many pages to request from there on, at least 1.
   */
  miss(page: number): number {
    let sequence = this.#follow(page);
    if (sequence === undefined) {
      sequence = this.#begin();
    } else {
      sequence.length = Math.min(sequence.length * 2, this.#capOf(page));
    }
    sequence.start = page;
    sequence.next = page + sequence.length;
    return sequence.length;
  }

  /**
   * Notes a fault that was no miss.
   *
   * @param page The page of the fault.
   * @returns Whether a walk enters, by this fault, the run that was requested ahead of it.
   */
  enters(page: number): boolean {
    const sequence = this.#follow(page, true);
    if (sequence === undefined) return false;
    sequence.start = page;
    sequence.next = sequence.end;
    return true;
  }

  /**
   * Returns the run to request ahead of the walk that moved last.
   *
   * @returns The run; `undefined` when the walk's runs are short, or a run ahead was requested
   *   already.
   */
  ahead(): PageRun | undefined {
    const sequence = this.#sequences.at(-1);
    if (sequence === undefined || sequence.end > sequence.next) return undefined;
    if (sequence.length < this.#aheadMinPages) return undefined;
    const count = Math.min(sequence.length * 2, this.#capOf(sequence.next));
    if (count < this.#aheadMinPages) return undefined;
    sequence.length = count;
    return { first: sequence.next, count };
  }

  /**
   * Notes how many pages were requested, which can be fewer than this detector proposed.
   *
   * @param first The first page of the request: where the last walk missed, or the start of the run
   *   ahead.
   * @param count The pages requested.
   */
  asked(first: number, count: number): void {
    const sequence = this.#sequences.at(-1);
    if (sequence === undefined) return;
    if (first === sequence.next) sequence.end = first + count;
    else sequence.next = first + count;
  }

  /**
   * Notes how many pages of a request were granted.
   *
   * @param first The request's first page.
   * @param asked The pages requested.
   * @param granted The pages granted.
   */
  granted(first: number, asked: number, granted: number): void {
    if (asked === granted) return;
    for (const sequence of this.#sequences) {
      const { next, end } = sequence;
      if (next === first && end === first + asked) {
        sequence.end = first + granted;
      } else if (next === first + asked) {
        // The walk will miss in the gap, and the run that was requested ahead begins behind the
        // gap.
        if (end <= next) sequence.end = 0;
        sequence.next = first + granted;
      }
    }
  }

  /**
   * Notes pages that another node took to write. If a walk has not come out of its last run when
   * pages of that run are taken, the walk has ended, or was none, and runs that begin there are to
   * be shorter. If it has not reached the run that was requested ahead of it when that is taken, it
   * is forgotten as well, because requests ahead of it would only take pages from other nodes
   * again.
   *
   * @param first The first of the pages.
   * @param count How many.
   */
  taken(first: number, count: number): void {
    const sequences = this.#sequences;
    for (let index = sequences.length - 1; index >= 0; index--) {
      const sequence = sequences[index]!;
      const { start, next, end } = sequence;
      if (next < end && next < first + count && first < end) {
        this.#cap(next, end - next);
        sequences.splice(index, 1);
      } else if (start >= 0 && start < first + count && first < next) {
        this.#cap(start, next - start);
        sequence.start = -1;
      }
    }
  }

  /** The longest run to request at a page. */
  #capOf(page: number): number {
    return this.#caps.size === 0 ? this.#maxPages : this.#caps.get(page) ?? this.#maxPages;
  }

  /** A run of this length was too long. */
  #cap(page: number, length: number): void {
    if (length > 1) this.#setCap(page, Math.max(1, length >>> 2));
  }

  /** A walk has come out of the run that began at a page. */
  #passed(page: number): void {
    const cap = this.#caps.size === 0 ? undefined : this.#caps.get(page);
    if (cap !== undefined) this.#setCap(page, 2 * cap);
  }

  #setCap(page: number, cap: number): void {
    this.#caps.delete(page);
    if (cap >= this.#maxPages) return;
    this.#caps.set(page, cap);
    if (this.#caps.size > RUN_CAPS_MAX) this.#caps.delete(this.#caps.keys().next().value!);
  }

  /** A walk that moved last; the one that has not moved for longest makes room for it. */
  #begin(): Sequence {
    const sequences = this.#sequences;
    if (sequences.length < SEQUENCES_MAX) sequences.push({ start: -1, next: 0, end: 0, length: 1 });
    else {
      const oldest = sequences.shift()!;
      oldest.end = 0;
      oldest.length = 1;
      sequences.push(oldest);
    }
    return sequences.at(-1)!;
  }

  /** Finds the walk that is to fault at a page, and marks it as the one that moved last. */
  #follow(page: number, hasRunAhead = false): Sequence | undefined {
    const sequences = this.#sequences;
    for (let index = 0; index < sequences.length; index++) {
      const sequence = sequences[index]!;
      if (sequence.next !== page || (hasRunAhead && sequence.end <= page)) continue;
      if (sequence.start >= 0) this.#passed(sequence.start);
      for (; index < sequences.length - 1; index++) sequences[index] = sequences[index + 1]!;
      sequences[index] = sequence;
      return sequence;
    }
    return undefined;
  }
}
