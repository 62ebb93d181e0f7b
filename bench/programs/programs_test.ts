/** The programs are right, and the simulator counts what real nodes count. */

import { assert, assertAlmostEquals, assertEquals, assertMatch, assertThrows } from "@std/assert";
import { PAGE_SIZE_DEFAULT_BYTES } from "../../runtime/limits.ts";
import { Jacobi } from "./jacobi.ts";
import { PROTOCOL } from "./mod.ts";
import { type Network, networks } from "./network.ts";
import { missBytes } from "./part.ts";
import type { Context, Memory, Program, Steps } from "./program.ts";
import { measureLoopback, runReally } from "./real.ts";
import { busiestOf, describe, ratioOf } from "./report.ts";
import { Salesman } from "./salesman.ts";
import { makeForms, makeSuite, runSerially, type Size } from "./suite.ts";
import { simulate, Timeline } from "./simulation.ts";

const SMALL: Size = {
  jacobi: { cells: 512, steps: 6 },
  matrix: 192,
  salesman: { cities: 9, taskDepth: 2 },
};
const FREE: Network = { name: "free", latencyUs: 0, bytesPerUs: Infinity, engineUs: 0, pageUs: 0 };
const [LOOPBACK] = networks({ missUs: 40, scanPageUs: 2 });

Deno.test("timeline: what is planned happens in order of time, then of planning", () => {
  const timeline = new Timeline();
  const happened: number[] = [];
  for (let i = 0; i < 200; i++) {
    const atUs = (i * 37) % 50;
    timeline.at(atUs, () => happened.push(atUs * 1000 + i));
  }
  timeline.at(60, () => {
    assertEquals(timeline.skip(70), false);
    assertEquals(timeline.nowUs, 60);
    timeline.at(65, () => happened.push(65_000));
  });
  timeline.at(70, () => assertEquals(timeline.skip(80), true));
  timeline.run();
  assertEquals(happened.length, 201);
  assertEquals(happened, happened.toSorted((a, b) => a - b));
  assertEquals(timeline.nowUs, 80);
});

for (const nodes of [1, 2, 5]) {
  Deno.test(`simulated programs compute the right thing on ${nodes} nodes`, () => {
    for (const program of makeForms(SMALL).flat()) {
      const options = { program, nodes, network: LOOPBACK!, unitUs: 0.01, protocol: PROTOCOL };
      const { counts } = simulate({ ...options, checked: true });
      // Without computing, the same happens.
      assertEquals(simulate(options).counts, counts, program.name);
      const { misses, ...moved } = counts;
      // Nobody wrote the edges of the plate, which are read.
      assert(misses <= 2 || nodes > 1, program.name);
      if (nodes === 1) assertEquals(moved, { messages: 0, received: 0, bytes: 0, pages: 0 });
      else assert(moved.messages > 0 && misses > 0, program.name);
    }
  });
}

Deno.test("where homes are on every node, programs compute the same, and node 1 has less to do", () => {
  for (const program of makeSuite(SMALL)) {
    const options = { program, nodes: 8, network: LOOPBACK!, unitUs: 0.01, checked: true };
    const atOne = { ...PROTOCOL, placement: "directory" } as const;
    const { homeEngineShare, us } = simulate({ ...options, protocol: atOne });
    for (const placement of ["first-touch", "spread"] as const) {
      const run = simulate({ ...options, protocol: { ...PROTOCOL, placement } });
      const worked = [run.homeEngineShare * run.us, homeEngineShare * us];
      if (program instanceof Jacobi) assert(worked[0]! < worked[1]! / 2, `${worked}`);
    }
  }
});

for (const nodes of [2, 3]) {
  Deno.test(`${nodes} nodes send by auto what they send where node 1 is the home of all, and take as long`, () => {
    for (const program of makeSuite(SMALL)) {
      const [one, auto] = (["directory", "auto"] as const).map((placement) => {
        const protocol = { ...PROTOCOL, placement };
        const { counts, us } = simulate({
          program,
          nodes,
          network: LOOPBACK!,
          unitUs: 0.01,
          protocol,
        });
        return { counts, us };
      });
      assertEquals(auto, one, program.name);
    }
  });
}

