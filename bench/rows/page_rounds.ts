/** Rounds of accesses to pages that others have: what most families are made of. */

import type { Context } from "../context.ts";
import type { BenchNode } from "../nodes.ts";

/** The accesses of a round. */
export const ACCESSES = 100;
/** Pages between two that are accessed, so that they look like no sequence. */
export const STRIDE_PAGES = 3;
/** The pages that lie between the first of one round and the first of another. */
export const AREA_PAGES = 512;
/** The share of timed accesses that must have asked for a page, or the round is not what it is called. */
const MISSES_LEAST = 0.95;

/** One kind of miss. */
export interface Miss {
  /** For the note that says that something else was measured. */
  readonly name: string;
  /** The area of the region that it uses alone: 0, 1, 2 … */
  readonly area: number;
  /** Whose access is timed. */
  readonly asker: BenchNode;
  /** Whether it writes. */
  readonly write: boolean;
  /** Who writes the pages before, and has the only copies then. */
  readonly owner: BenchNode;
  /** Who reads them after that. */
  readonly readers?: readonly BenchNode[];
}

/**
 * How rounds of one kind of miss are taken. Each writes the pages anew, has them read, and then times
 * accesses in an order of no pattern.
 *
 * @param context The run; is told when accesses did not miss.
 * @param miss The kind.
 * @returns Takes a round; resolves with microseconds.
 */
export function missRounds(context: Context, miss: Miss): () => Promise<number[]> {
  const { name, area, asker, write, owner, readers = [] } = miss;
  const first = AREA_PAGES * (area + 1);
  const touched = { first, count: ACCESSES, stride: STRIDE_PAGES };
  const all = { first, count: ACCESSES * STRIDE_PAGES, stride: 1 };
  let value = 0;
  return async () => {
    await owner.run("writePages", { ...all, value: ++value });
    for (const reader of readers) await reader.run("readPages", { ...all, value });
    if (write) value++;
    const { us, misses } = await asker.run("timePages", { ...touched, value, write, seed: value });
    noteHits(context, name, us.length, misses);
    return us;
  };
}

/**
 * Notes when accesses that should have missed did not.
 *
 * @param context The run.
 * @param name What was measured.
 * @param accesses How many accesses there were.
 * @param misses How many of them asked for a page.
 */
export function noteHits(
  context: Context,
  name: string,
  accesses: number,
  misses: number,
): void {
  if (misses >= accesses * MISSES_LEAST) return;
  context.notes.add(`${name}: in some rounds fewer than ${MISSES_LEAST * 100} % were misses`);
}
