/**
 * The names of allocations that a node has heard of: those that its own threads have asked for.
 */

import { ALLOCATIONS_TOLD_MAX } from "../limits.ts";
import type { NamedAllocation } from "../protocol/allocation/allocator.ts";

/** The named allocations that a node knows, the oldest first. */
export class KnownNames {
  readonly #byOffset = new Map<number, NamedAllocation>();

  /** A thread of this node was given an allocation. */
  learn(allocation: NamedAllocation): void {
    const { offset, bytes } = allocation;
    // What is known to be elsewhere in these bytes was freed by another node.
    for (const [known, { bytes: length }] of this.#byOffset) {
      const isSame = known === offset;
      if (!isSame && known < offset + bytes && offset < known + length) {
        this.#byOffset.delete(known);
      }
    }
    if (this.#byOffset.has(offset) || this.#byOffset.size < ALLOCATIONS_TOLD_MAX) {
      this.#byOffset.set(offset, allocation);
    }
  }

  /** A thread of this node has freed the allocation that begins at an offset. */
  forget(offset: number): void {
    this.#byOffset.delete(offset);
  }

  /** What is known. */
  *[Symbol.iterator](): Generator<NamedAllocation> {
    yield* this.#byOffset.values();
  }
}
