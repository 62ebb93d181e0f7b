/** When a node looks again whether its directory is published. */

import { RENDEZVOUS_LOOK_MAX_MS, RENDEZVOUS_LOOK_MS } from "../limits.ts";

/** How much longer than the pause before it a pause is. */
const GROWTH = 1.5;

/** The pauses between the looks of one node, which grow until its time is up. */
export class Looks {
  readonly #giveUpAtMs: number;
  #pauseMs = RENDEZVOUS_LOOK_MS;

  /**
   * @param giveUpAtMs Until when to look, by `performance.now()`.
   */
  constructor(giveUpAtMs: number) {
    this.#giveUpAtMs = giveUpAtMs;
  }

  /**
   * Waits until it is time to look again.
   *
   * @returns `false`, at once, where the time is up.
   */
  async again(): Promise<boolean> {
    const leftMs = this.#giveUpAtMs - performance.now();
    if (leftMs <= 0) return false;
    const pauseMs = Math.min(this.#pauseMs, leftMs);
    await new Promise((resolve) => setTimeout(resolve, pauseMs));
    this.#pauseMs = Math.min(GROWTH * this.#pauseMs, RENDEZVOUS_LOOK_MAX_MS);
    return true;
  }
}
