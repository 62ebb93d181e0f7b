/**
 * Puts spans of time next to each other where they overlap: a trace shows each lane as a thread,
 * and the spans of one thread must not overlap.
 */

/** Some lanes. */
export class Lanes {
  /** When the last span on each lane ends. */
  readonly #ends: number[] = [];
  readonly #max: number;

  /** @param max The most lanes. */
  constructor(max: number) {
    this.#max = max;
  }

  /**
   * Puts a span on a lane. Spans come in the order in which they end, so a lane is free where the
   * last span on it ends before this one begins.
   *
   * @param begin When the span begins.
   * @param end When it ends.
   * @returns The lane, from 0 on; `undefined` where none is free.
   */
  place(begin: number, end: number): number | undefined {
    const free = this.#ends.findIndex((last) => last <= begin);
    const lane = free >= 0 ? free : this.#ends.length;
    if (lane === this.#max) return undefined;
    this.#ends[lane] = end;
    return lane;
  }
}
