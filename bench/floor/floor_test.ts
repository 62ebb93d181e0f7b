import { assert, assertEquals, assertRejects } from "@std/assert";
import { DenoPing } from "./deno_ping.ts";
import { Floor } from "./floor.ts";

const PAGE_BYTES = 4096;

/** Whether these are so many durations. */
function assertSamples(samples: readonly number[], count: number): void {
  assertEquals(samples.length, count);
  assert(samples.every((us) => us > 0 && Number.isFinite(us)), `odd samples: ${samples}`);
}

Deno.test("floor: every kind of round answers, again and again, in both ways to wait", async () => {
  await using floor = await Floor.start();
  for (const how of ["blocking", "spinning", "blocking"] as const) {
    for (const memory of ["new", "kept"] as const) {
      assertSamples(await floor.miss(how, 20, memory), 20);
      for (const write of [false, true]) {
        // The last request is for fewer pages than the others.
        const { bytes, us } = await floor.scan(how, 128, 300, { write, memory });
        assertEquals(bytes, 300 * PAGE_BYTES);
        assert(us > 0);
      }
    }
    assertSamples(await floor.ping(how, 32, 32, 20), 20);
    assertSamples(await floor.ping(how, 40_000, 1, 20), 20);
    assertSamples(await floor.ping(how, 32, 1 << 20, 5), 5);
    const turns = await floor.flag(50);
    assertSamples(turns, turns.length);
    // Each is half of the time between two turns of one side: together no more than the whole.
    assert(turns.length > 0 && turns.reduce((sum, us) => sum + us, 0) <= 50_000);
  }
  assert(await floor.fresh(300) > 0);
  assertSamples(await floor.missAfterSilence(2, 5), 2);
  assertSamples(await floor.miss("blocking", 21_845), 21_845);
});

Deno.test("floor: what is out of range ends the processes, and says so", async () => {
  await using floor = await Floor.start();
  await assertRejects(() => floor.miss("blocking", 21_846), Error, "ended with status 1");
});

for (const how of ["asleep", "polling"] as const) {
  Deno.test(`floor: a ping-pong of Deno, ${how}`, async () => {
    await using ping = await DenoPing.start(how);
    assertSamples(await ping.ping(32, 32, 50), 50);
    assertSamples(await ping.ping(1, 1 << 20, 5), 5);
  });
}