Deno.test("nodes that share the edges of their parts move little more than these", () => {
  const [steps, nodes] = [30, 16];
  const program = new Jacobi(1024, steps);
  for (const placement of ["directory", "auto"] as const) {
    const protocol = { ...PROTOCOL, placement };
    const options = { program, nodes, network: LOOPBACK!, unitUs: 0.002, protocol };
    const { counts, busiest } = simulate(options);
    // A row has two pages, and each of the borders two rows that are read from the other side.
    const needed = steps * (nodes - 1) * 2 * 2;
    assert(counts.pages >= needed && counts.pages <= needed * 4 / 3, `${counts.pages} pages`);
    // What the directory node has more than others are the barriers, where homes are on all nodes.
    assert(placement === "auto" ? busiest <= 2 : busiest > 4, `${placement}: ${busiest}`);
  }
});

Deno.test("the busiest node is the one that sends and receives most", () => {
  const [rest, none] = [{ bytes: 0, misses: 0, pages: 0 }, { messages: 0, received: 0 }];
  const all = [{ messages: 1, received: 3 }, { messages: 3, received: 0 }, {
    messages: 1,
    received: 1,
  }];
  assertEquals(busiestOf(all.map((counts) => ({ ...counts, ...rest }))), 4 * 3 / 9);
  assertEquals(busiestOf([{ ...none, ...rest }, { ...none, ...rest }]), 1);
});

Deno.test("a report has the busiest node, and a line for each form of a program", () => {
  const counts = { messages: 8, received: 8, bytes: 2048, misses: 2, pages: 1 };
  const run = { ms: 1, counts, busiest: 1.25 };
  const serial = { size: "small", ms: 10, units: 1e6 };
  const [network] = networks({ missUs: 40, scanPageUs: 2 });
  const prediction = { nodes: 64, speedUp: 20, homeEngineShare: 0.5, homePortShare: 0, ...run };
  const form = { size: "small", networks: [{ network: network!, runs: [prediction] }] };
  const other = { ...prediction, speedUp: 30 };
  const text = describe([{
    name: "jacobi",
    unit: "cells",
    missCosts: { missUs: 40, scanPageUs: 2 },
    serial,
    comparisons: [{ nodes: 4, real: run, simulated: { ...run, busiest: 1.5 }, ratio: 1 }],
    ratioMax: 2,
    agrees: true,
    predictedSerial: serial,
    predictions: [form, {
      size: "other",
      networks: [{ network: network!, runs: [other] }],
    }],
  }]);
  assertMatch(text, /^ +4 +8 +8 +2 +2 +2 +2 +1\.25 +1\.50 +1 +1$/m);
  assertMatch(text, /^loopback +20\.00\n.*50 %\nthe same, other:\nloopback +30\.00$/m);
});

Deno.test("one simulated node takes what its work takes, and many on a free network share it", () => {
  for (const program of makeSuite(SMALL)) {
    const { units } = runSerially(program, 1);
    const options = { program, unitUs: 2, protocol: { ...PROTOCOL, holdTimeUs: 0 } };
    const alone = simulate({ ...options, nodes: 1, network: LOOPBACK! });
    // At its end a node asks its own engine whether all are there.
    assertAlmostEquals(alone.us, units * 2, 1000, program.name);
    const shared = simulate({ ...options, nodes: 4, network: FREE });
    assert(shared.us < alone.us / 3, `${program.name}: ${shared.us} us of ${alone.us} us`);
  }
});

Deno.test("a simulated node does not starve another that waits for its page", () => {
  const program = new Salesman(11, 2);
  const { units } = runSerially(program, 1);
  for (const network of networks({ missUs: 40, scanPageUs: 2 })) {
    const { us } = simulate({ program, nodes: 2, network, unitUs: 2, protocol: PROTOCOL });
    assert(us < 0.75 * units * 2, `${network.name}: ${us} us of ${units * 2} us`);
  }
});

Deno.test("a slower network makes no program faster", () => {
  for (const program of makeSuite(SMALL).slice(0, 2)) {
    let last = 0;
    for (const network of [FREE, ...networks({ missUs: 40, scanPageUs: 2 }).slice(1)]) {
      const { us } = simulate({ program, nodes: 3, network, unitUs: 0.001, protocol: PROTOCOL });
      assert(us > last, `${program.name}, ${network.name}: ${us} us after ${last} us`);
      last = us;
    }
  }
});

