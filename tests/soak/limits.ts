/** What a soak may differ from what it should be. */

/** How much a node's memory may grow between its warm-up and its end: what the collector leaves. */
export const GROWTH_MAX_BYTES: number = 32 * 1024 * 1024;
