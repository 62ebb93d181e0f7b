/**
 * A parallel program, written once: real nodes run it on their region, and the simulator runs the
 * same code against simulated time. It is a generator of steps. A real node only has to do the
 * synchronisation among them: its accesses fault by themselves. The simulator is also told the
 * accesses and the work, since nothing faults there.
 */

import { PAGE_SIZE_DEFAULT_BYTES, RUN_MAX_PAGES } from "../../runtime/limits.ts";
import type { TypedArrayConstructor } from "../../runtime/node/types.ts";
import { Access } from "../../runtime/protocol/coherence/page.ts";

/** Bytes of the region that a program reads, or writes, from the first to the last. */
export interface Touch {
  /** Where they begin in the region. */
  readonly byteOffset: number;
  /** How many, at least 1. */
  readonly bytes: number;
  readonly access: Access;
}

/** What a program does next. */
export type Step =
  /** Accesses, in this order, and then so many units of work; only where it is traced. */
  | { readonly kind: "work"; readonly touches: readonly Touch[]; readonly units: number }
  /** Waits until all nodes have come here. */
  | { readonly kind: "barrier"; readonly name: string }
  | { readonly kind: "lock"; readonly name: string }
  | { readonly kind: "unlock"; readonly name: string }
  /** What is measured begins at the first mark and ends at the second. */
  | { readonly kind: "mark" };

/** The steps of one node. */
export type Steps = Generator<Step, void, void>;

/** Where views of the region come from; a node of the runtime is one. */
export interface Memory {
  view<View>(Type: TypedArrayConstructor<View>, byteOffset: number, length: number): View;
}

/** What one node knows when it runs a program. */
export interface Context {
  readonly memory: Memory;
  /** Where the program's part of the region begins, in bytes: at a page. */
  readonly base: number;
  /** Which node this is, from 0 on. */
  readonly rank: number;
  /** How many nodes take part. */
  readonly nodes: number;
  /** Whether to yield accesses and work. */
  readonly traced: boolean;
  /** Whether to compute. Without it only the steps come, for programs that allow it. */
  readonly computed: boolean;
}

/** A program of one size. */
export interface Program {
  /** Its name, which barriers and mutexes have too. */
  readonly name: string;
  /** Its size, for people. */
  readonly size: string;
  /** What a unit of work is, for people; in the plural. */
  readonly unit: string;
  /** How much of the region it takes, in bytes. */
  readonly bytes: number;
  /** Whether its steps depend on what it computes, so that it must compute to be simulated. */
  readonly dependsOnData: boolean;
  /** Writes what it starts from, each node its share, one node after the other. */
  setup(context: Context): Steps;
  /** What comes before it is measured, so that no page is any more where it was written first. */
  warmUp?(context: Context): Steps;
  /** What is measured. */
  work(context: Context): Steps;
  /**
   * Compares the result with that of a serial computation.
   *
   * @throws {Error} Where they differ.
   */
  check(context: Context): void;
}

/** @returns A read of so many bytes. */
export function reads(byteOffset: number, bytes: number): Touch {
  return { byteOffset, bytes, access: Access.Read };
}

/** @returns A write of so many bytes. */
export function writes(byteOffset: number, bytes: number): Touch {
  return { byteOffset, bytes, access: Access.Write };
}

/** @returns So many bytes in whole pages. */
export function wholePages(bytes: number): number {
  return Math.ceil(bytes / PAGE_SIZE_DEFAULT_BYTES) * PAGE_SIZE_DEFAULT_BYTES;
}

/**
 * Cuts so many things into shares that are as even as can be.
 *
 * @param total How many things.
 * @param context The shares are the nodes; this is one of them.
 * @returns The node's first thing, and the first after its last.
 */
export function shareOf(total: number, { nodes, rank }: Context): [first: number, end: number] {
  return [Math.floor(total * rank / nodes), Math.floor(total * (rank + 1) / nodes)];
}

/**
 * What a node does from beginning to end.
 *
 * @param program The program.
 * @param context The node.
 * @returns Its steps, with a mark on either side of what is measured.
 */
export function* wholeRun(program: Program, context: Context): Steps {
  const barrier = (name: string): Step => ({ kind: "barrier", name: `${program.name}/${name}` });
  // One after the other: which node gets untouched pages would else depend on which is faster.
  for (let turn = 0; turn < context.nodes; turn++) {
    if (turn === context.rank) yield* program.setup(context);
    yield barrier("set up");
  }
  if (program.warmUp !== undefined) {
    yield* program.warmUp(context);
    yield barrier("warm");
  }
  yield { kind: "mark" };
  // Nobody begins before all have taken their mark, nor goes on.
  yield barrier("begin");
  yield* program.work(context);
  yield barrier("end");
  yield { kind: "mark" };
  yield barrier("over");
}

/**
 * Where in one region each of some programs begins. Between two there are as many pages as one miss
 * fetches at most, so that none fetches pages of the next.
 *
 * @param programs The programs.
 * @returns Where each begins and what all take together, in bytes.
 */
export function layOut(programs: readonly Program[]): { bases: number[]; bytes: number } {
  const bases: number[] = [];
  let bytes = 0;
  for (const program of programs) {
    bases.push(bytes);
    bytes += wholePages(program.bytes) + RUN_MAX_PAGES * PAGE_SIZE_DEFAULT_BYTES;
  }
  return { bases, bytes };
}
