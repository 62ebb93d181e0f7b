/** For how long a thread looks at a word before it asks the desk to be woken. */

import { FUTEX_SPIN_MAX_US, FUTEX_SPIN_MIN_US } from "../limits.ts";

/** What one thread has learnt from its waits. */
export class LookTime {
  #us = FUTEX_SPIN_MAX_US;

  /** The time, in microseconds. */
  get us(): number {
    return this.#us;
  }

  /**
   * A wait has ended because of another thread. One that slept counts by how long it took, too:
   * where threads take turns, each of them sleeps only because the other has slept before, and they
   * would go on so for ever.
   *
   * @param tookUs How long it took, in microseconds.
   */
  ended(tookUs: number): void {
    if (tookUs > FUTEX_SPIN_MAX_US) return this.inVain();
    this.#us = Math.min(this.#us * 2, FUTEX_SPIN_MAX_US);
  }

  /** A wait was too long to be looked away: that takes a core from the thread that ends it. */
  inVain(): void {
    this.#us = Math.max(this.#us / 2, FUTEX_SPIN_MIN_US);
  }
}
