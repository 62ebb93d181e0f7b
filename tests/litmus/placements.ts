/** Where the words of a litmus test lie: how they share pages, and what the runtime makes of it. */

import type { Random } from "../simulator/coherence/random.ts";

/** The size of the region that the tests need, in bytes. */
export const REGION_BYTES = 4 << 20;
/** The word at which threads that go in step meet, on a page of its own behind all others. */
export const MEETING_WORD = 1_000 * 1_024;
/** The size of a page in these tests, in bytes. */
export const PAGE_BYTES = 4096;

const PAGE_WORDS = PAGE_BYTES / 4;
/** A prime, so that every stride comes to every page. */
const SCATTER_PAGES = 509;
/** Far enough that no walk through memory is seen in it. */
const SCATTER_STRIDE = 37;

/** A way to place the words of many instances of a test. */
export interface Placement {
  /** Its name. */
  readonly name: string;
  /** What is special about it. */
  readonly about: string;
  /** How many instances are run between two barriers, at most. */
  readonly instancesMax: number;
  /** Whether each thread reads and then writes every page before the test, as a baton is passed. */
  readonly turns: boolean;
  /** Whether the threads wait for each other before each instance, so that they race for it. */
  readonly inStep: boolean;
  /**
   * Places one batch.
   *
   * @param random Where chance comes from; the same for every thread.
   * @param instances How many instances it has.
   * @param words The words of an instance.
   * @param slot Which thread asks.
   * @returns For instance `i` and word `w`, at `i * words + w`, its number in the region.
   */
  place(random: Random, instances: number, words: number, slot: number): Int32Array;
}

function placed(
  instances: number,
  words: number,
  at: (instance: number, word: number) => number,
): Int32Array {
  return Int32Array.from(
    { length: instances * words },
    (_, index) => at(Math.floor(index / words), index % words),
  );
}

function scattered(start: number, index: number): number {
  return ((start + index * SCATTER_STRIDE) % SCATTER_PAGES) * PAGE_WORDS;
}

const apart: Placement = {
  name: "apart",
  about: "each word alone in its page, pages in no order",
  instancesMax: 32,
  turns: false,
  inStep: false,
  place(random, instances, words) {
    const [start, offset] = [random.below(SCATTER_PAGES), random.below(PAGE_WORDS)];
    const at = (i: number, word: number) => scattered(start, i * words + word) + offset;
    return placed(instances, words, at);
  },
};

const columns: Placement = {
  name: "columns",
  about: "a page for each word, with that word of every instance in it",
  instancesMax: 64,
  turns: false,
  inStep: false,
  place(random, instances, words) {
    const start = random.below(SCATTER_PAGES);
    return placed(instances, words, (i, word) => scattered(start, word) + i * 16);
  },
};

const together: Placement = {
  name: "together",
  about: "all words of an instance in one page, in one cache line or in several",
  instancesMax: 32,
  turns: false,
  inStep: false,
  place(random, instances, words) {
    const [start, distance] = [random.below(SCATTER_PAGES), random.chance(50) ? 1 : 500];
    return placed(instances, words, (i, word) => scattered(start, i) + word * distance);
  },
};

const walk: Placement = {
  name: "walk",
  about: "each word in its page, walked through page by page after turns of reading and writing",
  instancesMax: 64,
  turns: true,
  inStep: false,
  place(random, instances, words) {
    const start = random.below(SCATTER_PAGES);
    const at = (i: number, word: number) => (start + word * instances + i) * PAGE_WORDS;
    return placed(instances, words, at);
  },
};

/** Every placement. */
export const PLACEMENTS: readonly Placement[] = [
  apart,
  columns,
  together,
  walk,
  {
    ...columns,
    name: "columns in step",
    about: `${columns.about}; one after the other`,
    inStep: true,
  },
  {
    ...together,
    name: "together in step",
    about: `${together.about}; one after the other`,
    inStep: true,
  },
];

/** A planted fault: each thread has words of its own, so none ever sees what another writes. */
export const PRIVATE_WORDS: Placement = {
  ...apart,
  name: "private",
  about: "planted: no word is shared",
  place(_random, instances, words, slot) {
    const first = slot * instances * words;
    return placed(instances, words, (i, word) => (first + i * words + word) * 16);
  },
};

/** @returns The placement of that name. */
export function placementOf(name: string): Placement {
  const found = [...PLACEMENTS, PRIVATE_WORDS].find((placement) => placement.name === name);
  if (found === undefined) throw new RangeError(`there is no placement ${name}`);
  return found;
}
