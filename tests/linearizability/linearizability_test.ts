/** Operations on a word, as threads of several nodes see them, have an order that fits the time. */

import { assert, assertEquals, assertThrows } from "@std/assert";
import { checkRegister, printViolation } from "./checker.ts";
import { Clock } from "./clock.ts";
import { record } from "./record.ts";
import { fits, type Operation, type OperationKind, OPERATIONS, stateAfter } from "./register.ts";
import { Random } from "../simulator/coherence/random.ts";

/** An operation as `[thread, call, return, kind, value or result of a load, result, expected]`. */
type Short = readonly [
  thread: number,
  invocation: number,
  response: number,
  kind: OperationKind,
  value: number,
  result?: number,
  expected?: number,
];

function operation([thread, invocation, response, kind, value, result = 0, expected = 0]: Short) {
  const load = kind === "load";
  return {
    thread,
    invocation,
    response,
    kind,
    value: load ? 0 : value,
    expected,
    result: load ? value : result,
  };
}

/** The operation that is wrong, by its place in `shorts`; `undefined` where all is well. */
function wrong(...shorts: Short[]): number | undefined {
  const operations = shorts.map(operation);
  const { violation } = checkRegister(operations);
  return violation && operations.indexOf(violation.operation);
}

Deno.test("linearizability: what overlaps may take effect in either order", () => {
  assertEquals(wrong([0, 0, 9, "store", 1], [1, 1, 2, "load", 0], [1, 3, 4, "load", 1]), undefined);
  assertEquals(wrong([0, 0, 9, "store", 1], [1, 1, 2, "load", 1], [2, 3, 4, "load", 1]), undefined);
  assertEquals(wrong([0, 0, 9, "add", 1, 5], [1, 0, 9, "add", 5, 0]), undefined);
  assertEquals(wrong([0, 0, 5, "store", 1], [1, 5, 6, "load", 0]), undefined, "the same moment");
});

Deno.test("linearizability: a sequentially consistent history may be none", () => {
  // The load would have to be before a store that had returned when it was called.
  assertEquals(wrong([0, 0, 1, "store", 1], [1, 2, 3, "load", 0]), 1);
  assertEquals(
    wrong([0, 0, 1, "store", 1], [1, 2, 3, "store", 2], [2, 4, 5, "load", 1]),
    2,
  );
});

Deno.test("linearizability: a new value is not read before an old one", () => {
  assertEquals(wrong([0, 0, 9, "store", 1], [1, 1, 2, "load", 1], [2, 3, 4, "load", 0]), 2);
});

Deno.test("linearizability: no read-modify-write is lost, whatever overlaps", () => {
  assert(wrong([0, 0, 9, "add", 1, 0], [1, 0, 9, "add", 1, 0]) !== undefined);
  assert(wrong([0, 0, 9, "exchange", 1, 0], [1, 0, 9, "exchange", 2, 0]) !== undefined);
  const both = wrong([0, 0, 9, "compareExchange", 1, 0], [1, 0, 9, "compareExchange", 2, 0]);
  assert(both !== undefined);
  assertEquals(
    wrong([0, 0, 9, "compareExchange", 1, 0], [1, 0, 9, "compareExchange", 2, 1]),
    undefined,
  );
  assertEquals(wrong([0, 0, 1, "compareExchange", 7, 0, 3], [0, 2, 3, "load", 7]), 1);
});

Deno.test("linearizability: what is no history is refused", () => {
  assertThrows(() => wrong([0, 5, 4, "load", 0]), RangeError);
  assertThrows(() => wrong([0, 0, 5, "load", 0], [0, 3, 6, "load", 0]), RangeError);
  assertThrows(() => wrong([20, 0, 5, "load", 0]), RangeError);
});

Deno.test("linearizability: a violation says what there was since nothing was under way", () => {
  const operations = ([
    [0, 0, 1, "store", 4],
    [1, 10, 13, "add", 1, 4],
    [2, 11, 12, "load", 9],
  ] as const).map(operation);
  const { violation } = checkRegister(operations);
  assertEquals(
    printViolation(violation!),
    "no moment fits thread 2 load() = 9 at 11-12 ns\n" +
      "possible values when nothing was under way: 4\n" +
      "since then:\n" +
      "  thread 1 add(1) = 4 at 10-13 ns\n" +
      "  thread 2 load() = 9 at 11-12 ns",
  );
});

