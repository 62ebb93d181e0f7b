/**
 * The timers of the engine's thread. It sleeps in the library, and what Deno's event loop has to do
 * ends that sleep, except a timer. So timers are noted as they are made; and as long as the engine
 * takes its turns it runs them itself, which costs no turn of the event loop that has to be begun
 * for it.
 */

const MS_US = 1000;

/** A timer that was made and has neither run out nor been cleared. */
interface Timer {
  readonly callback: () => void;
  /** When it is due next, in microseconds of `performance.now`. */
  dueUs: number;
  /** Its interval, in microseconds, if it has one. */
  readonly everyUs: number | undefined;
  /** Deno's timer for it, while the engine does not run it. */
  real: number | undefined;
}

/** The functions of a global scope that make and clear timers. */
type TimerFunction = "setTimeout" | "setInterval" | "clearTimeout" | "clearInterval";
type TimerScope = Pick<typeof globalThis, TimerFunction>;

/** The timers that code of this thread makes from here on. */
export class EngineTimers {
  readonly #setReal: (callback: () => void, delayMs: number) => number;
  readonly #clearReal: (id?: number) => void;
  readonly #timers = new Map<number, Timer>();
  /** No timer is due before; some may be due later than that. */
  #nextUs = Infinity;
  #driven = false;
  /** The last id that was given: below 0, as Deno's, of timers that were made before, are not. */
  #lastId = 0;

  /** Notes every timer that is made by the functions of a global scope from here on. */
  constructor(scope: TimerScope = globalThis) {
    const { setTimeout, clearTimeout } = scope;
    // Deno's are no methods.
    this.#setReal = (callback, delayMs) => setTimeout(callback, delayMs) as unknown as number;
    this.#clearReal = (id) => clearTimeout(id);
    const set =
      (repeats: boolean) =>
      (callback: (...args: unknown[]) => void, delayMs = 0, ...args: unknown[]): number => {
        const delayUs = Math.max(delayMs, 0) * MS_US;
        return this.#add({
          callback: () => callback(...args),
          dueUs: this.#due(delayUs),
          everyUs: repeats ? delayUs : undefined,
          real: undefined,
        });
      };
    const clear = (id?: number): void => this.#clear(id);
    Object.assign(scope, {
      setTimeout: set(false),
      setInterval: set(true),
      clearTimeout: clear,
      clearInterval: clear,
    });
  }

  #due(delayUs: number): number {
    const dueUs = performance.now() * MS_US + delayUs;
    this.#nextUs = Math.min(this.#nextUs, dueUs);
    return dueUs;
  }

  #add(timer: Timer): number {
    const id = --this.#lastId;
    this.#timers.set(id, timer);
    if (!this.#driven) this.#makeReal(id, timer);
    return id;
  }

  #makeReal(id: number, timer: Timer): void {
    const delayMs = Math.max(timer.dueUs / MS_US - performance.now(), 0);
    timer.real = this.#setReal(() => {
      timer.real = undefined;
      this.#ran(id, timer);
      if (timer.everyUs !== undefined) this.#makeReal(id, timer);
      timer.callback();
    }, delayMs);
  }

  /** Notes that a timer has been due, before it is called. */
  #ran(id: number, timer: Timer): void {
    if (timer.everyUs === undefined) this.#timers.delete(id);
    else timer.dueUs = this.#due(timer.everyUs);
  }

  #clear(id?: number): void {
    if (id === undefined) return;
    const timer = this.#timers.get(id);
    this.#timers.delete(id);
    // An id that this has not given is one of a timer that was made before.
    if (timer === undefined) this.#clearReal(id);
    else if (timer.real !== undefined) this.#clearReal(timer.real);
  }

  /** From here on {@linkcode EngineTimers.run} runs the timers, and nothing else does. */
  drive(): void {
    this.#driven = true;
    for (const timer of this.#timers.values()) {
      if (timer.real !== undefined) this.#clearReal(timer.real);
      timer.real = undefined;
    }
  }

  /** From here on the event loop runs the timers, as those of any thread. */
  release(): void {
    if (!this.#driven) return;
    this.#driven = false;
    for (const [id, timer] of this.#timers) this.#makeReal(id, timer);
  }

  /**
   * Runs the timers that are due. What they throw is an uncaught error, as for any timer.
   *
   * @param nowUs The time, in microseconds of `performance.now`.
   * @returns Whether there were any.
   */
  run(nowUs: number): boolean {
    if (this.nextUs(nowUs) > nowUs) return false;
    const due = [...this.#timers].filter(([, { dueUs }]) => dueUs <= nowUs)
      .sort(([, one], [, other]) => one.dueUs - other.dueUs);
    for (const [id, timer] of due) {
      // One that ran before may have cleared this one.
      if (this.#timers.get(id) !== timer) continue;
      this.#ran(id, timer);
      try {
        timer.callback();
      } catch (error) {
        queueMicrotask(() => {
          throw error;
        });
      }
    }
    return true;
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
