import { assert, assertEquals } from "@std/assert";
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
/** Every life that a node can have, state by state. */
const LIVES = [
  // Closed while the directory node still let it wait, or let go, or ended by the directory node.
  "joined leaving ended",
  "joined leaving parted ended",
  "joined parted ended",
  // Failed at work, or while it left.
  "joined failed ended",
  "joined leaving failed ended",
];
const STATES: readonly NodeState[] = ["joined", "leaving", "parted", "failed", "ended"];

/** A node that has come to the last of some states. */
function lifeOf(states: readonly NodeState[]): LifeCycle {
  const life = new LifeCycle();
  for (const state of states.slice(1)) assert(life.enter(state, REASON), states.join(" "));
  return life;
}

/** Every life that begins with some states. */
function livesFrom(states: readonly NodeState[]): string[] {
  const next = STATES.filter((state) => lifeOf(states).enter(state, REASON));
  return next.length === 0
    ? [states.join(" ")]
    : next.flatMap((state) => livesFrom([...states, state]));
}

Deno.test("LifeCycle: a node has one of five lives, and each ends", () => {
  assertEquals(livesFrom(["joined"]).sort(), LIVES.toSorted());
});

Deno.test("LifeCycle: a state that may not follow changes nothing", () => {
  for (const life of LIVES) {
    const states = life.split(" ") as NodeState[];
    for (let count = 1; count <= states.length; count++) {
      const state = states[count - 1]!;
      for (const next of STATES) {
        const node = lifeOf(states.slice(0, count));
        assertEquals(node.over, state === "parted" || state === "ended");
        if (!node.enter(next, REASON)) assertEquals(node.state, state, `${state} to ${next}`);
      }
      assertEquals(lifeOf(states.slice(0, count)).enter(state, REASON), false, "to itself");
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
  // From what leaves the process the most time to what leaves it the least.
  const states: readonly ProcessState[] = ["running", "due", "doomed", "exiting", "signalled"];
  for (const [rank, state] of states.entries()) {
    for (const [nextRank, next] of states.entries()) {
      const process = new ProcessEnd();
      process.enter(state);
      assertEquals(process.state, state);
      // A program that closes its node ends by itself, and is no longer due.
      const expected = nextRank > rank || state === "due" && next === "running";
      assertEquals(process.enter(next), expected, `${state} to ${next}`);
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
