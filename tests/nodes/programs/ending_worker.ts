/**
 * A Worker that ends, or is ended, in the midst of something: it never detaches. Told the node's
 * handle and what to do, it says which thread it is, for the kernel, when it does that.
 */

import { attach, type NodeHandle } from "../../../mod.ts";

/** What to do. */
export interface Ending {
  readonly handle: NodeHandle;
  readonly doing:
    /** Close itself at once. */
    | "close"
    /** Wait until it is terminated. */
    | "idle"
    /** Throw an error. */
    | "throw"
    /** Count on a page that other nodes count on too. */
    | "count"
    /** Await a permit of semaphore 9. */
    | "acquire"
    /** Hold mutex "held". */
    | "lock"
    /** Wait at barrier "phase" of two, with mutex "held". */
    | "barrier";
}

/** The part of a Worker's global scope that is used here. */
interface WorkerScope {
  onmessage: ((event: MessageEvent<Ending>) => void) | null;
  postMessage(answer: unknown): void;
  close(): void;
}

const scope = globalThis as unknown as WorkerScope;

scope.onmessage = async ({ data: { handle, doing } }) => {
  const node = attach(handle);
  const cells = node.view(Int32Array, 0, 1);
  const { gettid } = Deno.dlopen("libc.so.6", {
    gettid: { parameters: [], result: "i32" },
  }).symbols;
  const say = (): void => scope.postMessage(gettid());
  switch (doing) {
    case "close":
      Atomics.add(cells, 0, 1);
      say();
      return scope.close();
    case "idle":
      Atomics.add(cells, 0, 1);
      return say();
    case "throw":
      say();
      throw new Error("planted");
    case "count":
      say();
      for (;;) Atomics.add(cells, 0, 1);
    case "acquire":
      say();
      return await node.semaphore(9n).acquire();
    case "lock":
      await node.mutex("held").lock();
      return say();
    case "barrier":
      await node.mutex("held").lock();
      say();
      return await node.barrier("phase", 2).wait();
  }
};
