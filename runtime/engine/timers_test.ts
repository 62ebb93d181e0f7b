import { assertEquals } from "@std/assert";
import { EngineTimers } from "./timers.ts";

/** Timers that the test fires, with the functions of a global scope. */
class Scope {
  readonly made = new Map<number, () => void>();
  readonly setTimeout = this.#make as unknown as typeof setTimeout;
  readonly setInterval = this.#make as unknown as typeof setInterval;
  readonly clearTimeout = this.#clear as unknown as typeof clearTimeout;
  readonly clearInterval = this.#clear as unknown as typeof clearInterval;
  #last = 0;

  get #make(): (callback: () => void) => number {
    return (callback) => {
      this.made.set(++this.#last, callback);
      return this.#last;
    };
  }

  /** Fires a timer, which is none any more, as Deno does. */
  fire(id: number): void {
    const callback = this.made.get(id)!;
    this.made.delete(id);
    callback();
  }

  get #clear(): (id: number) => void {
    return (id) => void this.made.delete(id);
  }
}

/** In microseconds, as late as the test may be. */
const MUCH_US = 60e6;

function nowUs(): number {
  return performance.now() * 1000;
}

Deno.test("EngineTimers knows which timer is due next, as timers are made, cleared and fired", () => {
  const scope = new Scope();
  const timers = new EngineTimers(scope);
  /** In minutes from now, rounded. */
  const next = (): number => Math.round((timers.nextUs(nowUs()) - nowUs()) / MUCH_US);
  assertEquals(next(), Infinity);
  const fired: string[] = [];
  const late = scope.setTimeout(() => fired.push("late"), 5 * 60_000) as unknown as number;
  assertEquals(next(), 5);
  scope.setTimeout((word: string) => fired.push(word), 3 * 60_000, "soon");
  const again = scope.setInterval(() => fired.push("again"), 4 * 60_000) as unknown as number;
  assertEquals(next(), 3);
  const [, realSoon, realAgain] = [...scope.made.keys()];
  scope.fire(realSoon!);
  scope.fire(realAgain!);
  assertEquals(fired, ["soon", "again"]);
  // A time that has come: what is no more is forgotten.
  const later = nowUs() + 3.5 * MUCH_US;
  assertEquals(Math.round((timers.nextUs(later) - nowUs()) / MUCH_US), 4);
  scope.clearTimeout(late);
  scope.clearInterval(again);
  assertEquals(timers.nextUs(nowUs() + 10 * MUCH_US), Infinity);
  assertEquals(scope.made.size, 0);
});

Deno.test("EngineTimers runs what is due by itself while it drives, the earliest first", () => {
  const scope = new Scope();
  const timers = new EngineTimers(scope);
  const fired: string[] = [];
  const minutes = (name: string, delay: number): number =>
    scope.setTimeout(() => fired.push(name), delay * 60_000) as unknown as number;
  minutes("late", 5);
  scope.setInterval(() => fired.push("again"), 2 * 60_000);
  timers.drive();
  assertEquals(scope.made.size, 0);
  const cleared = minutes("cleared", 1);
  minutes("soon", 1);
  scope.setTimeout(() => scope.clearTimeout(cleared), 30_000);
  const begin = nowUs();
  assertEquals(timers.run(begin), false);
  assertEquals(timers.run(begin + 4 * MUCH_US), true);
  assertEquals(fired, ["soon", "again"]);
  // An interval goes on from the time at which it was run, by the clock.
  const later = begin + 1.5 * MUCH_US;
  assertEquals(Math.round((timers.nextUs(later) - nowUs()) / MUCH_US), 2);
  assertEquals(scope.made.size, 0);
});

Deno.test("EngineTimers gives the event loop back what has not run out", () => {
  const scope = new Scope();
  const timers = new EngineTimers(scope);
  timers.drive();
  const fired: string[] = [];
  const cleared = scope.setTimeout(() => fired.push("cleared"), 60_000) as unknown as number;
  scope.setInterval(() => fired.push("again"), 60_000);
  scope.setTimeout(() => fired.push("once"), 60_000);
  timers.release();
  scope.clearTimeout(cleared);
  assertEquals(scope.made.size, 2);
  for (const id of [...scope.made.keys()]) scope.fire(id);
  assertEquals(fired, ["again", "once"]);
  // The interval is set anew.
  assertEquals(scope.made.size, 1);
});

Deno.test("EngineTimers: what a timer throws is an uncaught error, and the others run", async () => {
  const scope = new Scope();
  const timers = new EngineTimers(scope);
  timers.drive();
  const fired: string[] = [];
  const error = new Error("thrown by a timer");
  scope.setTimeout(() => {
    throw error;
  }, 1_000);
  scope.setTimeout(() => fired.push("next"), 2_000);
  const uncaught = Promise.withResolvers<unknown>();
  const listen = (event: ErrorEvent): void => {
    event.preventDefault();
    uncaught.resolve(event.error);
  };
  addEventListener("error", listen);
  timers.run(nowUs() + MUCH_US);
  assertEquals([fired, await uncaught.promise], [["next"], error]);
  removeEventListener("error", listen);
});
