/**
 * What the nodes of a soak do in one round, drawn from a seed so that every node knows what all of
 * them do. Operations of one round on the same cells commute, so any order of them has one result,
 * which a node finds by doing all of them alone, on memory of its own.
 */

import { Random } from "../simulator/coherence/random.ts";

/** How many nodes take part; their ids are 1, 2, 3. */
export const NODES = 3;
/** Bytes of a block, which one node of a round writes; a page has many, of all nodes. */
const BLOCK_BYTES = 64;
/** 32-bit words of a record, which the holder of its lock writes, and of the cells of a call. */
export const RECORD_WORDS = 16;

const PAGE_BYTES = 4096;
const WORDS = 1024;
const BLOCKS = 4096;
const RECORDS = 32;
const CALLED = 32;

/** Where things are, in bytes. What is before is not part of the data. */
export const Offset = {
  /** The word that ends the soak. */
  Stop: 0,
  /** Words that all nodes add to, or flip bits of. */
  Words: PAGE_BYTES,
  Blocks: PAGE_BYTES + 4 * WORDS,
  Records: PAGE_BYTES + 4 * WORDS + BLOCK_BYTES * BLOCKS,
  Called: PAGE_BYTES + 4 * WORDS + BLOCK_BYTES * BLOCKS + 4 * RECORD_WORDS * RECORDS,
  End: PAGE_BYTES + 4 * WORDS + BLOCK_BYTES * BLOCKS + 4 * RECORD_WORDS * (RECORDS + CALLED),
} as const;

/** One thing that a node does. Offsets are in bytes. */
export type Operation =
  /** Writes a block of its own. */
  | { readonly kind: "fill"; readonly block: number; readonly value: number }
  /** Reads a block of its own and writes something that depends on it. */
  | { readonly kind: "mix"; readonly block: number; readonly value: number }
  /** Writes into a block of its own what a block has that nobody writes in this round. */
  | { readonly kind: "copy"; readonly block: number; readonly from: number }
  /** Adds to a word atomically. */
  | { readonly kind: "add"; readonly offset: number; readonly value: number }
  /** Flips bits of a word atomically. */
  | { readonly kind: "xor"; readonly offset: number; readonly value: number }
  /** Adds to each word of a record, under its lock. */
  | { readonly kind: "record"; readonly record: number; readonly value: number }
  /** Has another node add to cells. */
  | { readonly kind: "call"; readonly on: number; readonly offset: number; readonly value: number };

/** Memory that operations are done on: the region, or a node's own. */
export interface Memory {
  readonly bytes: Uint8Array;
  readonly words: Int32Array;
}

/**
 * Draws what a node does.
 *
 * @param seed The soak's.
 * @param round The round, from 0 on.
 * @param node The node.
 * @param count How many operations.
 * @returns The operations, in the order in which the node does them.
 */
export function drawOperations(
  seed: number,
  round: number,
  node: number,
  count: number,
): Operation[] {
  const random = new Random(seed + 0x9e37 * (NODES * round + node));
  return Array.from({ length: count }, () => drawOperation(random, seed + round, node));
}

/**
 * Does an operation as if there were one node.
 *
 * @param operation The operation.
 * @param memory What to do it on.
 */
export function applyAlone(operation: Operation, memory: Memory): void {
  const { bytes, words } = memory;
  switch (operation.kind) {
    case "fill": {
      const { block, value } = operation;
      for (let at = 0; at < BLOCK_BYTES; at++) bytes[block + at] = value + 7 * at;
      return;
    }
    case "mix": {
      const first = operation.block / 4;
      for (let at = first; at < first + BLOCK_BYTES / 4; at++) {
        words[at] = Math.imul(words[at]!, 31) + operation.value;
      }
      return;
    }
    case "copy":
      bytes.copyWithin(operation.block, operation.from, operation.from + BLOCK_BYTES);
      return;
    case "add":
      Atomics.add(words, operation.offset / 4, operation.value);
      return;
    case "xor":
      Atomics.xor(words, operation.offset / 4, operation.value);
      return;
    case "record":
      return addToRecord(operation.record, operation.value, memory);
    case "call": {
      const { offset, value } = operation;
      return addToCells(words.subarray(offset / 4, offset / 4 + RECORD_WORDS), value);
    }
    default:
      operation satisfies never;
  }
}

/** Adds to each word of a record, with plain reads and writes: somebody else's at the same time would be lost. */
export function addToRecord(record: number, value: number, { words }: Memory): void {
  for (let at = 0; at < RECORD_WORDS; at++) {
    words[record / 4 + at] = words[record / 4 + at]! + Math.imul(value, at + 1);
  }
}

/** Adds to each cell atomically, the first least. */
export function addToCells(cells: Int32Array, value: number): void {
  for (let at = 0; at < cells.length; at++) Atomics.add(cells, at, Math.imul(value, at + 1));
}

function drawOperation(random: Random, round: number, node: number): Operation {
  const value = random.next() | 0;
  const roll = random.below(100);
  if (roll < 25) return { kind: "fill", block: drawBlock(random, round, node), value };
  if (roll < 50) return { kind: "mix", block: drawBlock(random, round, node), value };
  if (roll < 65) {
    const from = drawBlock(random, round, 0);
    return { kind: "copy", block: drawBlock(random, round, node), from };
  }
  if (roll < 90) {
    const word = random.below(WORDS);
    // Additions and flips of bits do not commute with each other.
    const kind = mix(round, word) % 2 === 0 ? "add" : "xor";
    return { kind, offset: Offset.Words + 4 * word, value };
  }
  if (roll < 96) {
    return {
      kind: "record",
      record: Offset.Records + 4 * RECORD_WORDS * random.below(RECORDS),
      value,
    };
  }
  const on = 1 + (node - 1 + random.between(1, NODES - 1)) % NODES;
  const offset = Offset.Called + 4 * RECORD_WORDS * random.below(CALLED);
  return { kind: "call", on, offset, value };
}

/** A block that a node, or nobody where the node is 0, writes in a round. */
function drawBlock(random: Random, round: number, node: number): number {
  for (;;) {
    const block = random.below(BLOCKS);
    if (mix(round, block) % (NODES + 1) === node) return Offset.Blocks + BLOCK_BYTES * block;
  }
}

function mix(a: number, b: number): number {
  const product = Math.imul(a ^ 0x5bd1, 0x9e37_79b1) ^ Math.imul(b + 1, 0x85eb_ca6b);
  return (product ^ (product >>> 13)) >>> 3;
}
