import { assert, assertEquals } from "@std/assert";
import { Exchanges } from "./clock_alignment.ts";

/** Messages between nodes whose clocks are ahead by so much, each with a delay that varies. */
function exchanged(pairs: readonly [number, number][], ahead: ReadonlyMap<number, number>) {
  const exchanges = new Exchanges();
  for (const [a, b] of pairs) {
    for (let count = 0; count < 20; count++) {
      for (const [from, to] of [[a, b], [b, a]] as const) {
        const sentUs = 1e9 + 1000 * count;
        // The fastest takes 30 us each way; others take longer one way than the other.
        const delayUs = 30 + count * (from < to ? 40 : 7);
        exchanges.add(from, to, sentUs + ahead.get(from)!, sentUs + delayUs + ahead.get(to)!);
      }
    }
  }
  return exchanges;
}

Deno.test("Exchanges: offsets come from the fastest messages each way, also by way of another node", () => {
  const ahead = new Map([[1, 0], [2, 5_000], [3, -70_000.5]]);
  const offsets = exchanged([[1, 2], [2, 3]], ahead).offsets([1, 2, 3]);
  for (const [node, us] of ahead) {
    assert(Math.abs(offsets.get(node)!.us - us) < 0.01, `node ${node}`);
  }
  assertEquals([...offsets.values()].map(({ uncertainUs }) => uncertainUs), [0, 30, 60]);
});

Deno.test("Exchanges: of two ways to a node the better one counts", () => {
  const ahead = new Map([[1, 0], [2, 100], [3, 200]]);
  const exchanges = exchanged([[1, 2], [2, 3]], ahead);
  exchanges.add(1, 3, 0, 900 + 200);
  exchanges.add(3, 1, 200, 100);
  assertEquals(exchanges.offsets([1, 2, 3]).get(3), { us: 200, uncertainUs: 60 });
});

Deno.test("Exchanges: a node that has exchanged nothing, or only one way, is taken for right", () => {
  const exchanges = new Exchanges();
  exchanges.add(1, 2, 0, 500);
  const offsets = exchanges.offsets([1, 2, 3]);
  for (const node of [2, 3]) assertEquals(offsets.get(node), { us: 0, uncertainUs: undefined });
});
