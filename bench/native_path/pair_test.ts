import { assert, assertEquals } from "@std/assert";
import { Waiting } from "./native.ts";
import { Pair } from "./pair.ts";

const WAYS = {
  deno: [Waiting.Asleep, Waiting.Turns, Waiting.Poll],
  own: [Waiting.Asleep, Waiting.Turns, Waiting.Looks, Waiting.Loop],
} as const;

for (const sockets of ["deno", "own"] as const) {
  Deno.test(`native path: the bytes arrive over ${sockets} sockets, however engines wait`, async () => {
    await using pair = await Pair.start(sockets);
    // The last way again: what comes after it has not lost the thread.
    for (const waiting of [...WAYS[sockets], Waiting.Asleep]) {
      const { samplesUs } = await pair.round(waiting, { count: 10, stride: 3 });
      assertEquals(samplesUs.length, 10);
      assert(samplesUs.every((us) => us >= 0));
      // The last request is for fewer pages; the program checks what it reads.
      const scan = await pair.round(waiting, { run: 128, count: 300 });
      assert(scan.us > 0);
    }
  });
}
