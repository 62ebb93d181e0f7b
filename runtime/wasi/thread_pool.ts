/** The Workers of one node, which execute the threads that are placed there. */

import { WASM_IDLE_THREADS } from "../limits.ts";
import {
  Cell,
  CELL_WORDS,
  CellState,
  type HomeNode,
  type ThreadNews,
  type ThreadOrder,
  type ThreadParts,
} from "./messages.ts";

/** A Worker, which executes one thread at a time. */
interface PooledWorker {
  readonly worker: Worker;
  readonly cell: Int32Array<SharedArrayBuffer>;
  /** Resolves when it can execute a thread. */
  readonly ready: Promise<void>;
}

/** Executes threads on one node. A Worker whose thread has ended executes another one. */
export class ThreadPool implements Disposable {
  readonly #parts: ThreadParts;
  readonly #home: HomeNode;
  /** Called when a Worker fails other than by its thread. */
  readonly #failed: (reason: string) => void;
  readonly #workers = new Set<PooledWorker>();
  readonly #idle: PooledWorker[] = [];

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
    this.#idle.push(...workers);
    await Promise.all(workers.map(({ ready }) => ready));
  }

  /**
   * Executes a thread.
   *
   * @param thread The thread's id.
   * @param argument What the program gave to be passed on to the thread.
   */
  async execute(thread: number, argument: number): Promise<void> {
    const pooled = this.#idle.pop() ?? this.#start();
    await pooled.ready;
    tell(pooled, { kind: "execute", thread, argument });
  }

  /** Ends all threads. */
  [Symbol.dispose](): void {
    for (const { worker } of this.#workers) worker.terminate();
    this.#workers.clear();
    this.#idle.length = 0;
  }

  #start(): PooledWorker {
    const worker = new Worker(threadScript(import.meta.url), { type: "module" });
    const { promise: ready, resolve } = Promise.withResolvers<void>();
    const buffer = new SharedArrayBuffer(CELL_WORDS * Int32Array.BYTES_PER_ELEMENT);
    const pooled = { worker, cell: new Int32Array(buffer), ready };
    this.#workers.add(pooled);
    worker.onerror = (event) => {
      event.preventDefault();
      this.#failed(event.message);
    };
    worker.onmessage = ({ data }: MessageEvent<ThreadNews>) => {
      switch (data.kind) {
        case "ready":
          return resolve();
        case "call":
          return void this.#answer(pooled, this.#home.call(data.call));
        case "ended":
          this.#idle.push(pooled);
          return this.#home.ended(data.thread);
        case "end":
          return this.#home.end(data.end);
        default:
          data satisfies never;
      }
    };
    tell(pooled, { kind: "begin", parts: this.#parts, cell: buffer });
    return pooled;
  }

  async #answer({ cell }: PooledWorker, result: Promise<number>): Promise<void> {
    try {
      Atomics.store(cell, Cell.Result, await result);
    } catch (error) {
      // The thread stays where it is: the program ends.
      return this.#failed(error instanceof Error ? error.message : String(error));
    }
    Atomics.store(cell, Cell.State, CellState.Answered);
    Atomics.notify(cell, Cell.State);
  }
}

function tell({ worker }: PooledWorker, order: ThreadOrder): void {
  worker.postMessage(order);
}

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
