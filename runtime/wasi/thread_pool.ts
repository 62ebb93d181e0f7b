/** The Workers of one node, which execute the threads that are placed there. */

import { WASM_IDLE_THREADS } from "../limits.ts";
import { AnswerCell } from "./answer_cell.ts";
import type { HomeNode, ThreadNews, ThreadOrder, ThreadParts, ThreadStart } from "./messages.ts";

/** A Worker, which executes one thread at a time, and takes the next one by itself. */
interface PooledWorker {
  readonly cell: AnswerCell;
  /** Resolves when it waits for a thread. */
  readonly ready: Promise<void>;
}

/**
 * Executes threads on one node. A Worker whose thread has ended takes another one. None of them
 * is ended before the process: Deno cannot end a Worker that blocks or computes in less than two
 * seconds.
 */
export class ThreadPool {
  readonly #parts: ThreadParts;
  readonly #home: HomeNode;
  /** Called when a Worker fails other than by its thread. */
  readonly #failed: (reason: string) => void;

  /**
   * @param parts What the threads have in common.
   * @param home The home node.
   * @param failed Called when a Worker cannot go on, with the reason.
   */
  constructor(parts: ThreadParts, home: HomeNode, failed: (reason: string) => void) {
    this.#parts = parts;
    this.#home = home;
    this.#failed = failed;
  }

  /**
   * Starts Workers ahead of their threads: that takes far longer than to start a thread.
   *
   * @param most The most threads that the node may have.
   * @returns Resolves when they are ready.
   */
  async warm(most: number): Promise<void> {
    const count = Math.min(most, Math.max(WASM_IDLE_THREADS, navigator.hardwareConcurrency));
    const workers = Array.from({ length: count }, () => this.#start());
    await Promise.all(workers.map(({ ready }) => ready));
  }

  /**
   * Executes a thread, for which no Worker waits.
   *
   * @param order The thread.
   */
  execute(order: ThreadOrder): void {
    this.#start(order);
  }

  #start(order?: ThreadOrder): PooledWorker {
    const worker = new Worker(threadScript(import.meta.url), { type: "module" });
    const { promise: ready, resolve } = Promise.withResolvers<void>();
    const cell = new AnswerCell();
    const pooled = { cell, ready };
    worker.onerror = (event) => {
      event.preventDefault();
      const isMissing = event.message.startsWith("Module not found");
      this.#failed(isMissing ? MISSING : event.message);
    };
    worker.onmessage = ({ data }: MessageEvent<ThreadNews>) => {
      switch (data.kind) {
        case "ready":
          return resolve();
        case "call":
          return void this.#answer(pooled, this.#home.call(data.call));
        case "end":
          return this.#home.end(data.end);
        default:
          data satisfies never;
      }
    };
    const start: ThreadStart = { parts: this.#parts, cell: cell.buffer, ...(order && { order }) };
    worker.postMessage(start);
    return pooled;
  }

  async #answer({ cell }: PooledWorker, result: Promise<number>): Promise<void> {
    try {
      cell.answer(await result);
    } catch (error) {
      // The thread stays where it is: the program ends.
      this.#failed(error instanceof Error ? error.message : String(error));
    }
  }
}

/** Why a Worker cannot begin where the runtime is one file. */
const MISSING = "the runtime is one file here, without the script of threads; use the package";
/** The name of this file in a checkout, which no bundle keeps. */
const OWN_NAME = "/runtime/wasi/thread_pool.ts";

/**
 * Finds the script of the Workers.
 *
 * @param url Where this module, or the bundle that it is in, was loaded from.
 * @returns The script's URL.
 */
export function threadScript(url: string): string {
  const name = url.endsWith(OWN_NAME) ? "./worker.ts" : "./runtime/wasi/worker.js";
  return new URL(name, url).href;
}
