/**
 * When the engine looks for news, and when it sleeps.
 *
 * To wake a sleeping thread costs more than most of what else is on a page's way: up to 35 us where
 * the core has halted. So once the engine has sent something, or cannot answer a call at once, it
 * may look again and again for a short while. Where all cores are in use that would take a core
 * from the very thread that has the answer; so the look gives its core away now and then, and ends
 * there (`zig/src/look.zig`).
 *
 * {@linkcode Looking} decides for an engine whose thread sleeps in one poll. {@linkcode Polling} is
 * for the engine that has no such poll, and whose sleep begins and ends in Deno's event loop: after
 * each event it polls for a while. After each look in vain it yields its core, which costs next to
 * nothing where no other thread wants the core. If the core comes back only after a whole time
 * slice, or late nearly each time, another thread computes there, and it is better to sleep and be
 * woken: polling pauses, for 20 ms at first and twice as long each time in a row, up to 1 s.
 */

import type { LookEnd } from "../../ffi/poller.ts";
import {
  LOOK_WAKES,
  LOOKS_IN_VAIN_MAX,
  LOOKS_LEFT_OUT_MAX,
  LOOKS_LEFT_OUT_TAKEN_MAX,
  POLL_AWAY_SHARE,
  POLL_AWAY_US,
  POLL_LOST_US,
  POLL_PAUSE_MAX_US,
  POLL_PAUSE_MIN_US,
  POLL_WINDOW_US,
  WAKE_FIRST_US,
  WAKE_MAX_US,
} from "../limits.ts";

/**
 * What a look is for: a page that a thread of this node waits for, an answer to what else was sent,
 * or what a thread of this node waits for whose call was not answered at once.
 */
export type LookFor = "page" | "answer" | "call";

/** What looks for one kind of news have come to. */
class LooksSoFar {
  /** How many in a row were in vain. */
  inVain = 0;
  /** How many are to be left out yet, and how many were to be the last time. */
  toLeaveOut = 0;
  lastLeftOut = 0;
}

/**
 * Decides how long to look for news before the thread sleeps. Each kind is judged by itself: a page
 * comes soon, but a peer that was only answered may have nothing more to say.
 */
export class Looking {
  readonly #maxUs: number;
  /** What a wake-up costs on this machine, in microseconds. */
  #wakeUs = WAKE_FIRST_US;
  readonly #kinds: Readonly<Record<LookFor, LooksSoFar>> = {
    page: new LooksSoFar(),
    answer: new LooksSoFar(),
    call: new LooksSoFar(),
  };
  /** The kind of the look that {@linkcode Looking.nextUs} was last asked about. */
  #looks = this.#kinds.call;

  /** @param maxUs How long to look at most, in microseconds; 0 for never. */
  constructor(maxUs: number) {
    this.#maxUs = maxUs;
  }

  /**
   * How long to look now, before a sleep.
   *
   * @param what What the look is for.
   * @returns Microseconds; 0 for not at all, since that was in vain again and again.
   */
  nextUs(what: LookFor): number {
    const looks = this.#looks = this.#kinds[what];
    if (looks.toLeaveOut > 0) {
      looks.toLeaveOut--;
      return 0;
    }
    return Math.min(this.#maxUs, Math.ceil(LOOK_WAKES * this.#wakeUs));
  }

  /**
   * The look that {@linkcode Looking.nextUs} was last asked about has ended.
   *
   * @param end How.
   */
  looked(end: LookEnd): void {
    const looks = this.#looks;
    if (end === "seen") looks.inVain = looks.lastLeftOut = 0;
    else if (++looks.inVain >= LOOKS_IN_VAIN_MAX) {
      const most = end === "taken" ? LOOKS_LEFT_OUT_TAKEN_MAX : LOOKS_LEFT_OUT_MAX;
      looks.toLeaveOut = looks.lastLeftOut = Math.min(Math.max(2 * looks.lastLeftOut, 1), most);
    }
  }

  /**
   * A sleep has ended by its time: what that took longer is what it costs here to wake a thread.
   *
   * @param lateUs How much longer, in microseconds.
   */
  overslept(lateUs: number): void {
    this.#wakeUs += (Math.min(Math.max(lateUs, 0), WAKE_MAX_US) - this.#wakeUs) / 4;
  }
}

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
