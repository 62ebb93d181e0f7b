/** How `scanner.ts` tells its Workers, on both nodes, which threads to execute. */

import type { NodeHandle, WasmMemory } from "../../../mod.ts";

/** How many threads rayon has, on all nodes. */
export const SCANNER_THREADS = 4;

/** The cells of the orders. */
export const Cell = {
  /** How many threads were started. */
  Threads: 0,
  /** Where the first place begins, and how many cells each has. */
  First: 1,
  Each: 3,
  /** The cells of a place: the thread's id, what it is given, and the node on which it ran. */
  Thread: 0,
  Argument: 1,
  Node: 2,
} as const;

/** How many cells there are. */
export const ORDERS: number = Cell.First + SCANNER_THREADS * Cell.Each;

/** The key of the semaphore at which the Worker of a place waits. */
export function semaphoreOf(place: number): bigint {
  return BigInt(1 + place);
}

/** What a Worker is sent. */
export interface WorkerTask {
  readonly handle: NodeHandle;
  readonly shared: WasmMemory;
  readonly module: WebAssembly.Module;
  readonly place: number;
  /** Where the orders are in the region, in bytes. */
  readonly orders: number;
}
