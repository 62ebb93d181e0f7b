/**
 * The Worker of a program's threads: executes one thread at a time, each in an instance of its own.
 * It blocks while its thread waits, so all that has to go on meanwhile is the main thread's.
 */

import { attach, type AttachedNode } from "../node/attach.ts";
import { CallTaker, postCall } from "../node/thread_calls.ts";
import { openLibrary } from "../../ffi/library.ts";
import { NativeRegion } from "../../ffi/native.ts";
import { TdsmError } from "../errors.ts";
import { WASM_STACK_FRAMES_MAX } from "../limits.ts";
import { AnswerCell } from "./answer_cell.ts";
import {
  ENDED,
  EXECUTE,
  type HomeCall,
  type ProgramEnd,
  type ThreadNews,
  type ThreadOrder,
  type ThreadParts,
  type ThreadStart,
} from "./messages.ts";
import { MAIN_THREAD, Placement } from "./placement.ts";
import { makeThreadImports } from "./thread_imports.ts";
import { trapText } from "./trap.ts";

/** The part of a Worker's global scope that is used here. */
interface WorkerScope {
  onmessage: ((event: MessageEvent<ThreadStart>) => void) | null;
  postMessage(news: ThreadNews): void;
}

/** What the program exports. */
interface ProgramExports {
  readonly _start: () => void;
  readonly wasi_thread_start: (thread: number, argument: number) => void;
}

const scope = globalThis as unknown as WorkerScope;

/** Executes threads. */
class ThreadExecutor {
  readonly #parts: ThreadParts;
  readonly #cell: AnswerCell;
  readonly #node: AttachedNode;
  readonly #imports: WebAssembly.Imports;
  readonly #orders: CallTaker;
  /** Only at the home node. */
  readonly #placement: Placement | undefined;

  constructor(parts: ThreadParts, cell: SharedArrayBuffer) {
    this.#parts = parts;
    this.#cell = new AnswerCell(cell);
    // The imports wait for words of the program's memory; `Atomics` only waits for the cell.
    this.#node = attach(parts.handle, { atomics: false });
    this.#orders = new CallTaker(this.#node, EXECUTE);
    this.#placement = parts.placement && new Placement(parts.placement);
    const { library: path, region: handle } = parts.handle;
    const region = NativeRegion.attach(openLibrary({ path, forProgram: true }), { handle });
    this.#imports = makeThreadImports({
      node: this.#node,
      parts,
      yield: () => region.yield(),
      call: (call) => this.#call(call),
      spawn: (argument, wanted) => this.#spawn(argument, wanted),
      sleep: (ms) => this.#cell.sleep(ms),
      exit: (code) => this.#exit(code),
    });
  }

  /**
   * Executes threads, until one of them has ended the program.
   *
   * @param first The first one; without it, this Worker waits for one.
   * @throws {TdsmError} Why the node cannot go on.
   */
  run(first?: ThreadOrder): void {
    if (first === undefined) {
      this.#orders.ask();
      scope.postMessage({ kind: "ready" });
    }
    for (let order = first ?? this.#nextOrder();; order = this.#nextOrder()) {
      const end = this.#execute(order);
      if (end !== undefined) return scope.postMessage({ kind: "end", end });
      // Before the thread's place is free for another one, which this Worker is to execute.
      this.#orders.ask();
      this.#ended(order.thread);
    }
  }

  #nextOrder(): ThreadOrder {
    const [thread, argument] = this.#orders.next() as number[];
    return { thread: thread!, argument: argument! };
  }

  /** A thread has ended. */
  #ended(thread: number): void {
    this.#placement?.free(thread);
    if (this.#placement?.isHeld === false) return;
    postCall(this.#node, this.#parts.nodes[0]!, ENDED, [thread]);
  }

  /** Starts a thread; returns its id, or a negative error number. */
  #spawn(argument: number, wanted: number): number {
    const placement = this.#placement;
    const placed = placement?.isHeld === false ? placement.place(wanted || undefined) : undefined;
    if (placed === undefined) return this.#call({ name: "spawn", args: [argument, wanted] });
    postCall(this.#node, placed.node, EXECUTE, [placed.thread, argument]);
    return placed.thread;
  }

  /** Executes a thread; returns how it has ended the program, if it has. */
  #execute({ thread, argument }: ThreadOrder): ProgramEnd | undefined {
    let exports: ProgramExports | undefined;
    try {
      const instance = new WebAssembly.Instance(this.#parts.module, this.#imports);
      exports = instance.exports as unknown as ProgramExports;
      if (thread !== MAIN_THREAD) {
        exports.wasi_thread_start(thread, argument);
        return undefined;
      }
      exports._start();
      return { kind: "exit", code: 0 };
    } catch (error) {
      if (error instanceof TdsmError) {
        return { kind: "failed", code: error.code, text: error.message };
      }
      const place = { thread, node: this.#node.id, started: exports !== undefined };
      return { kind: "trap", text: trapText(error, place, this.#parts.module) };
    }
  }

  /** Ends the program. The thread stays where it is: its process ends. */
  #exit(code: number): never {
    scope.postMessage({ kind: "end", end: { kind: "exit", code } });
    this.#cell.stay();
  }

  #call(call: HomeCall): number {
    scope.postMessage({ kind: "call", call });
    return this.#cell.take();
  }
}

scope.onmessage = ({ data: { parts, cell, order } }) => {
  Error.stackTraceLimit = WASM_STACK_FRAMES_MAX;
  // In the engine's own words: Deno's leave out which function of a module it is.
  Error.prepareStackTrace = (_, sites) => sites.map((site) => `    at ${site}`).join("\n");
  try {
    new ThreadExecutor(parts, cell).run(order);
  } catch (error) {
    if (!(error instanceof TdsmError)) throw error;
    // The program has ended, and its node with it.
    if (error.code === "NodeClosed") return;
    // The node cannot go on, so that no thread can begin.
    const end = { kind: "failed", code: error.code, text: error.message } as const;
    scope.postMessage({ kind: "end", end });
  }
};
