import { assertEquals } from "@std/assert";
import {
  POLL_LOST_CORE_US,
  POLL_PAUSE_MAX_US,
  POLL_PAUSE_MIN_US,
  POLL_TRUST_US,
} from "../limits.ts";
import { Polling } from "./polling.ts";

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

  /** Loses the core once; returns how long it pauses then. */
  lose(): number {
    this.polling.event();
    this.awayUs = POLL_LOST_CORE_US;
    this.polling.again();
    this.awayUs = 1;
    const begin = this.now;
    for (;;) {
      this.polling.event();
      if (this.polling.again()) return this.now - begin;
      this.now += 1_000;
    }
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

Deno.test("Polling pauses once it has lost its core, longer each time in a row, not for ever", () => {
  const bench = new Bench();
  const pauses = Array.from({ length: 8 }, () => bench.lose());
  const expected = [1, 2, 4, 8, 16, 32].map((factor) => factor * POLL_PAUSE_MIN_US);
  assertEquals(pauses.map((us) => Math.floor(us / 1_000) * 1_000), [
    ...expected,
    POLL_PAUSE_MAX_US,
    POLL_PAUSE_MAX_US,
  ]);
});

Deno.test("Polling that goes well for a while begins with short pauses again", () => {
  const bench = new Bench();
  for (let count = 0; count < 4; count++) bench.lose();
  for (let polled = 0; polled <= POLL_TRUST_US; polled += bench.burst());
  assertEquals(Math.floor(bench.lose() / 1_000) * 1_000, POLL_PAUSE_MIN_US);
});

Deno.test("Polling takes no event's own time for polling", () => {
  const bench = new Bench();
  bench.lose();
  for (let count = 0; count < 100; count++) {
    bench.polling.event();
    // Serving it takes long.
    bench.now += 10 * POLL_TRUST_US;
    bench.polling.event();
    bench.polling.again();
  }
  assertEquals(Math.floor(bench.lose() / 1_000) * 1_000, 2 * POLL_PAUSE_MIN_US);
});
