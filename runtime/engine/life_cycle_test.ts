import { assertEquals } from "@std/assert";
import { TdsmError } from "../errors.ts";
import {
  LifeCycle,
  type NodeState,
  ProcessEnd,
  type ProcessState,
  StallClock,
} from "./life_cycle.ts";
import { ManualTimers } from "../../tests/support/manual_timers.ts";

const STALL_MS = 1234;

const REASON = new TdsmError("NodeClosed", "planted");
/** The ways to each state. */
const WAYS: Readonly<Record<NodeState, readonly (readonly NodeState[])[]>> = {
  joined: [[]],
  leaving: [["leaving"]],
  parted: [["parted"], ["leaving", "parted"]],
  failed: [["failed"], ["leaving", "failed"]],
  ended: [["leaving", "ended"], ["parted", "ended"], ["failed", "ended"]],
};
const AFTER: Readonly<Record<NodeState, readonly NodeState[]>> = {
  joined: ["leaving", "parted", "failed"],
  leaving: ["parted", "failed", "ended"],
  parted: ["ended"],
  failed: ["ended"],
  ended: [],
};

Deno.test("LifeCycle moves from each state to those that may follow, and to no other", () => {
  for (const [state, ways] of Object.entries(WAYS) as [NodeState, NodeState[][]][]) {
    for (const way of ways) {
      for (const next of Object.keys(WAYS) as NodeState[]) {
        const life = new LifeCycle();
        assertEquals(way.map((step) => life.enter(step, REASON)), way.map(() => true));
        assertEquals(life.state, state);
        const possible = AFTER[state].includes(next);
        assertEquals(life.enter(next, REASON), possible, `${state} to ${next}`);
        assertEquals(life.state, possible ? next : state);
        assertEquals(life.over, life.state === "parted" || life.state === "ended");
      }
    }
  }
});

Deno.test("LifeCycle keeps the first reason to its end, and settles its waits at each change", async () => {
  const life = new LifeCycle();
  const [first, second] = [REASON, new TdsmError("NodeClosed", "another")];
  assertEquals([life.failure, life.refusal], [undefined, undefined]);
  let seen = life.change();
  life.enter("leaving");
  await seen;
  assertEquals(life.refusal, undefined);
  seen = life.change();
  life.enter("failed", first);
  await seen;
  life.enter("failed", second);
  life.enter("parted", second);
  assertEquals([life.failure, life.refusal], [first, first]);
  life.enter("ended", second);
  assertEquals([life.failure, life.refusal], [first, first]);
  const parted = new LifeCycle();
  parted.enter("parted");
  assertEquals(parted.refusal, undefined);
  parted.enter("ended", second);
  assertEquals([parted.failure, parted.refusal], [undefined, second]);
});

Deno.test("ProcessEnd: what ends the process sooner takes over, and nothing takes back a signal", () => {
  const states: readonly ProcessState[] = ["running", "due", "doomed", "exiting", "signalled"];
  const after: Readonly<Record<ProcessState, readonly ProcessState[]>> = {
    running: ["due", "doomed", "exiting", "signalled"],
    // A program that closes its node ends by itself.
    due: ["running", "doomed", "exiting", "signalled"],
    doomed: ["exiting", "signalled"],
    exiting: ["signalled"],
    signalled: [],
  };
  for (const state of states) {
    for (const next of states) {
      const process = new ProcessEnd();
      process.enter(state);
      assertEquals(process.state, state);
      assertEquals(process.enter(next), after[state].includes(next), `${state} to ${next}`);
      assertEquals(process.isNear, ["exiting", "signalled"].includes(process.state));
    }
  }
});

Deno.test("StallClock: what moves may take any time, what stands still is found out once", () => {
  using timers = new ManualTimers(STALL_MS);
  let [come, stalls] = [7, 0];
  using _clock = new StallClock(STALL_MS, () => come, () => stalls++);
  for (let time = 0; time < 1000; time++) {
    come++;
    timers.fire(STALL_MS);
  }
  assertEquals([stalls, timers.count(STALL_MS)], [0, 1]);
  timers.fire(STALL_MS);
  assertEquals([stalls, timers.count(STALL_MS)], [1, 0]);
});

Deno.test("StallClock: what never moves is found out at the first look", () => {
  using timers = new ManualTimers(STALL_MS);
  let stalls = 0;
  using _clock = new StallClock(STALL_MS, () => 0, () => stalls++);
  timers.fire(STALL_MS);
  assertEquals(stalls, 1);
});

Deno.test("StallClock: nobody is told after its end", () => {
  using timers = new ManualTimers(STALL_MS);
  let stalls = 0;
  {
    using _clock = new StallClock(STALL_MS, () => 0, () => stalls++);
  }
  assertEquals([stalls, timers.count(STALL_MS)], [0, 0]);
});
