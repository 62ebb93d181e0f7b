/**
 * Measures how long threads wait for pages, while a program looks at the cluster: from the request
 * of a page to its grant. While none looks, nothing is measured.
 */

import { LOOKED_AT_MS, TIMED_REQUESTS_MAX } from "../limits.ts";
import { Histogram } from "../observe/histogram.ts";

const US_PER_MS = 1000;

/** Times the requests of one node for which a thread waits. */
export class FaultTimer {
  readonly #durations = new Histogram();
  /** The requests under way, each with the time at which it was made, in microseconds. */
  readonly #begun = new Map<number, number>();
  readonly #nowUs: () => number;
  #lookedAtUs = -Infinity;

  /** @param nowUs Reads the clock, in microseconds. */
  constructor(nowUs: () => number) {
    this.#nowUs = nowUs;
  }

  /**
   * Somebody looks, from here on for some seconds.
   *
   * @returns How many requests took so long, in the buckets of a {@linkcode Histogram}, up to the
   *   last one that is not empty.
   */
  look(): number[] {
    this.#lookedAtUs = this.#nowUs();
    const { counts } = this.#durations;
    return [...counts.subarray(0, counts.findLastIndex((count) => count > 0) + 1)];
  }

  /** A request was made for which a thread waits. */
  requested(request: number): void {
    if (this.#lookedAtUs === -Infinity) return;
    const now = this.#nowUs();
    if (now - this.#lookedAtUs > LOOKED_AT_MS * US_PER_MS) {
      this.#lookedAtUs = -Infinity;
      this.#begun.clear();
    } else if (this.#begun.size < TIMED_REQUESTS_MAX) this.#begun.set(request, now);
  }

  /** A request is made anew, by another number: its thread waits on. */
  requestedAnew(before: number, request: number): void {
    if (this.#begun.size === 0) return;
    const begun = this.#begun.get(before);
    if (begun === undefined) return;
    this.#begun.delete(before);
    this.#begun.set(request, begun);
  }

  /** A request is over. */
  served(request: number): void {
    if (this.#begun.size === 0) return;
    const begun = this.#begun.get(request);
    if (begun === undefined) return;
    this.#begun.delete(request);
    this.#durations.add(this.#nowUs() - begun);
  }
}
