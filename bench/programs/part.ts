/** A real node's part in a program, and in what is measured of the way between two nodes. */

import type { Node } from "../../mod.ts";
import type { MutexLock } from "../../runtime/node/mutex.ts";
import { type Counts, countsOf, difference } from "./report.ts";
import type { MissCosts } from "./network.ts";
import { type Context, layOut, type Steps, wholeRun } from "./program.ts";
import { makeSuite, runSerially, type Size, WARM_SIZE } from "./suite.ts";

const WARM_RUNS = 3;

/** What a node is to do. */
export interface Part {
  /** The size of all programs. */
  readonly size: Size;
  /** Which of them. */
  readonly index: number;
  readonly nodes: number;
}

/** How it went at one node, between the marks. */
export interface PartReport {
  /** How long it took, in milliseconds. */
  readonly ms: number;
  readonly counts: Counts;
}

/**
 * Runs a program at one of its nodes.
 *
 * @param node The node; its id is its place among them.
 * @param part What to run.
 * @returns How it went.
 * @throws {Error} At the first node, when the result is wrong.
 */
export async function takePart(node: Node, { size, index, nodes }: Part): Promise<PartReport> {
  const programs = makeSuite(size);
  const program = programs[index]!;
  const context: Context = {
    memory: node,
    base: layOut(programs).bases[index]!,
    rank: node.id - 1,
    nodes,
    traced: false,
    computed: true,
  };
  // Else the first thing that is measured is the compiler.
  runSerially(makeSuite(WARM_SIZE)[index]!, WARM_RUNS);
  const [begin, end] = await follow(node, nodes, wholeRun(program, context));
  if (context.rank === 0) program.check(context);
  return { ms: end!.ms - begin!.ms, counts: difference(begin!.counts, end!.counts) };
}

/** Does what a program's steps say; returns what it found at its marks. */
async function follow(
  node: Node,
  nodes: number,
  steps: Steps,
): Promise<{ ms: number; counts: Counts }[]> {
  const marks = [];
  const locks = new Map<string, MutexLock>();
  for (const step of steps) {
    switch (step.kind) {
      case "barrier":
        await node.barrier(step.name, nodes).wait();
        break;
      case "lock":
        locks.set(step.name, await node.mutex(step.name).lock());
        break;
      case "unlock":
        locks.get(step.name)!.unlock();
        break;
      case "mark": {
        const stats = node.stats();
        marks.push({ ms: performance.now(), counts: countsOf(stats, stats) });
        break;
      }
      case "work":
        throw new Error("Real programs are not traced");
      default:
        step satisfies never;
    }
  }
  return marks;
}

/** The misses that are timed one by one, and their distance, so that they look like no sequence. */
const MISSES = 500;
const STRIDE_PAGES = 3;
/** The pages of the scan, and those before it that its runs need to get long. */
const SCAN_PAGES = 4096;
const SCAN_WARM_PAGES = 512;

/** The region that {@linkcode measureMisses} needs, in bytes of pages of so many bytes. */
export function missBytes(pageSize: number): number {
  return (MISSES * STRIDE_PAGES + SCAN_WARM_PAGES + SCAN_PAGES) * pageSize;
}

/**
 * Measures remote read misses between two nodes: the first writes all pages, the second reads them.
 *
 * @param node One of the two.
 * @returns What they cost, at the second; `undefined` at the first.
 * @throws {Error} When a page has not what was written.
 */
export async function measureMisses(node: Node): Promise<MissCosts | undefined> {
  const words = node.view(Int32Array, 0, missBytes(node.pageSize) / Int32Array.BYTES_PER_ELEMENT);
  const step = node.pageSize / Int32Array.BYTES_PER_ELEMENT;
  const pages = words.length / step;
  const written = node.barrier("written", 2);
  const read = node.barrier("read", 2);
  if (node.id === 1) {
    for (let page = 0; page < pages; page++) words[page * step] = page + 1;
    await written.wait();
    await read.wait();
    return undefined;
  }
  await written.wait();
  let sum = 0;
  const misses: number[] = [];
  let page = 0;
  for (; page < MISSES * STRIDE_PAGES; page += STRIDE_PAGES) {
    const begin = performance.now();
    sum += words[page * step]! - page - 1;
    misses.push((performance.now() - begin) * 1000);
  }
  const warm = page + SCAN_WARM_PAGES;
  let begin = 0;
  for (; page < pages; page++) {
    if (page === warm) begin = performance.now();
    sum += words[page * step]! - page - 1;
  }
  const scanPageUs = (performance.now() - begin) * 1000 / (pages - warm);
  await read.wait();
  if (sum !== 0) throw new Error("A page has not what was written to it");
  misses.sort((a, b) => a - b);
  return { missUs: misses[MISSES >> 1]!, scanPageUs };
}
