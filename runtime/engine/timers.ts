/**
 * When the next timer of this thread is due. The engine's thread sleeps in the library, and what
 * Deno's event loop has to do ends that sleep, except a timer: so timers are noted as they are
 * made.
 */

const MS_US = 1000;

/** A timer: when it is due next, in microseconds of `performance.now`, and its interval, if any. */
interface Noted {
  dueUs: number;
  readonly everyUs: number | undefined;
}

/** The timers that code of this thread makes from here on. */
export class NotedTimers {
  readonly #timers = new Map<number, Noted>();
  /** No timer is due before; some may be due later than that. */
  #nextUs = Infinity;

  /** Notes every timer that is made by the functions of a global scope from here on. */
  constructor(scope: Pick<typeof globalThis, TimerFunction> = globalThis) {
    const { setTimeout, setInterval, clearTimeout, clearInterval } = scope;
    const set =
      (real: typeof setInterval, repeats: boolean) =>
      (callback: (...args: unknown[]) => void, delayMs = 0, ...args: unknown[]): number => {
        const delayUs = Math.max(delayMs, 0) * MS_US;
        const noted = { dueUs: this.#due(delayUs), everyUs: repeats ? delayUs : undefined };
        const id: number = real(() => {
          if (noted.everyUs === undefined) this.#timers.delete(id);
          else noted.dueUs = this.#due(noted.everyUs);
          callback(...args);
        }, delayMs) as unknown as number;
        this.#timers.set(id, noted);
        return id;
      };
    const clear = (real: typeof clearInterval) => (id?: number): void => {
      if (id !== undefined) this.#timers.delete(id);
      real(id);
    };
    Object.assign(scope, {
      setTimeout: set(setTimeout as unknown as typeof setInterval, false),
      setInterval: set(setInterval, true),
      clearTimeout: clear(clearTimeout as typeof clearInterval),
      clearInterval: clear(clearInterval),
    });
  }

  #due(delayUs: number): number {
    const dueUs = performance.now() * MS_US + delayUs;
    this.#nextUs = Math.min(this.#nextUs, dueUs);
    return dueUs;
  }

  /**
   * When the next timer is due.
   *
   * @param nowUs The time, in microseconds of `performance.now`.
   * @returns That time, in the same microseconds; `Infinity` where there is no timer.
   */
  nextUs(nowUs: number): number {
    if (this.#nextUs > nowUs) return this.#nextUs;
    this.#nextUs = Infinity;
    for (const { dueUs } of this.#timers.values()) {
      this.#nextUs = Math.min(this.#nextUs, dueUs);
    }
    return this.#nextUs;
  }
}

type TimerFunction = "setTimeout" | "setInterval" | "clearTimeout" | "clearInterval";
