/** The region of a test's node, as remote calls see it. */

import type { RegionOffsets } from "../../runtime/rpc/value.ts";

/**
 * Knows the views of one buffer.
 *
 * @param memory What is the region.
 * @returns Where a view begins in it.
 */
export function offsetsIn(memory: ArrayBuffer): RegionOffsets {
  return { offsetOf: ({ buffer, byteOffset }) => buffer === memory ? byteOffset : undefined };
}
