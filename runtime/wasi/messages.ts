/** What a thread of a program, a Worker, and the main thread of its node say to each other. */

import type { TdsmErrorCode } from "../errors.ts";
import type { NodeHandle } from "../node/node.ts";
import type { WasmMemory } from "../node/wasm_imports.ts";
import type { HomeFunction } from "./functions.ts";
import type { PlacementParts } from "./placement.ts";
import type { MemoryImport } from "./program.ts";

/**
 * The procedure by which a node is to execute a thread, of an id and with what the program has
 * given for it: one of the node's Workers takes the call or, where all are busy, its main thread.
 */
export const EXECUTE = "tdsm.wasm.execute";
/** The procedure of the home node that is told of a thread that has ended, by its id. */
export const ENDED = "tdsm.wasm.ended";

/** What threads of a program have in common. */
export interface ThreadParts {
  readonly handle: NodeHandle;
  readonly module: WebAssembly.Module;
  readonly memory: WasmMemory;
  readonly memoryImport: MemoryImport;
  /** The ids of the nodes that threads are placed on. */
  readonly nodes: readonly number[];
  /** How threads of the home node place others; left out elsewhere. */
  readonly placement?: PlacementParts;
  /** What to add to this machine's clock for that of the home node, in nanoseconds. */
  readonly clockOffsetNs: bigint;
}

/** A thread that is to be executed. */
export interface ThreadOrder {
  /** Its id. */
  readonly thread: number;
  /** What the program has given to be passed on to it. */
  readonly argument: number;
}

/** What a Worker is sent at first; later orders are calls of {@linkcode EXECUTE}. */
export interface ThreadStart {
  readonly parts: ThreadParts;
  readonly cell: SharedArrayBuffer;
  /** The first thread; without it, the Worker waits for one. */
  readonly order?: ThreadOrder;
}

/** What a Worker tells. */
export type ThreadNews =
  /** The Worker waits for a thread. */
  | { readonly kind: "ready" }
  /** The thread waits until its `AnswerCell` has the answer. */
  | { readonly kind: "call"; readonly call: HomeCall }
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

/** The home node, as threads of any node see it. */
export interface HomeNode {
  /**
   * Executes a call.
   *
   * @param call What to execute; addresses are those of the program's memory.
   * @returns The function's result.
   */
  call(call: HomeCall): Promise<number>;
  /** The program ends. */
  end(end: ProgramEnd): void;
}
