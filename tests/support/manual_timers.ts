/** Timers that a test fires. */

/** Holds timers of given lengths until the test fires them. All other timers run as usual. */
export class ManualTimers implements Disposable {
  readonly #held: ReadonlySet<number>;
  readonly #timers = new Map<number, { callback: () => void; ms: number }>();
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
    const take = (real: typeof setTimeout) => (callback: () => void, ms: number): number => {
      if (!this.#held.has(ms)) return real(callback, ms) as unknown as number;
      this.#timers.set(this.#next, { callback, ms });
      return this.#next--;
    };
    const drop = (real: typeof clearTimeout) => (id: number): void => {
      if (!this.#timers.delete(id)) real(id);
    };
    Object.assign(globalThis, {
      setTimeout: take(this.#real.setTimeout),
      setInterval: take(this.#real.setInterval as unknown as typeof setTimeout),
      clearTimeout: drop(this.#real.clearTimeout),
      clearInterval: drop(this.#real.clearInterval),
    });
    performance.now = () => this.#real.now.call(performance) + this.#skippedMs;
  }

  /** How many timers of that length wait. */
  count(ms: number): number {
    return [...this.#timers.values()].filter((timer) => timer.ms === ms).length;
  }

  /** Fires every timer of that length. */
  fire(ms: number): void {
    for (const timer of [...this.#timers.values()]) if (timer.ms === ms) timer.callback();
  }

  skip(ms: number): void {
    this.#skippedMs += ms;
  }

  [Symbol.dispose](): void {
    const { now, ...timers } = this.#real;
    Object.assign(globalThis, timers);
    performance.now = now;
  }
}