Deno.test("a wrong result is found", () => {
  for (const program of makeSuite(SMALL)) {
    const buffer = new ArrayBuffer(program.bytes);
    const memory: Memory = { view: (Type, offset, length) => new Type(buffer, offset, length) };
    const nobody = { rank: 0, nodes: 1, traced: false, computed: true };
    const context: Context = { memory, base: 0, ...nobody };
    assertThrows(() => program.check(context), Error);
  }
});

Deno.test("salesman: the shortest tour is that of trying all", () => {
  const program = new Salesman(7, 3);
  const buffer = new ArrayBuffer(program.bytes);
  const memory: Memory = { view: (Type, offset, length) => new Type(buffer, offset, length) };
  const context: Context = { memory, base: 0, rank: 0, nodes: 1, traced: false, computed: true };
  for (const _ of program.setup(context));
  const distances = new Int32Array(buffer, 0, 7 * 7);
  const shortest = (here: number, left: number[]): number =>
    left.length === 0 ? distances[here * 7]! : Math.min(
      ...left.map((city) =>
        distances[here * 7 + city]! + shortest(city, left.filter((other) => other !== city))
      ),
    );
  for (const _ of program.work(context));
  program.check(context);
  assertEquals(new Int32Array(buffer, 8192, 1)[0], shortest(0, [1, 2, 3, 4, 5, 6]));
});

for (const nodes of [1, 2]) {
  Deno.test(`real nodes count what simulated ones do: ${nodes}`, async () => {
    // What is read ahead, and handed over, depends on which node is faster.
    const protocol = { ...PROTOCOL, readAhead: false, migration: false };
    const runs = await runReally(SMALL, nodes, ["--no-read-ahead", "--no-migration"]);
    for (const [index, program] of makeSuite(SMALL).entries()) {
      const real = runs[index]!.counts;
      const options = { program, nodes, network: LOOPBACK!, unitUs: 0.01, protocol };
      const { counts } = simulate(options);
      const what = `${program.name}: ${JSON.stringify({ real, counts })}`;
      if (nodes === 1) assertEquals(real, counts, what);
      else if (!(program instanceof Salesman)) assert(ratioOf(real, counts) <= 1.2, what);
      else {
        // How tasks are dealt out depends on the cores; not what each may cost at most.
        for (const { misses, messages } of [real, counts]) {
          assert(misses >= 2 && misses <= 4 * program.tasks && messages >= 2 * misses, what);
        }
      }
    }
  });
}

Deno.test("real nodes compute the right thing with all that the protocol can do", async () => {
  const runs = await runReally(SMALL, 3);
  for (const { counts, ms } of runs) assert(counts.pages > 0 && ms > 0);
});

Deno.test("loopback: a miss takes longer than a page of a scan", async () => {
  const { missUs, scanPageUs } = await measureLoopback();
  assert(missUs > scanPageUs && scanPageUs > 0, `${missUs} us, ${scanPageUs} us`);
  assert(missBytes(4096) > 4096);
});

Deno.test("a barrier of 64 nodes takes at most 165 us, and one of 256 at most 220, and up to 16 the desk's time", () => {
  const roundUs = (nodes: number): number => {
    const [, network] = networks({ missUs: 40, scanPageUs: 2 });
    const [few, many] = [5, 25].map((rounds) =>
      simulate({
        program: new Rounds(rounds),
        nodes,
        network: network!,
        unitUs: 0.01,
        protocol: PROTOCOL,
      }).us
    );
    return (many! - few!) / 20;
  };
  // Of each other node a message in, and one out, each of which takes 4 us.
  assertAlmostEquals(roundUs(16), 16 * 8, 1);
  assert(roundUs(17) < roundUs(16));
  assert(roundUs(64) <= 165);
  assert(roundUs(256) <= 220);
});

/** Nothing but rounds of a barrier. */
class Rounds implements Program {
  readonly name = "rounds";
  readonly size = "";
  readonly unit = "nothing";
  readonly bytes = PAGE_SIZE_DEFAULT_BYTES;
  readonly dependsOnData = false;

  constructor(readonly rounds: number) {}

  *setup(): Steps {}

  /** By the third round there is a tree. */
  *warmUp(): Steps {
    for (let round = 0; round < 3; round++) yield { kind: "barrier", name: this.name };
  }

  *work(): Steps {
    for (let round = 0; round < this.rounds; round++) yield { kind: "barrier", name: this.name };
  }

  check(): void {}
}
