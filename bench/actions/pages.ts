/**
 * What a node does to pages. Each is called many times, so that it runs compiled when it counts.
 */

import { type Node, type NodeStats, rewriteWasm } from "../../mod.ts";
import { WASM_PAGE_BYTES } from "../../runtime/limits.ts";
import { Random } from "../../tests/simulator/coherence/random.ts";
import { MODULE_MEMORY_BYTES } from "../floor/build.ts";

/** Pages of the region: `count` of them, `stride` apart, from `first` on. */
export interface Pages {
  readonly first: number;
  readonly count: number;
  readonly stride: number;
}

/** Accesses that were timed one by one. */
export interface TimedAccesses {
  /** How long each took, in microseconds. */
  readonly us: number[];
  /** How many requests the node made for them. */
  readonly misses: number;
}

/** The words of a page. */
function wordsPerPage(node: Node): number {
  return node.pageSize / Int32Array.BYTES_PER_ELEMENT;
}

/** The words of the region up to a page; throws where the region is shorter. */
function wordsUpTo(node: Node, end: number): Int32Array {
  return node.view(Int32Array, 0, end * wordsPerPage(node));
}

/** Requests of a node so far. */
function requests({ readMisses, writeMisses, upgrades }: NodeStats): number {
  return readMisses + writeMisses + upgrades;
}

/** @returns How many messages about pages the node has sent and received so far. */
export function messages(node: Node): number {
  const { messagesSent, messagesReceived } = node.stats();
  return messagesSent + messagesReceived;
}

/**
 * Writes a word of each page, in order.
 *
 * @param node The node.
 * @param pages Which pages, and what to write.
 * @returns How long that took, in microseconds.
 */
export function writePages(
  node: Node,
  { first, count, stride, value }: Pages & { readonly value: number },
): number {
  const end = first + count * stride;
  const words = wordsUpTo(node, end);
  const step = wordsPerPage(node);
  const begin = performance.now();
  for (let page = first; page < end; page += stride) words[page * step] = value;
  return (performance.now() - begin) * 1000;
}

/**
 * Reads a word of each page, in order.
 *
 * @param node The node.
 * @param pages Which pages, and what is to be there.
 * @returns How long that took, in microseconds.
 * @throws {Error} When something else is there.
 */
export function readPages(
  node: Node,
  { first, count, stride, value }: Pages & { readonly value: number },
): number {
  const end = first + count * stride;
  const words = wordsUpTo(node, end);
  const step = wordsPerPage(node);
  let wrong = 0;
  const begin = performance.now();
  for (let page = first; page < end; page += stride) {
    if (words[page * step] !== value) wrong++;
  }
  const us = (performance.now() - begin) * 1000;
  if (wrong > 0) throw new Error(`${wrong} of ${count} pages do not have what was written`);
  return us;
}

/**
 * Reads or writes one word of each page, in an order of no pattern, and times each.
 *
 * @param node The node.
 * @param pages Which pages; `value` is what is there, or what to write.
 * @returns The times.
 * @throws {Error} When something else is there.
 */
export function timePages(
  node: Node,
  { first, count, stride, value, write, seed }: Pages & {
    readonly value: number;
    readonly write: boolean;
    readonly seed: number;
  },
): TimedAccesses {
  const words = wordsUpTo(node, first + count * stride);
  const step = wordsPerPage(node);
  const order = shuffled(count, seed);
  const us: number[] = [];
  let wrong = 0;
  const before = requests(node.stats());
  for (const index of order) {
    const word = (first + index * stride) * step;
    const begin = performance.now();
    if (write) words[word] = value;
    else if (words[word] !== value) wrong++;
    us.push((performance.now() - begin) * 1000);
  }
  const misses = requests(node.stats()) - before;
  if (wrong > 0) throw new Error(`${wrong} of ${count} pages do not have what was written`);
  return { us, misses };
}

/**
 * Reads words of pages that are chosen at random, and times each; a page may come twice.
 *
 * @param node The node.
 * @param pages Which pages there are, and how many are read.
 * @returns The times.
 */
export function timeRandomReads(
  node: Node,
  { first, count, reads, value, seed }: {
    readonly first: number;
    readonly count: number;
    readonly reads: number;
    readonly value: number;
    readonly seed: number;
  },
): TimedAccesses {
  const words = wordsUpTo(node, first + count);
  const step = wordsPerPage(node);
  const random = new Random(seed);
  const us: number[] = [];
  let wrong = 0;
  const before = requests(node.stats());
  for (let read = 0; read < reads; read++) {
    const word = (first + random.below(count)) * step;
    const begin = performance.now();
    if (words[word] !== value) wrong++;
    us.push((performance.now() - begin) * 1000);
  }
  const misses = requests(node.stats()) - before;
  if (wrong > 0) throw new Error(`${wrong} of ${reads} reads found what was not written`);
  return { us, misses };
}

/**
 * Sleeps, then reads a word of a page.
 *
 * @param node The node.
 * @param page The page, what is to be there, and how long to sleep.
 * @returns How long the read took, in microseconds.
 * @throws {Error} When something else is there.
 */
