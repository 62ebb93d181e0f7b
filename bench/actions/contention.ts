/** What nodes do that are after the same page at the same time. */

import type { Node } from "../../mod.ts";
import { Random } from "../../tests/simulator/coherence/random.ts";

/** How much longer than it should the other node may take to end, in milliseconds. */
const GRACE_MS = 20_000;
/**
 * How many turns of arithmetic one unit of work of {@linkcode work} is; some tens of microseconds.
 */
const ARITHMETIC = 20_000;

/**
 * Writes a word.
 *
 * @param node The node.
 * @param cell Where, in bytes, and what.
 */
export function store(node: Node, cell: { readonly offset: number; readonly value: number }): void {
  Atomics.store(node.view(Int32Array, cell.offset, 1), 0, cell.value);
}

/**
 * Adds to a word whenever it is this node's turn: when the word is even for parity 0, odd for 1.
 * Looks at the word without a pause. The node of parity 0 ends it for both, by a negative number.
 *
 * @param node The node.
 * @param turns Where the word is, in bytes; which turns are this node's; for how long.
 * @returns How long each turn took, in microseconds: half of the time between two of this node.
 * @throws {Error} When the other node does not take part.
 */
export function alternate(
  node: Node,
  { offset, parity, ms }: {
    readonly offset: number;
    readonly parity: number;
    readonly ms: number;
  },
): number[] {
  const word = node.view(Int32Array, offset, 1);
  const us: number[] = [];
  const begin = performance.now();
  let since = 0;
  let looks = 0;
  for (;;) {
    const value = Atomics.load(word, 0);
    if (value < 0) return us;
    if ((value & 1) !== parity) {
      if ((++looks & 0xffff) !== 0 || performance.now() - begin < ms + GRACE_MS) continue;
      throw new Error("the other node does not take its turn");
    }
    const now = performance.now();
    if (parity === 0 && now - begin >= ms) {
      Atomics.store(word, 0, -1);
      return us;
    }
    if (since > 0) us.push((now - since) * 500);
    since = now;
    Atomics.store(word, 0, value + 1);
  }
}

/** What came of {@linkcode addApart}. */
export interface Additions {
  /** How often the node has added. */
  readonly additions: number;
  /** How often it had to ask for the page. */
  readonly moves: number;
  /** For how long, in microseconds. */
  readonly us: number;
}

/**
 * Adds to a word that no other node uses, as fast as it can.
 *
 * @param node The node.
 * @param cell Where the word is, in bytes, and for how long to add.
 * @returns How often it did.
 */
export function addApart(
  node: Node,
  { offset, ms }: { readonly offset: number; readonly ms: number },
): Additions {
  const word = node.view(Int32Array, offset, 1);
  const before = node.stats();
  const begin = performance.now();
  let now = begin;
  let additions = 0;
  for (; now - begin < ms; now = performance.now(), additions++) Atomics.add(word, 0, 1);
  const after = node.stats();
  const moves = after.writeMisses + after.upgrades - before.writeMisses - before.upgrades;
  return { additions, moves, us: (now - begin) * 1000 };
}

/**
 * Works: in each unit some arithmetic, and one page chosen at random that every fourth time is
 * written.
 *
 * @param node The node.
 * @param job The pages that all work on; for how long; where chance begins.
 * @returns The units that were done.
 */
export function work(
  node: Node,
  { first, count, ms, seed }: {
    readonly first: number;
    readonly count: number;
    readonly ms: number;
    readonly seed: number;
  },
): number {
  const step = node.pageSize / Int32Array.BYTES_PER_ELEMENT;
  const words = node.view(Int32Array, first * node.pageSize, count * step);
  const random = new Random(seed);
  const begin = performance.now();
  let units = 0;
  let sum = 0;
  while (performance.now() - begin < ms) {
    for (let turn = 0; turn < ARITHMETIC; turn++) sum = Math.imul(sum + turn, 0x9e37_79b1);
    const index = random.below(count) * step;
    if ((random.next() & 3) === 0) Atomics.add(words, index, sum);
    else sum += Atomics.load(words, index);
    units++;
  }
  return units;
}
