/**
 * When the engine polls, and when it sleeps.
 *
 * To wake a sleeping thread costs more than everything else on a page's way, so after each event
 * the engine polls for a while before it sleeps. Where all cores are in use, polling takes a core
 * from the very thread that the engine waits for. So after each look in vain the engine yields its
 * core, which costs next to nothing where no other thread wants the core. If the core comes back
 * only after a whole time slice, or late nearly each time, another thread computes there, and it is
 * better to sleep and be woken: polling pauses, for 20 ms at first and twice as long each time in a
 * row, up to 1 s.
 */

import {
  POLL_AWAY_SHARE,
  POLL_AWAY_US,
  POLL_LOST_US,
  POLL_PAUSE_MAX_US,
  POLL_PAUSE_MIN_US,
  POLL_WINDOW_US,
} from "../limits.ts";

/** Decides whether to poll or to sleep. */
export class Polling {
  readonly #timeUs: number;
  readonly #giveWay: () => void;
  readonly #clock: () => number;
  #lastEventUs = -Infinity;
  #lastLookUs = -Infinity;
  /** Until when not to poll, and how long the last such pause was, in microseconds. */
  #pauseEndUs = -Infinity;
  #pauseUs = 0;
  /**
   * How long it polled since the last judgement, and for how much of that other threads had the
   * core.
   */
  #polledUs = 0;
  #awayUs = 0;

  /**
   * @param timeUs How long to poll after the last event, in microseconds; 0 for never.
   * @param giveWay Yields this core to another thread, if one waits for the core.
   * @param clock The time, in microseconds.
   */
  constructor(timeUs: number, giveWay: () => void, clock: () => number = nowUs) {
    this.#timeUs = timeUs;
    this.#giveWay = giveWay;
    this.#clock = clock;
  }

  /** Notes an event, which others may follow soon. Returns whether to poll for them. */
  event(): boolean {
    this.#lastEventUs = this.#lastLookUs = this.#clock();
    return this.#timeUs > 0 && this.#lastEventUs >= this.#pauseEndUs;
  }

  /** Notes a look in vain: yields the core. Returns whether to poll on, rather than to sleep. */
  again(): boolean {
    if (this.#timeUs === 0) return false;
    const before = this.#clock();
    if (before < this.#pauseEndUs || before - this.#lastEventUs >= this.#timeUs) return false;
    this.#giveWay();
    const now = this.#clock();
    this.#polledUs += now - this.#lastLookUs;
    this.#lastLookUs = now;
    // Other engines that poll, and threads that fault, give the core back at once.
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
