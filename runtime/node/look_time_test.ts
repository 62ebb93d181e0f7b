import { assertEquals } from "@std/assert";
import { FUTEX_SPIN_MAX_US, FUTEX_SPIN_MIN_US } from "../limits.ts";
import { LookTime } from "./look_time.ts";

Deno.test("LookTime: it is halved where waits are long, and doubled where they are short", () => {
  const time = new LookTime();
  assertEquals(time.us, FUTEX_SPIN_MAX_US);
  time.ended(FUTEX_SPIN_MAX_US + 1);
  assertEquals(time.us, FUTEX_SPIN_MAX_US / 2);
  time.inVain();
  assertEquals(time.us, FUTEX_SPIN_MAX_US / 4);
  time.ended(1);
  assertEquals(time.us, FUTEX_SPIN_MAX_US / 2);
  for (let wait = 0; wait < 32; wait++) time.inVain();
  assertEquals(time.us, FUTEX_SPIN_MIN_US);
});

Deno.test("LookTime: two threads that take turns asleep look again once turns are short", () => {
  // A turn takes what it takes to be woken, unless both look for long enough to see it.
  const [asleepUs, seenUs] = [60, 1];
  const threads = [new LookTime(), new LookTime()];
  for (const time of threads) for (let wait = 0; wait < 32; wait++) time.inVain();
  let turnUs = asleepUs;
  for (let turn = 0; turn < 32; turn++) {
    const time = threads[turn % 2]!;
    turnUs = time.us >= turnUs ? seenUs : asleepUs;
    time.ended(turnUs);
  }
  assertEquals(turnUs, seenUs);
});
