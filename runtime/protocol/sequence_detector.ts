/**
 * Notices that misses walk through memory, and says how many pages the next request should ask for.
 *
 * A miss just behind the pages that an earlier miss brought doubles the run; any other miss starts
 * a new sequence with a single page. Several threads may walk at once.
 */

/** How many walks are followed at the same time. */
const SEQUENCES_MAX = 16;

interface Sequence {
  /** The page where the walk will miss next, if it goes on. */
  next: number;
  /** The pages asked for at its last miss. */
  length: number;
}

/** Follows sequential misses. */
export class SequenceDetector {
  readonly #maxPages: number;
  /** The most recently used last. */
  readonly #sequences: Sequence[] = [];

  /** @param maxPages The longest run to ask for, in pages; 1 turns detection off. */
  constructor(maxPages: number) {
    this.#maxPages = maxPages;
  }

  /**
   * Takes note of a miss.
   *
   * @param page Where it was.
   * @returns The pages to ask for from there on, at least 1.
   */
  miss(page: number): number {
    const index = this.#sequences.findIndex((sequence) => sequence.next === page);
    let sequence: Sequence;
    if (index >= 0) {
      sequence = this.#sequences.splice(index, 1)[0]!;
      sequence.length = Math.min(sequence.length * 2, this.#maxPages);
    } else {
      sequence = { next: page, length: 1 };
      if (this.#sequences.length === SEQUENCES_MAX) this.#sequences.shift();
    }
    this.#sequences.push(sequence);
    sequence.next = page + sequence.length;
    return sequence.length;
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
      if (sequence.next === first + asked) sequence.next = first + granted;
    }
  }
}
