/** Tries shares of the inputs, on a core of its own, until it is ended. */

import { fuzz, type Tally } from "./target.ts";
import { TARGETS } from "./targets.ts";

/** A share of the inputs. */
export interface Share {
  /** The number of its first input. */
  readonly seed: number;
  readonly inputs: number;
  /** The only target; every target where none is named. */
  readonly target: string | undefined;
}

/** What came of a share. */
export type ShareResult = { readonly tally: Tally } | { readonly failure: string };

/** The other side of the worker looks the same from here. */
const parent = self as unknown as Worker;

parent.onmessage = async ({ data }: MessageEvent<Share>) => {
  const { seed, inputs, target } = data;
  const targets = TARGETS.filter(({ name }) => target === undefined || name === target);
  // Decoders throw at every other input; a single one is tried to see where it comes from.
  Error.stackTraceLimit = inputs > 1 ? 0 : Infinity;
  try {
    parent.postMessage({ tally: await fuzz(targets, seed, inputs) } satisfies ShareResult);
  } catch (error) {
    const failure = error instanceof Error ? `${error.message}\n${error.stack}` : String(error);
    parent.postMessage({ failure } satisfies ShareResult);
  }
};
