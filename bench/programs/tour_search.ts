/** Depth-first search for the shortest round tour through cities, cut off by a bound; in slices. */

/** The distances between cities. */
export interface Distances {
  readonly cities: number;
  /** From city a to city b at a * cities + b. */
  readonly table: Int32Array;
}

/** A search that can be interrupted. */
export class TourSearch {
  /** The tour that was found last, from city 0 on. */
  readonly found: Int32Array;
  readonly #distances: Distances;
  /** For each city the distance to the nearest other: no tour leaves it for less. */
  readonly #least: Int32Array;
  /** The city at each depth, the length up to it, what must still come at least, and who is next. */
  readonly #city: Int32Array;
  readonly #length: Int32Array;
  readonly #rest: Int32Array;
  readonly #next: Int32Array;
  #visited = 0;
  #depth = 0;
  /** Above this depth the search is over. */
  #top = 0;
  #bound = Infinity;

  /** @param distances What to search. */
  constructor(distances: Distances) {
    this.#distances = distances;
    const { cities, table } = distances;
    this.#least = Int32Array.from({ length: cities }, (_, a) => {
      let least = Infinity;
      for (let b = 0; b < cities; b++) if (b !== a) least = Math.min(least, table[a * cities + b]!);
      return least;
    });
    const zeros = () => new Int32Array(cities + 1);
    [this.#city, this.#length, this.#rest, this.#next] = [zeros(), zeros(), zeros(), zeros()];
    this.found = new Int32Array(cities);
  }

  /** Whether all that begins with the prefix has been searched, or cut off. */
  get finished(): boolean {
    return this.#depth < this.#top;
  }

  /** The shortest length that is known. */
  get bound(): number {
    return this.#bound;
  }

  /**
   * Begins.
   *
   * @param prefix The cities that the tours begin with, city 0 first.
   */
  start(prefix: readonly number[]): void {
    const { cities, table } = this.#distances;
    this.#visited = 0;
    let [length, rest] = [0, this.#least.reduce((sum, least) => sum + least)];
    for (const [depth, city] of prefix.entries()) {
      if (depth > 0) {
        length += table[prefix[depth - 1]! * cities + city]!;
        rest -= this.#least[prefix[depth - 1]!]!;
      }
      this.#city[depth] = city;
      this.#length[depth] = length;
      this.#rest[depth] = rest;
      this.#visited |= 1 << city;
    }
    this.#top = this.#depth = prefix.length - 1;
    this.#next[this.#depth] = 0;
  }

  /**
   * Goes on.
   *
   * @param visits How many cities to visit at most.
   * @param bound A length that is known from elsewhere: only shorter tours are looked for.
   * @returns How many were visited, and whether a shorter tour was found.
   */
  advance(visits: number, bound: number): { visits: number; shorter: boolean } {
    const { cities, table } = this.#distances;
    const [city, length, rest, next] = [this.#city, this.#length, this.#rest, this.#next];
    this.#bound = Math.min(this.#bound, bound);
    let done = 0;
    let shorter = false;
    while (this.#depth >= this.#top && done < visits) {
      const depth = this.#depth;
      const here = city[depth]!;
      const to = next[depth]!++;
      if (to === cities) {
        this.#visited &= ~(1 << here);
        this.#depth--;
        continue;
      }
      if ((this.#visited & (1 << to)) !== 0) continue;
      done++;
      const so = length[depth]! + table[here * cities + to]!;
      const remaining = rest[depth]! - this.#least[here]!;
      if (so + remaining >= this.#bound) continue;
      city[depth + 1] = to;
      if (depth + 2 === cities) {
        shorter = this.#close(so + table[to * cities + city[0]!]!) || shorter;
        continue;
      }
      length[depth + 1] = so;
      rest[depth + 1] = remaining;
      next[depth + 1] = 0;
      this.#visited |= 1 << to;
      this.#depth++;
    }
    return { visits: done, shorter };
  }

  /** A tour is complete; returns whether it is shorter than any that is known. */
  #close(length: number): boolean {
    if (length >= this.#bound) return false;
    this.#bound = length;
    this.found.set(this.#city.subarray(0, this.found.length));
    return true;
  }
}

/**
 * The length of a round tour.
 *
 * @param distances The distances.
 * @param tour The cities, in order.
 * @returns The length, with the way back to the first city.
 */
export function tourLength({ cities, table }: Distances, tour: ArrayLike<number>): number {
  let length = 0;
  for (let i = 0; i < tour.length; i++) {
    length += table[tour[i]! * cities + tour[(i + 1) % tour.length]!]!;
  }
  return length;
}

/**
 * A tour to begin with: always on to the nearest city.
 *
 * @param distances The distances.
 * @returns The cities, city 0 first.
 */
export function nearestTour({ cities, table }: Distances): number[] {
  const tour = [0];
  const left = new Set(Array.from({ length: cities - 1 }, (_, i) => i + 1));
  while (left.size > 0) {
    const here = tour.at(-1)! * cities;
    const nearest = [...left].reduce((a, b) => table[here + b]! < table[here + a]! ? b : a);
    left.delete(nearest);
    tour.push(nearest);
  }
  return tour;
}
