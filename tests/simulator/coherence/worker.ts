/**
 * Runs shares of the schedules, on a core of its own.
 */

import { runBatch } from "./batch.ts";
import { NO_BUG } from "./planted_bugs.ts";

/** Schedules with neighbouring seeds. */
export interface Share {
  /** The first one's seed. */
  readonly seed: number;
  /** How many. */
  readonly count: number;
  /** Whether only those with homes on every node are run. */
  readonly homes: boolean;
}

/** The other side of the worker looks the same from here. */
const parent = self as unknown as Worker;

parent.onmessage = ({ data: { seed, count, homes } }: MessageEvent<Share>) => {
  parent.postMessage(runBatch(seed, count, NO_BUG, homes));
};
