import { assertEquals } from "@std/assert";
import { NotedTimers } from "./timers.ts";

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

  get #clear(): (id: number) => void {
    return (id) => void this.made.delete(id);
  }
}

/** In microseconds, as late as the test may be. */
const MUCH_US = 60e6;

function nowUs(): number {
  return performance.now() * 1000;
}

Deno.test("NotedTimers knows which timer is due next, as timers are made, cleared and fired", () => {
  const scope = new Scope();
  const timers = new NotedTimers(scope);
  /** In minutes from now, rounded. */
  const next = (): number => Math.round((timers.nextUs(nowUs()) - nowUs()) / MUCH_US);
  assertEquals(next(), Infinity);
  const fired: string[] = [];
  const late = scope.setTimeout(() => fired.push("late"), 5 * 60_000) as unknown as number;
  assertEquals(next(), 5);
  const soon = scope.setTimeout(
    (word: string) => fired.push(word),
    3 * 60_000,
    "soon",
  ) as unknown as number;
  scope.setInterval(() => fired.push("again"), 4 * 60_000);
  assertEquals(next(), 3);
  scope.made.get(soon)!();
  scope.made.get(3)!();
  assertEquals(fired, ["soon", "again"]);
  // A time that has come: what is no more is forgotten.
  const later = nowUs() + 3.5 * MUCH_US;
  assertEquals(Math.round((timers.nextUs(later) - nowUs()) / MUCH_US), 4);
  scope.clearTimeout(late);
  scope.clearInterval(3);
  assertEquals(timers.nextUs(nowUs() + 10 * MUCH_US), Infinity);
  assertEquals(scope.made.has(late), false);
});
