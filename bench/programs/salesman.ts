/**
 * The travelling salesman by branch and bound: tasks are the beginnings of tours, each node takes
 * the next one, or some, from a counter that all share, and the shortest tour that anybody has
 * found is the bound.
 */

import { PAGE_SIZE_DEFAULT_BYTES } from "../../runtime/limits.ts";
import { Random } from "../../tests/simulator/coherence/random.ts";
import { type Context, type Program, reads, type Steps, type Touch, writes } from "./program.ts";

/** How many cities are visited between two looks at the bound. */
const SLICE_VISITS = 1000;
const WORD_BYTES = Int32Array.BYTES_PER_ELEMENT;
/** Draws maps on which the search has enough to do. */
const MAP_SEED = 20;
const MAP_SIDE = 10_000;

/** The pages of the program: distances, the next task, and the shortest tour behind its length. */
const DISTANCES = 0;
const NEXT_TASK = PAGE_SIZE_DEFAULT_BYTES;
const SHORTEST = 2 * PAGE_SIZE_DEFAULT_BYTES;

/** A round tour. */
export class Salesman implements Program {
  readonly name = "salesman";
  readonly size: string;
  readonly unit = "cities visited";
  readonly bytes = 3 * PAGE_SIZE_DEFAULT_BYTES;
  readonly dependsOnData = true;
  /** How many tasks there are. */
  readonly tasks: number;
  readonly #cities: number;
  readonly #taskDepth: number;
  readonly #tasksATurn: number;
  /** The length of the shortest tour, once it was searched serially. */
  #shortest: number | undefined;

  /**
   * @param cities How many cities, from 5 to 31.
   * @param taskDepth How many of them a task says behind the first; at most 3.
   * @param tasksATurn How many tasks a node takes from the counter at once. Each turn moves the
   * counter's page to another node, so turns should be few where tasks are small and many.
   */
  constructor(cities: number, taskDepth: number, tasksATurn = 1) {
    this.#cities = cities;
    this.#taskDepth = taskDepth;
    this.#tasksATurn = tasksATurn;
    this.tasks = 1;
    for (let depth = 1; depth <= taskDepth; depth++) this.tasks *= cities - depth;
    this.size = `${cities} cities, ${this.tasks} tasks`;
    if (tasksATurn > 1) this.size += `, ${tasksATurn} a turn`;
  }

  *setup(context: Context): Steps {
    if (context.rank !== 0) return;
    const cities = this.#cities;
    if (context.traced) {
      const touches = [
        writes(context.base + DISTANCES, cities ** 2 * WORD_BYTES),
        writes(context.base + NEXT_TASK, WORD_BYTES),
        writes(context.base + SHORTEST, (1 + cities) * WORD_BYTES),
      ];
      yield { kind: "work", touches, units: 0 };
    }
    const distances = drawDistances(cities);
    this.#words(context, DISTANCES, cities ** 2).set(distances.table);
    Atomics.store(this.#words(context, NEXT_TASK, 1), 0, 0);
    const tour = nearestTour(distances);
    this.#words(context, SHORTEST, 1 + cities).set([tourLength(distances, tour), ...tour]);
  }

  *work(context: Context): Steps {
    const cities = this.#cities;
    const { traced, base } = context;
    if (traced) yield work([reads(base + DISTANCES, cities ** 2 * WORD_BYTES)]);
    // A copy: the search reads it all the time, and it does not change.
    const table = this.#words(context, DISTANCES, cities ** 2).slice();
    const search = new TourSearch({ cities, table });
    const next = this.#words(context, NEXT_TASK, 1);
    for (;;) {
      // V8 loads the word first, and then compares and exchanges it.
      if (traced) {
        yield work([reads(base + NEXT_TASK, WORD_BYTES), writes(base + NEXT_TASK, WORD_BYTES)]);
      }
      const first = Atomics.add(next, 0, this.#tasksATurn);
      if (first >= this.tasks) return;
      const end = Math.min(this.tasks, first + this.#tasksATurn);
      for (let task = first; task < end; task++) {
        search.start(taskPrefix(task, cities, this.#taskDepth));
        yield* this.#search(context, search);
      }
    }
  }

  check(context: Context): void {
    const distances = drawDistances(this.#cities);
    const shortest = this.#shortest ??= searchAll(distances);
    const [length, ...tour] = this.#words(context, SHORTEST, 1 + this.#cities);
    if (length !== shortest) {
      throw new Error(`The tour is ${length} long; one thread found ${shortest}`);
    }
    if (new Set(tour).size !== this.#cities || tourLength(distances, tour) !== length) {
      throw new Error(`${tour} is no tour of length ${length}`);
    }
  }

  /** Searches one task, a slice at a time. */
  *#search(context: Context, search: TourSearch): Steps {
    const { traced, base } = context;
    const shortest = this.#words(context, SHORTEST, 1);
    while (!search.finished) {
      if (traced) yield work([reads(base + SHORTEST, WORD_BYTES)]);
      const { visits, shorter } = search.advance(SLICE_VISITS, Atomics.load(shortest, 0));
      if (traced) yield work([], visits);
      if (shorter) yield* this.#publish(context, search);
    }
  }

  /** Puts a tour where all see it, unless somebody has found a shorter one. */
  *#publish(context: Context, search: TourSearch): Steps {
    const name = "salesman/shortest";
    yield { kind: "lock", name };
    const { traced, base } = context;
    const bytes = (1 + this.#cities) * WORD_BYTES;
    const words = this.#words(context, SHORTEST, 1 + this.#cities);
    if (traced) yield work([reads(base + SHORTEST, WORD_BYTES)]);
    if (search.bound < Atomics.load(words, 0)) {
      if (traced) yield work([writes(base + SHORTEST, bytes)]);
      words.set(search.found, 1);
      Atomics.store(words, 0, search.bound);
    }
    yield { kind: "unlock", name };
  }

  #words({ memory, base }: Context, offset: number, length: number): Int32Array {
    return memory.view(Int32Array, base + offset, length);
  }
}

function work(touches: readonly Touch[], units = 0): { kind: "work" } & {
  touches: readonly Touch[];
  units: number;
} {
  return { kind: "work", touches, units };
}

/** Cities at random on a square map, the same each time. */
function drawDistances(cities: number): Distances {
  const random = new Random(MAP_SEED);
  const places = Array.from({ length: cities }, () => ({
    x: random.below(MAP_SIDE),
    y: random.below(MAP_SIDE),
  }));
  const table = new Int32Array(cities * cities);
  for (const [a, from] of places.entries()) {
    for (const [b, to] of places.entries()) {
      table[a * cities + b] = Math.round(Math.hypot(from.x - to.x, from.y - to.y));
    }
  }
  return { cities, table };
}

/** Searches all tours at one go; returns the length of the shortest. */
function searchAll(distances: Distances): number {
  const search = new TourSearch(distances);
  search.start([0]);
  while (!search.finished) search.advance(SLICE_VISITS, Infinity);
  return search.bound;
}

/** The cities that the tours of a task begin with. */
function taskPrefix(task: number, cities: number, taskDepth: number): number[] {
  const left = Array.from({ length: cities - 1 }, (_, i) => i + 1);
  const prefix = [0];
  for (let depth = 0; depth < taskDepth; depth++) {
    prefix.push(...left.splice(task % left.length, 1));
    task = Math.floor(task / (left.length + 1));
  }
  return prefix;
}

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
  /**
   * The city at each depth, the length up to it, what must still come at least, and the next city.
   */
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
