/**
 * Runs one share of the schedules, on a core of its own.
 */

import { runBatch } from "./batch.ts";

/** The share of one worker. */
export interface Share {
  readonly seed: number;
  readonly count: number;
  readonly stride: number;
}

/** The other side of the worker looks the same from here. */
const parent = self as unknown as Worker;

parent.onmessage = ({ data }: MessageEvent<Share>) => {
  parent.postMessage(runBatch(data.seed, data.count, data.stride));
};
