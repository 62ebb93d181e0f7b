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

/** What a Worker is sent at first; later orders come by its {@linkcode Cell}. */
export interface ThreadStart {
  readonly parts: ThreadParts;
  readonly cell: SharedArrayBuffer;
}

/** What a Worker tells. */
export type ThreadNews =
  /** The Worker is ready for a thread. */
  | { readonly kind: "ready" }
  /** The thread waits until its {@linkcode Cell} has the answer. */
  | { readonly kind: "call"; readonly call: HomeCall }
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

/**
 * The words by which a Worker gets an order, to execute a thread, and the answer of a call. It
 * blocks for either: to be woken so takes far less time than to be sent a message.
 */
export const Cell = {
  /** Whether there is an order that the Worker has not taken. */
  Ordered: 0,
  /** The thread that is to be executed, by its id. */
  Thread: 1,
  /** What the program has given to be passed on to the thread. */
  Argument: 2,
  /** Whether there is an answer that the Worker has not taken. */
  Answered: 3,
  /** The result of the call. */
  Result: 4,
} as const;
/** How many they are. */
export const CELL_WORDS = 5;

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
