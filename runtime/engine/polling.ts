/**
 * When the engine looks again, and when it sleeps.
 *
 * Waking a sleeping thread costs more than everything else on the way of a page, so an engine that waits
 * looks again and again for a while after each event, and sleeps only then. Where all cores are in
 * use that takes a core from the very thread that is waited for. So each look in vain lets others
 * have the core first, which costs next to nothing where nobody wants it. And where the core came
 * back after a whole slice of time, or late nearly each time, somebody computes there: then it is
 * better to sleep, and be woken.
 * Polling pauses, 20 ms at first and twice as long each time in a row, up to 1 s.
 */

import {
  POLL_AWAY_SHARE,
  POLL_AWAY_US,
  POLL_LOST_US,
  POLL_PAUSE_MAX_US,
  POLL_PAUSE_MIN_US,
  POLL_WINDOW_US,
} from "../limits.ts";

/** Decides whether to look again. */
export class Polling {
  readonly #timeUs: number;
  readonly #giveWay: () => void;
  readonly #clock: () => number;
  #lastEventUs = -Infinity;
  #lastLookUs = -Infinity;
  /** Until when not to poll, and how long the last such pause was. */
  #pauseEndUs = -Infinity;
  #pauseUs = 0;
  /** How long it polled since that was last judged, and how much of it others had the core. */
  #polledUs = 0;
  #awayUs = 0;

  /**
   * @param timeUs How long to look again after the last event, in microseconds; 0 for never.
   * @param giveWay Lets another thread have this core, if one waits for it.
   * @param clock The time, in microseconds.
   */
  constructor(timeUs: number, giveWay: () => void, clock: () => number = nowUs) {
    this.#timeUs = timeUs;
    this.#giveWay = giveWay;
    this.#clock = clock;
  }

  /** There was something to do, so soon there may be more. Whether to look for it. */
  event(): boolean {
    this.#lastEventUs = this.#lastLookUs = this.#clock();
    return this.#timeUs > 0 && this.#lastEventUs >= this.#pauseEndUs;
  }

  /** Nothing was to do: lets others have the core. Whether to look again, rather than to sleep. */
  again(): boolean {
    if (this.#timeUs === 0) return false;
    const before = this.#clock();
    if (before < this.#pauseEndUs || before - this.#lastEventUs >= this.#timeUs) return false;
    this.#giveWay();
    const now = this.#clock();
    this.#polledUs += now - this.#lastLookUs;
    this.#lastLookUs = now;
    // Other engines that poll, and threads that fault, are back at once.
    const awayUs = now - before;
    if (awayUs > POLL_AWAY_US) this.#awayUs += awayUs;
    const lost = awayUs >= POLL_LOST_US;
    if (lost || this.#polledUs >= POLL_WINDOW_US) this.#judge(now, lost);
    return now >= this.#pauseEndUs;
  }

  #judge(now: number, lost: boolean): void {
    if (lost || this.#awayUs > this.#polledUs * POLL_AWAY_SHARE) {
      this.#pauseUs = Math.min(Math.max(2 * this.#pauseUs, POLL_PAUSE_MIN_US), POLL_PAUSE_MAX_US);
      this.#pauseEndUs = now + this.#pauseUs;
    } else {
      this.#pauseUs = 0;
    }
    this.#polledUs = this.#awayUs = 0;
  }
}

/** The time, in microseconds of a clock that does not go back. */
export function nowUs(): number {
  return performance.now() * 1000;
}
