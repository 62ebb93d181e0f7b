/** A bound for what may take any time as long as it moves. */

/** Says when something has stood still for too long. */
export class StallClock implements Disposable {
  readonly #timer: ReturnType<typeof setInterval>;

  /**
   * Begins to watch.
   *
   * @param stallMs How long it may stand still, in milliseconds; it is found out after twice as long
   * at the latest.
   * @param progress Says how far it has come: any number that changes whenever it moves.
   * @param stalled Called once, unless it is disposed of before.
   */
  constructor(stallMs: number, progress: () => number, stalled: () => void) {
    let seen = progress();
    this.#timer = setInterval(() => {
      const now = progress();
      if (now === seen) {
        this[Symbol.dispose]();
        stalled();
      }
      seen = now;
    }, stallMs);
  }

  /** Ends the watch. */
  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }
}
