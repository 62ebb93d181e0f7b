/**
 * The operations of a soak, drawn from a seed, so that every node knows the operations of all
 * nodes. Operations of one round on the same cells commute: in any order they have the same result.
 * A node computes that result by performing all of them on memory of its own.
 */

import { Random } from "../simulator/coherence/random.ts";

/** How many nodes take part; their ids are 1, 2, 3. */
export const NODES = 3;
/**
 * Bytes of a block. In a round, one node at most writes a block; a page has blocks of all nodes.
 */
const BLOCK_BYTES = 64;
/** 32-bit words of a record, which the holder of its lock writes, and of the cells of a call. */
export const RECORD_WORDS = 16;

const PAGE_BYTES = 4096;
const WORDS = 1024;
const BLOCKS = 4096;
const RECORDS = 32;
const CALLED = 32;

/** Where each part of the region begins, in bytes. */
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

/** One operation of a node. Offsets are in bytes. */
export type Operation =
  /** Writes a block of the node's own. */
  | { readonly kind: "fill"; readonly block: number; readonly value: number }
  /** Replaces each word of a block of the node's own by a value that depends on the word. */
  | { readonly kind: "mix"; readonly block: number; readonly value: number }
  /** Copies a block that no node writes in this round into a block of the node's own. */
  | { readonly kind: "copy"; readonly block: number; readonly from: number }
  /** Adds to a word atomically. */
  | { readonly kind: "add"; readonly offset: number; readonly value: number }
  /** Flips bits of a word atomically. */
  | { readonly kind: "xor"; readonly offset: number; readonly value: number }
  /** Adds to each word of a record, under its lock. */
  | { readonly kind: "record"; readonly record: number; readonly value: number }
  /** Has another node add to cells. */
  | { readonly kind: "call"; readonly on: number; readonly offset: number; readonly value: number };

/** Memory that operations are performed on: the region, or a node's own. */
export interface Memory {
  readonly bytes: Uint8Array;
  readonly words: Int32Array;
}

/**
 * Draws the operations of a node.
 *
 * @param seed The seed of the soak.
 * @param round The round, from 0 on.
 * @param node The node.
 * @param count How many operations.
 * @returns The operations, in the order in which the node performs them.
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
 * Performs an operation as the only node would.
 *
 * @param operation The operation.
 * @param memory The memory to perform it on.
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

/**
 * Adds to each word of a record, by plain reads and writes: only the lock keeps another node's
 * additions.
 */
export function addToRecord(record: number, value: number, { words }: Memory): void {
  for (let at = 0; at < RECORD_WORDS; at++) {
    words[record / 4 + at] = words[record / 4 + at]! + Math.imul(value, at + 1);
  }
}

/** Adds a multiple of a value to each cell, atomically. */
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

/** Draws a block that no other node writes in a round; for node 0, a block that no node writes. */
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