/** Tries every order: the definition, as it is written. */
function explained(left: readonly Operation[], value: number): boolean {
  if (left.length === 0) return true;
  const firstReturn = Math.min(...left.map(({ response }) => response));
  return left.some((next) =>
    next.invocation <= firstReturn && fits(next, value) &&
    explained(left.filter((other) => other !== next), stateAfter(next, value))
  );
}

/** A few operations of three threads with a few values: some such histories are possible. */
function anyHistory(random: Random): Operation[] {
  const free = [0, 0, 0];
  return Array.from({ length: random.between(2, 6) }, () => {
    const thread = random.below(3);
    const invocation = free[thread]! + random.below(4) + 1;
    const response = free[thread] = invocation + random.below(8);
    const kind = OPERATIONS[random.below(OPERATIONS.length)]!;
    const [value, result, expected] = [random.below(3), random.below(3), random.below(2)];
    return { thread, kind, value, expected, result, invocation, response };
  });
}

Deno.test("linearizability: the checker finds what trying every order finds", () => {
  const random = new Random(1);
  const found = [0, 0];
  for (let round = 0; round < 20_000; round++) {
    const operations = anyHistory(random);
    const expected = explained(operations, 0);
    assertEquals(checkRegister(operations).violation === undefined, expected, `round ${round}`);
    found[Number(expected)]!++;
  }
  assert(found[0]! > 1_000 && found[1]! > 1_000, `${found}`);
});

/** Operations of many threads that did take effect one after the other, each within its time. */
function possibleHistory(random: Random, threads: number, count: number): Operation[] {
  const free = Array.from({ length: threads }, () => 0);
  const operations: Operation[] = [];
  let value = 0;
  for (let moment = 1; operations.length < count; moment += 10) {
    const thread = random.below(threads);
    if (free[thread]! >= moment) continue;
    const invocation = Math.max(free[thread]! + 1, moment - random.below(100));
    const response = free[thread] = moment + random.below(100);
    const kind = OPERATIONS[random.below(OPERATIONS.length)]!;
    const expected = random.chance(50) ? value : -1;
    const operation = {
      thread,
      kind,
      value: moment,
      expected,
      result: value,
      invocation,
      response,
    };
    operations.push(operation);
    value = stateAfter(operation, value);
  }
  return operations;
}

Deno.test("linearizability: among a hundred thousand operations, one wrong answer is found", () => {
  const operations = possibleHistory(new Random(2), 12, 100_000);
  const { violation, operations: checked, overlapping } = checkRegister(operations);
  assertEquals([violation, checked], [undefined, 100_000]);
  assert(overlapping > 50_000);
  const index = operations.findIndex(({ kind }, index) => index > 90_000 && kind === "load");
  const stale = operations[index - 5_000]!.result;
  operations[index] = { ...operations[index]!, result: stale };
  const found = checkRegister(operations).violation;
  assert(found !== undefined && found.since.includes(operations[index]!));
});

Deno.test("linearizability: clocks that count from the same second agree", () => {
  using first = new Clock();
  using second = new Clock(first.startSeconds);
  let last = first.before();
  for (let round = 0; round < 1_000; round++) {
    for (const time of [second.after(), first.before(), second.before(), first.after()]) {
      assert(time >= last, `${time} after ${last}`);
      last = time;
    }
  }
});

Deno.test("linearizability: twelve threads on three nodes", async () => {
  const seed = Math.floor(Math.random() * 2 ** 32);
  const { history, pagesReceived } = await record(4_000, seed);
  assert(history.size >= 4_000);
  assert(pagesReceived > 0);
  for (const operations of history.words) {
    const { violation, overlapping } = checkRegister(operations);
    assertEquals(violation && printViolation(violation), undefined, `seed ${seed}`);
    assert(overlapping > 0);
  }
  // A value that was gone long ago, read again.
  const [operations] = history.words;
  operations!.sort((a, b) => a.invocation - b.invocation);
  const old = operations!.find(({ kind }) => kind === "exchange")!;
  const late = operations!.findLastIndex(({ kind }) => kind === "load");
  operations![late] = { ...operations![late]!, result: old.value };
  assert(checkRegister(operations!).violation !== undefined, `seed ${seed}`);
});
