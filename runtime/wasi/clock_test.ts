import { assertEquals } from "@std/assert";
import { clockNs, measureOffsetNs } from "./clock.ts";

const MS = 1_000_000n;

/** Measures a clock that is ahead, over a network that takes so long each way, look by look. */
function measure(aheadNs: bigint, ways: readonly (readonly [to: bigint, from: bigint])[]) {
  let nowNs = 1_000_000n * MS;
  let look = 0;
  const there = (): Promise<bigint> => {
    const [to, from] = ways[look++ % ways.length]!;
    const time = nowNs + to + aheadNs;
    nowNs += to + from;
    return Promise.resolve(time);
  };
  return measureOffsetNs(there, () => nowNs);
}

Deno.test("measureOffsetNs: the look that took the shortest time tells the offset", async () => {
  const ways = [[1n * MS, 9n * MS], [MS / 10n, MS / 10n], [7n * MS, 1n * MS]] as const;
  assertEquals(await measure(3_000n * MS, ways), 3_000n * MS);
  assertEquals(await measure(-50n * MS, ways), -50n * MS);
});

Deno.test("measureOffsetNs: clocks that may be the same are taken for the same", async () => {
  assertEquals(await measure(0n, [[1n * MS, 3n * MS]]), 0n);
  assertEquals(await measureOffsetNs(() => Promise.resolve(clockNs())), 0n);
});

Deno.test("clockNs: is this machine's clock", () => {
  const apartMs = Number(clockNs() / MS) - Date.now();
  assertEquals(Math.abs(apartMs) < 60_000, true, `${apartMs} ms apart`);
});
