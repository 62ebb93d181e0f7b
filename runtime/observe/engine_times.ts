/** What an engine's thread spends its time on, as a counter that never falls. */

import type { ThreadTimes } from "../../ffi/poller.ts";

/** Microseconds by what they were spent on. */
export interface EngineTimes {
  /** The protocol, messages, and what else the engine does. */
  readonly working: number;
  /** Looking for news instead of sleeping. */
  readonly polling: number;
  /** Waiting for a core. */
  readonly waiting: number;
  readonly asleep: number;
}

/** Divides the time of one thread. */
export class EngineClock {
  #told: EngineTimes = { working: 0, polling: 0, waiting: 0, asleep: 0 };

  /**
   * Divides the time so far.
   *
   * @param times What the thread has counted.
   * @param sinceUs How long the thread has been there, in microseconds.
   * @returns What the thread has spent that time on. No number is below what was told before, also
   * where another thread had the core while this one looked, which is counted as both.
   */
  divide({ lookedUs, ranUs, waitedUs }: ThreadTimes, sinceUs: number): EngineTimes {
    const told = this.#told;
    return this.#told = {
      working: Math.max(told.working, ranUs - lookedUs),
      polling: Math.max(told.polling, lookedUs),
      waiting: Math.max(told.waiting, waitedUs),
      asleep: Math.max(told.asleep, sinceUs - ranUs - waitedUs),
    };
  }
}
