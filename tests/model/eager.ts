/**
 * Parts of the engine that do not learn. Their choices do not depend on the past, which keeps the
 * number of states small, and include every choice that the real parts can make.
 */

import { UNPROVEN } from "../../runtime/protocol/coherence/migration.ts";
import type { PageRun } from "../../runtime/protocol/coherence/page.ts";
import { Miss, SequenceDetector } from "../../runtime/protocol/coherence/sequence_detector.ts";
import type { ProbeParts } from "../simulator/coherence/probes.ts";
import type { ModelOptions } from "./model.ts";

/** What is known of a page that may be handed over once more. */
const ONE_HAND_OVER = 0b11;

/** Requests the longest run each time, so that earlier misses do not matter. */
class EagerSequences extends SequenceDetector {
  readonly #pages: number;
  readonly #readAhead: boolean;
  /** Where the last fault was; forgotten with the step in which that was. */
  #page = 0;

  constructor(pages: number, readAhead: boolean) {
    super(pages);
    this.#pages = pages;
    this.#readAhead = readAhead;
  }

  override miss(page: number): number {
    this.#page = page;
    return this.#readAhead ? 1 : this.#pages;
  }

  override enters(page: number): boolean {
    this.#page = page;
    return this.#readAhead;
  }

  override ahead(): (PageRun & { readonly miss: Miss }) | undefined {
    if (!this.#readAhead) return undefined;
    return { first: this.#page + 1, count: this.#pages, miss: Miss.Read };
  }
}

/**
 * @param parts What the engine is made of.
 * @param options The cluster to explore.
 * @returns The same without what it learns.
 */
export function eager(
  parts: ProbeParts,
  { runPages, readAhead }: Pick<ModelOptions, "runPages" | "readAhead">,
): ProbeParts {
  class EagerCache extends parts.PageCache {
    protected override readonly sequences = new EagerSequences(runPages, readAhead);
  }
  /** Proofs are good for one hand-over, again and again, so that their number does not matter. */
  class EagerDirectory extends parts.Directory {
    protected override afterUpgrade(record: number, copies: number, owns: boolean): number {
      return super.afterUpgrade(record, copies, owns) === UNPROVEN ? UNPROVEN : ONE_HAND_OVER;
    }
  }
  return { ...parts, PageCache: EagerCache, Directory: EagerDirectory };
}
