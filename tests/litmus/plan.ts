/**
 * The plan of a batch, which all threads derive from a seed without communication: which thread
 * runs which part of the test, and which nodes have which pages at the start.
 */

import { Random } from "../simulator/coherence/random.ts";

/** Many runs of one test by real nodes. */
export interface Job {
  /** The test's name. */
  readonly test: string;
  /** The placement's name. */
  readonly placement: string;
  /** Whether loads and stores are `Atomics`; plain ones otherwise. */
  readonly atomic: boolean;
  /** What chance starts from. */
  readonly seed: number;
  /** How many batches. */
  readonly batches: number;
  /** How many instances each has. */
  readonly instances: number;
  /** How many threads take part in a batch, those among them that have nothing to run included. */
  readonly slots: number;
}

/** One batch. */
export interface BatchPlan {
  /** For each thread of the test, the slot that runs it. */
  readonly slotOf: readonly number[];
  /** The slot that reads the final values of the batch before, and sets this one's words to 0. */
  readonly preparer: number;
  /** The slots that read every word before the batch, so that their nodes have copies. */
  readonly readers: readonly boolean[];
  /** The longest wait before an access is 2 to the power of this, in turns of an empty loop. */
  readonly skewBits: number;
  /** Where further chance comes from, the same for every slot. */
  readonly random: Random;
}

/** A wait of about as long as a processor's cache needs to fetch a line. */
const SKEW_BITS_SHORT = 8;
/** A wait of longer than a page is held. */
const SKEW_BITS_LONG = 21;

/** @returns What happens in a batch. */
export function planBatch({ seed, slots }: Job, batch: number): BatchPlan {
  const random = new Random(seed + Math.imul(batch, 0x01000193));
  const slotOf = Array.from({ length: slots }, (_, slot) => slot);
  for (let last = slots - 1; last > 0; last--) {
    const other = random.below(last + 1);
    [slotOf[last], slotOf[other]] = [slotOf[other]!, slotOf[last]!];
  }
  const preparer = random.below(slots);
  const percent = [0, 30, 100][random.below(3)]!;
  const readers = slotOf.map(() => random.chance(percent));
  const skewBits = random.between(1, random.chance(50) ? SKEW_BITS_SHORT : SKEW_BITS_LONG);
  return { slotOf, preparer, readers, skewBits, random };
}
