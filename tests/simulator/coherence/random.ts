/**
 * The only source of chance in the simulator: a seed gives the same numbers on every machine.
 */

/** A small generator of numbers (mulberry32). */
export class Random {
  #state: number;

  /** @param seed Any integer; its lowest 32 bits count. */
  constructor(seed: number) {
    this.#state = seed >>> 0;
    // Neighbouring seeds begin alike without this.
    this.next();
    this.#state = (this.#state ^ Math.imul(this.next(), 0x9e3779b1)) >>> 0;
  }

  /** @returns A generator of other numbers, that leaves those of this one as they are. */
  fork(): Random {
    return new Random(this.#state ^ 0x165667b1);
  }

  /** @returns An integer from 0 to 2^32 - 1. */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let mixed = this.#state;
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return (mixed ^ (mixed >>> 14)) >>> 0;
  }

  /**
   * @param limit At least 1.
   * @returns An integer from 0 to `limit - 1`.
   */
  below(limit: number): number {
    return this.next() % limit;
  }

  /**
   * @param least The least result.
   * @param most The greatest result.
   * @returns An integer between them.
   */
  between(least: number, most: number): number {
    return least + this.below(most - least + 1);
  }

  /**
   * @param percent How often, of a hundred times.
   * @returns Whether it happens this time.
   */
  chance(percent: number): boolean {
    return this.below(100) < percent;
  }
}
