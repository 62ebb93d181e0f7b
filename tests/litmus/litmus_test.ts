/** What threads may see of each other, by the litmus tests of `tests/litmus/`. */

import { assert, assertEquals } from "@std/assert";
import { Histogram } from "./histogram.ts";
import { outcomesOf } from "./models.ts";
import { PLACEMENTS, PRIVATE_WORDS } from "./placements.ts";
import { isRelaxed, type LitmusTest } from "./program.ts";
import { RealNodes, TOPOLOGIES } from "./real.ts";
import { runSimulated, SIMULATED_PLACEMENTS } from "./simulated.ts";
import { LITMUS_TESTS } from "./tests.ts";
import { packValues, unpackValues, WRONG_VALUE } from "./thread_code.ts";
import { PLANTED_BUGS } from "../simulator/coherence/planted_bugs.ts";
import { Random } from "../simulator/coherence/random.ts";

/** How many runs of each test on real nodes; the program makes many. */
const RUNS = 10;

function testOf(name: string): LitmusTest {
  return LITMUS_TESTS.find((test) => test.name === name)!;
}

Deno.test("litmus: the models allow what the literature says they allow", () => {
  const relaxed = (model: "SC" | "TSO") =>
    LITMUS_TESTS
      .filter((test) => outcomesOf(test, model).some((outcome) => isRelaxed(test, outcome)))
      .map(({ name }) => name);
  assertEquals(relaxed("SC"), []);
  assertEquals(relaxed("TSO"), ["SB", "R"]);
  assertEquals(outcomesOf(testOf("SB"), "SC"), [[0, 1], [1, 0], [1, 1]]);
  assertEquals(outcomesOf(testOf("IRIW"), "SC").length, 15);
  // Which of four additions comes when is all that is open.
  assertEquals(outcomesOf(testOf("RMW"), "SC").length, 24);
});

Deno.test("litmus: an outcome that the model does not allow is reported", () => {
  const histogram = new Histogram(testOf("MP"), "SC");
  for (const outcome of [[0, 0], [1, 1], [1, 0], [1, 1]]) histogram.add(outcome);
  assertEquals(histogram.forbidden, [
    { outcome: [1, 0], times: 1, allowed: false, relaxed: true },
  ]);
  assertEquals([histogram.runs, histogram.relaxedTimes], [4, 1]);
  assert(histogram.print().includes("1  1:r0=1 1:r1=0  relaxed  FORBIDDEN"));
});

Deno.test("litmus: values come back as they were packed, and foreign ones as wrong", () => {
  assertEquals(unpackValues(packValues([6, 2]), 2), [6, 2]);
  assertEquals(unpackValues(packValues([-1, 1000]), 2), [WRONG_VALUE, WRONG_VALUE]);
});

Deno.test("litmus: the simulator shows every sequentially consistent outcome, and no other", () => {
  for (const test of LITMUS_TESTS) {
    const histogram = new Histogram(test, "SC");
    for (const placement of SIMULATED_PLACEMENTS) {
      assertEquals(runSimulated(histogram, placement, 600, 1).failure, undefined);
    }
    assertEquals(histogram.forbidden, [], test.name);
    assertEquals(histogram.seen().length, histogram.allowedCount, test.name);
  }
});

for (
  const name of [
    "grants a page to read and goes on writing it",
    "reads the alias before it forbids writing",
  ]
) {
  Deno.test(`litmus: a planted bug of the protocol shows in the simulator: ${name}`, () => {
    const bug = PLANTED_BUGS.find((bug) => bug.name === name)!;
    const histogram = new Histogram(testOf("RMW"), "SC");
    for (const placement of SIMULATED_PLACEMENTS) {
      runSimulated(histogram, placement, 600, 1, bug);
    }
    assert(histogram.forbidden.some(({ relaxed }) => relaxed));
  });
}

for (const [first, topology] of TOPOLOGIES.entries()) {
  Deno.test(`litmus: no forbidden outcome on real nodes, ${topology.name}`, async () => {
    await using nodes = await RealNodes.start(topology);
    const seed = Math.floor(Math.random() * 2 ** 32);
    const random = new Random(seed);
    for (const [index, test] of LITMUS_TESTS.entries()) {
      // In each topology a third of the placements, so that each test gets into all of them.
      const chosen = PLACEMENTS.filter((_, other) => (index + first + other) % 3 === 0);
      for (const placement of chosen) {
        const atomic = random.chance(50) || Deno.build.arch !== "x86_64";
        const histogram = new Histogram(test, atomic ? "SC" : "TSO");
        await nodes.run(histogram, placement, atomic, RUNS, seed);
        assertEquals(histogram.forbidden, [], `${test.name} ${placement.name}, seed ${seed}`);
        assertEquals(histogram.runs, RUNS);
      }
    }
  });
}

Deno.test("litmus: real threads that share nothing have a forbidden outcome", async () => {
  await using nodes = await RealNodes.start(TOPOLOGIES[1]!);
  const histogram = new Histogram(testOf("SB"), "SC");
  await nodes.run(histogram, PRIVATE_WORDS, true, RUNS, 1);
  assertEquals(histogram.forbidden.map(({ outcome }) => outcome), [[0, 0]]);
  assertEquals(histogram.relaxedTimes, RUNS);
});
