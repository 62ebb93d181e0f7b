/**
 * A Worker of a node's program that synchronises with the other threads by words of the region and
 * nothing else. It is sent the node's handle and a task, and answers with the result.
 */

import { attach, type NodeHandle } from "../../../mod.ts";
import { type Primitives, runFutexJob } from "./futex_jobs.ts";

/** What to do. */
export interface FutexTask {
  readonly handle: NodeHandle;
  readonly job: string;
  /** By `node.futex`, or by `Atomics` on shared memory, as code that knows nothing of nodes. */
  readonly by: "futex" | "atomics";
  /** This thread's number among all of them, from 0. */
  readonly thread: number;
  readonly threads: number;
  readonly rounds: number;
}

/** The part of a Worker's global scope that is used here. */
interface WorkerScope {
  onmessage: ((event: MessageEvent<FutexTask>) => void) | null;
  postMessage(answer: unknown): void;
}

const scope = globalThis as unknown as WorkerScope;

scope.onmessage = ({ data: { handle, job, by, thread, threads, rounds } }) => {
  try {
    using node = attach(handle);
    if (by === "atomics") {
      const cells = new Int32Array(node.shared, 0, node.size / 4);
      return scope.postMessage(runFutexJob(job, cells, Atomics, thread, threads, rounds));
    }
    const primitives: Primitives = {
      wait: (view, index, value, timeoutMs) => node.futex.wait(view, index, value, timeoutMs),
      notify: (view, index, count) => node.futex.notify(view, index, count),
    };
    const cells = node.view(Int32Array, 0, node.size / 4);
    scope.postMessage(runFutexJob(job, cells, primitives, thread, threads, rounds));
  } catch (error) {
    scope.postMessage(`${error}`);
  }
};
