/**
 * Small worlds of threads that wait for words, to be visited to their ends.
 */

import { FUTEX_LIMITS } from "../../runtime/protocol/sync/futexes.ts";
import {
  type FutexAction,
  type FutexCommand,
  type FutexParts,
  type FutexShape,
  FutexWorld,
  type FutexWorldState,
} from "../simulator/sync/futex_world.ts";
import type { TransitionSystem } from "./explore.ts";
import { hashOf } from "./fingerprint.ts";

const encoder = new TextEncoder();

/** A futex world as the checker walks through it. */
export class FutexModel extends FutexWorld
  implements TransitionSystem<FutexWorldState, FutexAction> {
  /** @param shape The threads. @param parts What the desk is made of. */
  constructor(shape: FutexShape, parts?: FutexParts) {
    super(shape, parts);
  }

  /** 53 bits of a hash over everything that matters about a state. */
  fingerprint(state: FutexWorldState): number {
    const bytes = encoder.encode(this.describe(state));
    return hashOf(bytes, bytes.length);
  }
}

const ALL = 2 ** 31 - 1;

function wait(expires: boolean): FutexCommand {
  return { do: "wait", word: 0, expected: 0, expires };
}

const store: FutexCommand = { do: "store", word: 0, value: 1 };

function notify(count: number): FutexCommand {
  return { do: "notify", word: 0, count };
}

interface Threads {
  readonly first: readonly (readonly FutexCommand[])[];
  readonly second: readonly (readonly FutexCommand[])[];
}

function shape({ first, second }: Threads, deaths: number): FutexShape {
  const threads = [
    ...first.map((commands) => ({ node: 1, commands })),
    ...second.map((commands) => ({ node: 2, commands })),
  ];
  return { nodes: 2, words: 1, threads, deaths, limits: { ...FUTEX_LIMITS, quietSlots: 1 } };
}

/** Two waiters and two notifiers on two nodes, in each way of notifying. */
export const FUTEX_WORLDS: readonly { readonly name: string; readonly shape: FutexShape }[] = [
  {
    name: "one each, with a time-out and a death",
    shape: shape({
      first: [[wait(true)], [store, notify(1)]],
      second: [[wait(false)], [store, notify(1)]],
    }, 1),
  },
  {
    name: "all, with time-outs and a death",
    shape: shape({
      first: [[wait(true)], [store, notify(ALL)]],
      second: [[wait(true)], [store, notify(ALL)]],
    }, 1),
  },
  {
    name: "words that are quiet",
    shape: shape({
      first: [[wait(false)], [notify(1), store, notify(ALL)]],
      second: [[wait(false)], [notify(1), notify(1)]],
    }, 0),
  },
  {
    name: "words that are quiet, with a death",
    shape: shape({
      first: [[wait(false)], [notify(1), store, notify(ALL)]],
      second: [[wait(false)], [notify(1)]],
    }, 1),
  },
];
