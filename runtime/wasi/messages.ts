/** What a thread of a program, a Worker, and the main thread of its node say to each other. */

import type { TdsmErrorCode } from "../errors.ts";
import type { NodeHandle } from "../node/node.ts";
import type { WasmMemory } from "../node/wasm_imports.ts";
import type { HomeFunction } from "./functions.ts";
import type { MemoryImport } from "./program.ts";

/** The id of the thread that executes `_start`. */
export const MAIN_THREAD = 0;

/** What threads of a program have in common. */
export interface ThreadParts {
  readonly handle: NodeHandle;
  readonly module: WebAssembly.Module;
  readonly memory: WasmMemory;
  readonly memoryImport: MemoryImport;
  /** The ids of the nodes that threads are placed on. */
  readonly nodes: readonly number[];
  /** What to add to this machine's clock for that of the home node, in nanoseconds. */
  readonly clockOffsetNs: bigint;
}

/** What a Worker is told. */
export type ThreadOrder =
  /** Get ready for threads. */
  | { readonly kind: "begin"; readonly parts: ThreadParts; readonly cell: SharedArrayBuffer }
  /** Execute a thread; of {@linkcode MAIN_THREAD}, `_start`. */
  | { readonly kind: "execute"; readonly thread: number; readonly argument: number };

/** What a Worker tells. */
export type ThreadNews =
  /** The Worker is ready for a thread. */
  | { readonly kind: "ready" }
  /** The thread waits until its {@linkcode Cell} has the answer. */
  | { readonly kind: "call"; readonly thread: number; readonly call: HomeCall }
  /** The thread has ended, and the Worker is ready for another one. */
  | { readonly kind: "ended"; readonly thread: number }
  /** The program is to end; this thread has. */
  | { readonly kind: "end"; readonly end: ProgramEnd };

/** A call that the home node executes. */
export interface HomeCall {
  readonly name: HomeFunction | "spawn";
  readonly args: readonly (number | bigint)[];
}

/** How a program ends by itself. */
export type ProgramEnd =
  /** It has returned from `_start`, or called `proc_exit`. */
  | { readonly kind: "exit"; readonly code: number }
  /** A thread has trapped; the text says which, where, and why. */
  | { readonly kind: "trap"; readonly text: string }
  /** The node of a thread cannot go on, and so the thread cannot. */
  | { readonly kind: "failed"; readonly code: TdsmErrorCode; readonly text: string };

/** The words by which a thread that waits for the home node gets the answer. */
export const Cell = { State: 0, Result: 1 } as const;
/** How many they are. */
export const CELL_WORDS = 2;
/** The values of the word {@linkcode Cell}`.State`. */
export const CellState = { Waiting: 0, Answered: 1 } as const;

/** The home node, as threads of any node see it. */
export interface HomeNode {
  /**
   * Executes a call.
   *
   * @param call What to execute; addresses are those of the program's memory.
   * @returns The function's result.
   */
  call(call: HomeCall): Promise<number>;
  /** A thread has ended. */
  ended(thread: number): void;
  /** The program ends. */
  end(end: ProgramEnd): void;
}
