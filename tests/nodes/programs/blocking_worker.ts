/** A Worker that blocks at the directory's desk by a link of its own. */

import { attach, type NodeHandle, TdsmError } from "../../../mod.ts";
import { untilOwnLink } from "./own_link.ts";

/** What to do, once the thread has a link of its own. */
export interface Blocking {
  readonly handle: NodeHandle;
  readonly doing:
    /** Say so, wait for a permit of semaphore 9, and say how that ended. */
    | "acquire"
    /** Say so with mutex "held", and end without a word. */
    | "lock"
    /** Add 1 to the first cell so many times, under mutex "cells", and say so. */
    | "count";
  /** How many times. */
  readonly count: number;
}

/** The part of a Worker's global scope that is used here. */
interface WorkerScope {
  onmessage: ((event: MessageEvent<Blocking>) => void) | null;
  postMessage(answer: unknown): void;
}

const scope = globalThis as unknown as WorkerScope;

scope.onmessage = async ({ data: { handle, doing, count } }) => {
  const node = attach(handle);
  await untilOwnLink(node);
  switch (doing) {
    case "acquire":
      scope.postMessage("waits");
      try {
        node.semaphore(9n).acquireSync();
        return scope.postMessage("acquired");
      } catch (error) {
        if (!(error instanceof TdsmError)) throw error;
        return scope.postMessage(error.code);
      }
    case "lock":
      node.mutex("held").lockSync();
      return scope.postMessage("locked");
    case "count": {
      // Nobody else's additions are lost, though each reads and then writes.
      const cells = node.view(Int32Array, 0, 1);
      for (let time = 0; time < count; time++) {
        using _lock = node.mutex("cells").lockSync();
        cells[0]! += 1;
      }
      node.detach();
      return scope.postMessage("counted");
    }
  }
};
