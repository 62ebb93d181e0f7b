/** The bounds of what a soak lets pass. */

/**
 * The most that a node's memory may grow from its warm-up to its end: garbage not yet collected.
 */
export const GROWTH_MAX_BYTES: number = 32 * 1024 * 1024;
