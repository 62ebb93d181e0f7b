/**
 * Small worlds of threads that wait for words, to be visited to their ends.
 */

import type { NodeId } from "../../runtime/protocol/coherence/messages.ts";
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

function wait(expires: boolean, word = 0): FutexCommand {
  return { do: "wait", word, expected: 0, expires };
}

const store: FutexCommand = { do: "store", word: 0, value: 1 };

function notify(count: number, word = 0): FutexCommand {
  return { do: "notify", word, count };
}

function post(count: number): FutexCommand {
  return { do: "post", word: 0, count };
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
  return {
    nodes: 2,
    words: 1,
    threads,
    deaths,
    limits: { ...FUTEX_LIMITS, quietSlots: 1, lendAfter: Infinity },
  };
}

/**
 * Threads of the directory node and of another, or of two others, to which the word is lent after
 * so many requests in a row, and after twice as many once it was wanted back.
 */
function lending(
  { first, second }: Threads,
  { deaths, after, of, links = [], words = 1, detaches = 0, waits: lentWaits = 2 }: {
    readonly deaths: number;
    readonly after: number;
    readonly of: readonly [NodeId, NodeId];
    /** The threads that have links of their own, by their numbers over both nodes. */
    readonly links?: readonly number[];
    /** How many words there are, of one slot. */
    readonly words?: number;
    /** How many threads may be gone before their wait is acknowledged. */
    readonly detaches?: number;
    /** How many waits a word is lent with, and a node serves there. */
    readonly waits?: number;
  },
): FutexShape {
  const threads = [
    ...first.map((commands) => ({ node: of[0], commands })),
    ...second.map((commands) => ({ node: of[1], commands })),
  ].map((thread, at) => ({ ...thread, hasLink: links.includes(at) }));
  const often = { lendAfter: after, lendAfterMax: 2 * after };
  const limits = { ...FUTEX_LIMITS, quietSlots: 1, ...often, lentWaits };
  return { nodes: of[1], words, threads, deaths, detaches, limits };
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
  {
    name: "words that are lent to one node, with a time-out and a death",
    shape: lending({
      first: [[wait(false)], [store, notify(1)]],
      second: [[wait(true)], [store, notify(1)]],
    }, { deaths: 1, after: 1, of: [1, 2] }),
  },
  {
    name: "words that are lent to two nodes, all notified, with time-outs and a death",
    shape: lending({
      first: [[wait(true)], [store, notify(ALL)]],
      second: [[wait(true)], [store, notify(ALL)]],
    }, { deaths: 1, after: 1, of: [2, 3] }),
  },
  {
    name: "words that are lent to two nodes, one notified each, with a death",
    shape: lending({
      first: [[wait(false)], [store, notify(1)]],
      second: [[wait(false)], [store, notify(1)]],
    }, { deaths: 1, after: 1, of: [2, 3] }),
  },
  {
    name: "words that are lent with the waits that are there, with a time-out and a death",
    shape: lending({
      first: [[wait(false)], [store, notify(1)]],
      second: [[wait(true)], [store, notify(1)]],
    }, { deaths: 1, after: 2, of: [1, 2] }),
  },
  {
    name: "words that are lent with two waits, and a thread with a link of its own",
    shape: lending({
      first: [[store, notify(1)]],
      second: [[wait(true)], [wait(false)], [store, notify(1)]],
    }, { deaths: 0, after: 3, of: [1, 2], links: [3] }),
  },
  {
    name: "words that are returned as more wait than may, with time-outs",
    shape: lending({
      first: [[store, notify(1)]],
      second: [[wait(true)], [wait(false)], [wait(true)]],
    }, { deaths: 0, after: 1, of: [1, 2], waits: 1 }),
  },
  {
    name: "words that are lent, a notify that is posted, and a thread that is gone",
    shape: lending({
      first: [[store, post(1)]],
      second: [[wait(false)], [wait(false)]],
    }, { deaths: 0, after: 1, of: [1, 2], detaches: 1 }),
  },
  {
    name: "words that are lent, and notifies that threads post by links of their own",
    shape: lending({
      first: [[wait(false)]],
      second: [[wait(false)], [post(1), store, post(ALL)]],
    }, { deaths: 0, after: 1, of: [1, 2], links: [2] }),
  },
  {
    name: "words that are lent and quiet",
    shape: lending({
      first: [[wait(false)], [store, notify(ALL)]],
      second: [[wait(false)], [notify(1), notify(1)]],
    }, { deaths: 0, after: 1, of: [1, 2] }),
  },
  {
    name: "words of one slot that are lent one after the other, with time-outs and a death",
    shape: lending({
      first: [[store, notify(1)]],
      second: [[wait(true)], [notify(1, 1), store, notify(1)], [wait(true, 1)]],
    }, { deaths: 1, after: 1, of: [1, 2], words: 2 }),
  },
  {
    name: "words that are lent, and threads with links of their own, with a death",
    shape: lending({
      first: [[wait(false)], [store, notify(ALL)]],
      second: [[wait(false)], [store, notify(1)]],
    }, { deaths: 1, after: 1, of: [1, 2], links: [1, 2] }),
  },
];
