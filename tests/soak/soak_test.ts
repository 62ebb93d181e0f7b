import { assert, assertEquals, assertRejects } from "@std/assert";
import { churn } from "./churn.ts";
import { GROWTH_MAX_BYTES } from "./limits.ts";
import { applyAlone, drawOperations, type Memory, NODES, Offset } from "./operations.ts";
import { runSoak } from "./soak.ts";

const DURATION_MS = 6_000;

function newMemory(): Memory {
  const bytes = new Uint8Array(Offset.End);
  return { bytes, words: new Int32Array(bytes.buffer) };
}

Deno.test("soak: the order of the nodes' operations makes no difference", () => {
  const [forwards, backwards] = [newMemory(), newMemory()];
  for (let round = 0; round < 5; round++) {
    const nodes = Array.from({ length: NODES }, (_, index) => index + 1);
    const all = nodes.map((node) => drawOperations(7, round, node, 500));
    for (const operations of all) for (const each of operations) applyAlone(each, forwards);
    for (const operations of all.reverse()) {
      for (const each of operations) applyAlone(each, backwards);
    }
    assert(forwards.words.every((word, at) => word === backwards.words[at]), `round ${round}`);
  }
  assert(forwards.words.some((word) => word !== 0));
});

Deno.test("soak: three nodes do what a seed says, and find what one alone would", async () => {
  const { rounds, operations, pagesReceived, memory } = await runSoak({
    seed: 1,
    durationMs: DURATION_MS,
  });
  assert(rounds > 0 && operations > 0 && pagesReceived > 0);
  for (const { first, last } of memory) {
    assert(last - first <= GROWTH_MAX_BYTES, `${first} ${last}`);
  }
});

Deno.test("soak: nodes that have no room for the whole region find the same", async () => {
  const { rounds, pagesReceived } = await runSoak({
    seed: 3,
    durationMs: DURATION_MS,
    memoryLimit: "7MiB",
  });
  assert(rounds > 0 && pagesReceived > 0);
});

Deno.test("soak: a byte that nobody should have changed is found", async () => {
  const run = () => runSoak({ seed: 2, durationMs: DURATION_MS, plantedRound: 0 });
  await assertRejects(run, Error, `Wrong value in round 0: byte ${Offset.End - 4}: `);
});

Deno.test("churn: of peers that have come and gone, in order or not, the directory node knows none", async () => {
  const { samples, members } = await churn(200);
  assertEquals([samples.length, members], [10, 0]);
});
