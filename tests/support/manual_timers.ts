/** Timers that a test fires. */

/** Holds timers of given lengths until the test fires them. All other timers run as usual. */
export class ManualTimers implements Disposable {
  readonly #held: ReadonlySet<number>;
  readonly #timers = new Map<number, { callback: () => void; ms: number; isOnce: boolean }>();
  readonly #real = {
    setTimeout: globalThis.setTimeout,
    setInterval: globalThis.setInterval,
    clearTimeout: globalThis.clearTimeout,
    clearInterval: globalThis.clearInterval,
    now: performance.now,
  };
  #next = -1;
  #skippedMs = 0;

  constructor(...held: number[]) {
    this.#held = new Set(held);
    const take =
      (real: typeof setTimeout, isOnce: boolean) => (callback: () => void, ms: number): number => {
        if (!this.#held.has(ms)) return real(callback, ms) as unknown as number;
        this.#timers.set(this.#next, { callback, ms, isOnce });
        return this.#next--;
      };
    const drop = (real: typeof clearTimeout) => (id: number): void => {
      if (!this.#timers.delete(id)) real(id);
    };
    Object.assign(globalThis, {
      setTimeout: take(this.#real.setTimeout, true),
      setInterval: take(this.#real.setInterval as unknown as typeof setTimeout, false),
      clearTimeout: drop(this.#real.clearTimeout),
      clearInterval: drop(this.#real.clearInterval),
    });
    performance.now = () => this.#real.now.call(performance) + this.#skippedMs;
  }

  /** How many timers of that length wait. */
  count(ms: number): number {
    return [...this.#timers.values()].filter((timer) => timer.ms === ms).length;
  }

  /** Fires every timer of that length; only intervals fire again. */
  fire(ms: number): void {
    for (const [id, timer] of [...this.#timers]) {
      if (timer.ms !== ms) continue;
      if (timer.isOnce) this.#timers.delete(id);
      timer.callback();
    }
  }

  /** Has the clock go on by some milliseconds. */
  skip(ms: number): void {
    this.#skippedMs += ms;
  }

  /** From here on the clock only goes on where it skips. */
  stopClock(): void {
    const now = performance.now();
    const skippedMs = this.#skippedMs;
    performance.now = () => now + this.#skippedMs - skippedMs;
  }

  [Symbol.dispose](): void {
    const { now, ...timers } = this.#real;
    Object.assign(globalThis, timers);
    performance.now = now;
  }
}
