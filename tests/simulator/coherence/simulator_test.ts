import { assert, assertEquals, assertMatch, assertThrows } from "@std/assert";
import { runBatch } from "./batch.ts";
import { TIMES } from "./corners.ts";
import { CoverageTable, report } from "./coverage.ts";
import { InvariantError } from "./oracle.ts";
import { HOME_BUGS, PLANTED_BUGS } from "./planted_bugs.ts";
import { ProtocolCoverage } from "./protocol_coverage.ts";
import { hasHomes, runSchedule } from "./run_schedule.ts";

const SCHEDULES = 3_000;
/** Within so many each planted bug is found; most are in the first ten. */
const BUG_SCHEDULES_MAX = 30_000;
/** The same, of which one in seven has homes on every node; most are found in the first hundred. */
const HOME_BUG_SEEDS_MAX = 100_000;
/** Of the pairs that can happen so few schedules visit no fewer; a million visit all of them. */
const VISITED_MIN = 0.9;

Deno.test("no schedule breaks a promise, and together they visit nearly everything", () => {
  const { failure, counts } = runBatch(1, SCHEDULES);
  assertEquals(failure, undefined);
  const coverage = new ProtocolCoverage();
  for (const [name, table] of Object.entries(coverage)) table.add(counts[name]!);
  const { unvisited } = report({ ...coverage });
  const possible = Object.values(coverage).reduce((sum, table) => sum + table.possible, 0);
  assert(possible > 300);
  assert(unvisited.length < (1 - VISITED_MIN) * possible, unvisited.join("\n"));
});

Deno.test("a seed gives the same schedule again", () => {
  const traces = [1, 2].map(() => {
    const lines: string[] = [];
    runSchedule(42, undefined, undefined, (line) => lines.push(line));
    return lines;
  });
  assert(traces[0]!.length > 20);
  assertEquals(traces[0], traces[1]);
});

Deno.test("schedules: what was found once is found no more", () => {
  // A home that wanted to take over pages, and forgot them for want of room; a transaction that
  // brought fewer pages than were to be taken over; a copy dropped while the others that had one
  // left, or died before it had arrived; pages that were on their way from a home that died; a
  // copy that was not reported to a new home that had asked to have it forgotten; and two that were
  // right, and taken for wrong: a home that let a node go with the last copy but for one on a node
  // of whose death it had not heard, and a copy that a dead home was asked to forget. A node that
  // had dropped its copy for one of whose death the home had not heard, and said that it keeps it.
  // Two more that were right: a page that was granted, once it was cleared, to a node of whose
  // joining and death the home had yet to hear; and a home that died with a page after it had told
  // a leaving node, which had the other copy, that it may go. And one that the check of room that
  // nodes keep free took for wrong: a home that in one step came to have a page which another node
  // had wished to be rid of, and asked for room for it itself, since a thread of its own waited.
  // And zeros that a home gave itself, which a thread changed before it dropped them to clear them.
  // And a page that was to be taken over, and was not, twice: a request for it and another one was
  // under way, and brought the other one only. And a page that went to a node of whose death its
  // home had just heard, as the end of another transaction let that node's request begin.
  // One more that was right: a page was cleared, and granted to a node of whose joining its home
  // had yet to hear, and of whose death nobody had.
  // And bytes of pages that were asked of a node which was only assumed to be their home.
  // And a copy that a home had forgotten, which died as it retired, before it could say so.
  const seeds = [
    15306,
    123601,
    10366,
    4010413063,
    4430303,
    4124788,
    4195754,
    6005331,
    3492730069,
    20653468,
    22695188,
    22708997,
    787938256,
    1126205813,
    1127165589,
    2144415593,
    2473722998,
    3719071186,
    1130235524,
    24595168,
  ];
  for (const seed of seeds) runSchedule(seed);
});

for (const bug of PLANTED_BUGS) {
  Deno.test(`the simulator finds a planted bug: ${bug.name}`, () => {
    const { failure } = runBatch(1, BUG_SCHEDULES_MAX, bug);
    assertMatch(failure?.reason ?? "nothing was found", bug.finding);
  });
}

for (const bug of HOME_BUGS) {
  Deno.test(`the simulator finds a planted bug of homes: ${bug.name}`, () => {
    let reason = "nothing was found";
    const end = bug.seed + HOME_BUG_SEEDS_MAX;
    for (let seed = bug.seed; seed < end && reason === "nothing was found"; seed++) {
      if (!hasHomes(seed)) continue;
      const { failure } = runBatch(seed, 1, bug);
      if (failure !== undefined) reason = failure.reason;
    }
    assertMatch(reason, bug.finding);
  });
}

Deno.test("a pair that cannot happen ends the schedule in which it does", () => {
  const table = new CoverageTable({
    title: "input",
    rows: ["one", "two"],
    columns: [TIMES],
    never: [{ why: "nobody counts so far", rows: ["two"], columns: "all" }],
  });
  assertEquals([table.possible, table.unvisited()], [1, ["input: one / times"]]);
  table.count("one", TIMES);
  assertEquals([table.times("one", TIMES), table.unvisited()], [1, []]);
  assertThrows(() => table.count("two", TIMES), InvariantError, "nobody counts so far");
});