export async function timeAfterSilence(
  node: Node,
  { first, value, silenceMs }: {
    readonly first: number;
    readonly value: number;
    readonly silenceMs: number;
  },
): Promise<number> {
  const words = wordsUpTo(node, first + 1);
  const word = first * wordsPerPage(node);
  await new Promise((resolve) => setTimeout(resolve, silenceMs));
  const begin = performance.now();
  const found = words[word];
  const us = (performance.now() - begin) * 1000;
  if (found !== value) throw new Error(`page ${first} has ${found}, not ${value}`);
  return us;
}

function shuffled(count: number, seed: number): number[] {
  const random = new Random(seed);
  const order = Array.from({ length: count }, (_, index) => index);
  for (let last = count - 1; last > 0; last--) {
    const other = random.below(last + 1);
    [order[last], order[other]] = [order[other]!, order[last]!];
  }
  return order;
}

const plain = new Map<number, Float64Array>();

/** An array of the program's own, filled. */
function plainArray(length: number): Float64Array {
  let array = plain.get(length);
  if (array === undefined) plain.set(length, array = new Float64Array(length).fill(1));
  return array;
}

/**
 * Adds up doubles.
 *
 * @param node The node.
 * @param job Where they are in the region, in bytes, or -1 for an array of the program's own; how
 * many; how often; whether they are seen through `node.shared`.
 * @returns How long each sum took, in microseconds.
 * @throws {Error} When the sum is wrong.
 */
export function sums(
  node: Node,
  { offset, length, times, shared }: {
    readonly offset: number;
    readonly length: number;
    readonly times: number;
    readonly shared: boolean;
  },
): number[] {
  const cells = offset < 0
    ? plainArray(length)
    : shared
    ? new Float64Array(node.shared, offset, length)
    : node.view(Float64Array, offset, length);
  return timeSums(length, times, sumOf, cells);
}

/** Where the doubles begin in the memory of a module: behind its stack. */
const MODULE_CELLS_BYTE = 1 << 20;
/** The modules that this node has, by whether their memory is one of the region. */
const modules = new Map<boolean, (cells: number, length: number) => number>();

/**
 * Adds up doubles by a loop in WebAssembly.
 *
 * @param node The node.
 * @param job The path of `sum.zig` as a module; whether its memory is the region's; how many; how
 * often.
 * @returns How long each sum took, in microseconds.
 * @throws {Error} When the sum is wrong.
 */
export async function wasmSums(
  node: Node,
  { module, isRegion, length, times }: {
    readonly module: string;
    readonly isRegion: boolean;
    readonly length: number;
    readonly times: number;
  },
): Promise<number[]> {
  let sum = modules.get(isRegion);
  if (sum === undefined) modules.set(isRegion, sum = await loadSum(node, module, isRegion, length));
  return timeSums(length, times, sum, MODULE_CELLS_BYTE);
}

async function loadSum(
  node: Node,
  path: string,
  isRegion: boolean,
  length: number,
): Promise<(cells: number, length: number) => number> {
  const bytes = await Deno.readFile(path);
  const pages = MODULE_MEMORY_BYTES / WASM_PAGE_BYTES;
  const type = { pages, maximum: pages };
  const shared = isRegion ? await node.wasmMemory({ name: "sums", ...type }) : undefined;
  const memory = shared?.memory ??
    new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true });
  const module = await WebAssembly.compile(isRegion ? rewriteWasm(bytes) : bytes);
  const imports = shared === undefined ? {} : { tdsm: node.wasmImports(shared) };
  const { exports } = new WebAssembly.Instance(module, { ...imports, env: { memory } });
  new Float64Array(memory.buffer, MODULE_CELLS_BYTE, length).fill(1);
  return exports.sum as (cells: number, length: number) => number;
}

/** A closure for the sum, new in each round, would leave V8 with code six times as slow. */
function timeSums<Cells>(
  length: number,
  times: number,
  sumOf: (cells: Cells, length: number) => number,
  cells: Cells,
): number[] {
  const us: number[] = [];
  for (let time = 0; time < times; time++) {
    const begin = performance.now();
    const sum = sumOf(cells, length);
    us.push((performance.now() - begin) * 1000);
    if (sum !== length) throw new Error(`the sum of ${length} ones is ${sum}`);
  }
  return us;
}

/**
 * Fills doubles of the region with ones, so that their pages are here.
 *
 * @param node The node.
 * @param cells Where, in bytes, and how many.
 */
export function fillOnes(
  node: Node,
  { offset, length }: { readonly offset: number; readonly length: number },
): void {
  node.view(Float64Array, offset, length).fill(1);
}

function sumOf(cells: Float64Array): number {
  let sum = 0;
  for (let index = 0; index < cells.length; index++) sum += cells[index]!;
  return sum;
}

/**
 * Allocates an array, writes a word of each of its pages and frees it, again and again.
 *
 * @param node The node.
 * @param loop How large the array is, and how often.
 * @returns How long each turn took, in milliseconds.
 */
export async function temporaryArrays(
  node: Node,
  { bytes, count }: { readonly bytes: number; readonly count: number },
): Promise<number[]> {
  const times: number[] = [];
  for (let turn = 0; turn < count; turn++) {
    const begin = performance.now();
    const words = await node.alloc(Int32Array, bytes / Int32Array.BYTES_PER_ELEMENT);
    for (let word = 0; word < words.length; word += wordsPerPage(node)) words[word] = 1;
    await node.free(words);
    times.push(performance.now() - begin);
  }
  return times;
}
