/**
 * Runs shares of the schedules, on a core of its own.
 */

import { runBatch } from "./batch.ts";

/** Schedules with neighbouring seeds. */
export interface Share {
  /** The first one's seed. */
  readonly seed: number;
  /** How many. */
  readonly count: number;
}

/** The other side of the worker looks the same from here. */
const parent = self as unknown as Worker;

parent.onmessage = ({ data: { seed, count } }: MessageEvent<Share>) => {
  parent.postMessage(runBatch(seed, count));
};
