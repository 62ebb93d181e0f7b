import { assert, assertEquals } from "@std/assert";
import {
  LOOK_WAKES,
  LOOKS_IN_VAIN_MAX,
  LOOKS_LEFT_OUT_MAX,
  LOOKS_LEFT_OUT_TAKEN_MAX,
  POLL_AWAY_US,
  POLL_LOST_US,
  POLL_PAUSE_MAX_US,
  POLL_PAUSE_MIN_US,
  POLL_WINDOW_US,
  WAKE_FIRST_US,
  WAKE_MAX_US,
} from "../limits.ts";
import type { LookEnd } from "../../ffi/poller.ts";
import { Looking, Polling } from "./polling.ts";

const TIME_US = 100;

/** A clock that moves when the core is given away, and when the test says so. */
class Bench {
  now = 5_000_000;
  /** How long others keep the core. */
  awayUs = 1;
  given = 0;
  readonly polling: Polling;

  constructor(timeUs = TIME_US) {
    const giveWay = (): void => {
      this.given++;
      this.now += this.awayUs;
    };
    this.polling = new Polling(timeUs, giveWay, () => this.now);
  }

  /** Polls for a whole time after an event; returns how often it looked again. */
  burst(): number {
    this.polling.event();
    let looks = 0;
    while (this.polling.again()) looks++;
    return looks;
  }

  /** Loses the core each time, for one window; returns how long it pauses then. */
  lose(): number {
    this.awayUs = 2 * POLL_AWAY_US;
    for (let lostUs = 0; lostUs < POLL_WINDOW_US; lostUs += this.awayUs) {
      this.polling.event();
      this.polling.again();
    }
    this.awayUs = 1;
    const begin = this.now;
    while (!this.polling.event()) this.now += 1_000;
    return this.now - begin;
  }
}

Deno.test("Polling looks again for its time after an event, gives way each time, then sleeps", () => {
  const bench = new Bench();
  assertEquals(bench.polling.again(), false);
  assertEquals(bench.given, 0);
  assertEquals(bench.burst(), TIME_US);
  assertEquals(bench.given, TIME_US);
  assertEquals(bench.polling.again(), false);
  assertEquals(bench.burst(), TIME_US);
});

Deno.test("Polling with no time never looks again, and gives nothing away", () => {
  const bench = new Bench(0);
  assertEquals(bench.burst(), 0);
  assertEquals(bench.given, 0);
});

Deno.test("Polling pauses when it loses its core again and again, longer each time, not for ever", () => {
  const bench = new Bench();
  const pauses = Array.from({ length: 8 }, () => bench.lose());
  const expected = [1, 2, 4, 8, 16, 32].map((factor) => factor * POLL_PAUSE_MIN_US);
  assertEquals(pauses, [...expected, POLL_PAUSE_MAX_US, POLL_PAUSE_MAX_US]);
});

Deno.test("Polling pauses at once when somebody had the core for a whole slice", () => {
  const bench = new Bench();
  bench.awayUs = POLL_LOST_US;
  bench.polling.event();
  assertEquals(bench.polling.again(), false);
  assertEquals(bench.polling.event(), false);
  bench.now += POLL_PAUSE_MIN_US;
  bench.awayUs = 1;
  assertEquals(bench.polling.event(), true);
  assertEquals(bench.polling.again(), true);
});

Deno.test("Polling that goes well for a while begins with short pauses again", () => {
  const bench = new Bench();
  for (let count = 0; count < 4; count++) bench.lose();
  for (let polled = 0; polled <= POLL_WINDOW_US; polled += bench.burst());
  assertEquals(bench.lose(), POLL_PAUSE_MIN_US);
});

Deno.test("Polling goes on where the core is lost now and then, however long", () => {
  const bench = new Bench();
  for (let count = 0; count < 100; count++) {
    bench.awayUs = POLL_LOST_US - 1;
    bench.polling.event();
    bench.polling.again();
    bench.awayUs = 1;
    for (let polled = 0; polled <= POLL_WINDOW_US; polled += bench.burst());
    assertEquals(bench.polling.event(), true);
  }
});

Deno.test("Polling takes no event's own time for polling", () => {
  const bench = new Bench();
  for (let count = 0; count < 1_000; count++) {
    bench.polling.event();
    // Serving it takes long.
    bench.now += 10 * POLL_WINDOW_US;
    bench.polling.event();
    bench.awayUs = 1;
    bench.polling.again();
  }
  assertEquals(bench.lose(), POLL_PAUSE_MIN_US);
});

const LONG_US = 1_000_000;

Deno.test("Looking takes as long as some wake-ups do here, and no longer than it may", () => {
  const looking = new Looking(LONG_US);
  assertEquals(looking.nextUs("answer"), LOOK_WAKES * WAKE_FIRST_US);
  assertEquals(new Looking(TIME_US / 2).nextUs("answer"), TIME_US / 2);
  assertEquals(new Looking(0).nextUs("answer"), 0);
  for (let count = 0; count < 100; count++) looking.overslept(2);
  assertEquals(looking.nextUs("answer"), LOOK_WAKES * 2 + 1);
  // What waits for a whole slice of another thread says nothing of wake-ups.
  for (let count = 0; count < 100; count++) looking.overslept(10_000);
  assertEquals(looking.nextUs("answer"), LOOK_WAKES * WAKE_MAX_US);
});

Deno.test("Looking that is in vain again and again is left out, and tried again now and then", () => {
  const looking = new Looking(LONG_US);
  const vain = (): void => {
    assert(looking.nextUs("answer") > 0);
    looking.looked("over");
  };
  const leftOut = (): number => {
    for (let count = 0;; count++) if (looking.nextUs("answer") > 0) return count;
  };
  /** How many are left out behind each of so many that end alike. */
  const counts = (end: LookEnd, looks: number): number[] =>
    Array.from({ length: looks }, () => {
      looking.looked(end);
      return leftOut();
    });
  for (let count = 1; count < LOOKS_IN_VAIN_MAX; count++) vain();
  assertEquals(counts("over", 5), [1, 2, 4, LOOKS_LEFT_OUT_MAX, LOOKS_LEFT_OUT_MAX]);
  // Where the cores are in use, more.
  assertEquals(counts("taken", 4), [16, 32, LOOKS_LEFT_OUT_TAKEN_MAX, LOOKS_LEFT_OUT_TAKEN_MAX]);
  assertEquals(counts("over", 1), [LOOKS_LEFT_OUT_MAX]);
  // Looks for a page that a thread waits for are judged by themselves.
  assert(looking.nextUs("page") > 0);
  looking.looked("over");
  assert(looking.nextUs("page") > 0);
  assertEquals(leftOut(), 0);
  // One that has seen something makes up for all of them.
  looking.looked("seen");
  for (let count = 0; count < LOOKS_IN_VAIN_MAX; count++) vain();
  assertEquals(leftOut(), 1);
});
