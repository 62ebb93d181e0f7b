/**
 * A Worker of a node's program. It is sent the node's handle and a task, and answers with the
 * result.
 */

import { attach, type NodeHandle } from "../../../mod.ts";
import type { Procedures } from "./procedures.ts";
import "./procedures.ts";

/** What to do, and with what. */
export interface Task {
  readonly handle: NodeHandle;
  readonly action: "count" | "call" | "allocate";
  /** How many rounds; or the node to call. */
  readonly count: number;
}

declare const procedures: Procedures;

async function perform({ handle, action, count }: Task): Promise<unknown> {
  using node = attach(handle);
  switch (action) {
    case "count": {
      const [word, plain] = [node.view(Int32Array, 0, 1), node.view(Int32Array, 4096, 1)];
      const mutex = node.mutex("plain");
      for (let round = 0; round < count; round++) {
        for (let time = 0; time < 100; time++) Atomics.add(word, 0, 1);
        using _lock = round % 2 === 0 ? mutex.lockSync() : await mutex.lock();
        plain[0]! += 1;
      }
      return node.id;
    }
    case "call": {
      const view = node.view(Int32Array, 8192, 4);
      await procedures.bumpRows.on(count)({ name: "", rows: [view] });
      return [await procedures.processId.on(count)(), ...view];
    }
    case "allocate": {
      const cells = await node.alloc(Int32Array, 2_000);
      cells.fill(count);
      const shared = await node.alloc(Int32Array, 10, { name: "shared" });
      Atomics.add(shared, 0, 1);
      return [node.offsetOf(cells), node.offsetOf(shared)];
    }
  }
}

/** The part of a Worker's global scope that is used here. */
interface WorkerScope {
  onmessage: ((event: MessageEvent<Task>) => void) | null;
  postMessage(answer: unknown): void;
}

const scope = globalThis as unknown as WorkerScope;

scope.onmessage = async ({ data }) => {
  scope.postMessage(await perform(data).catch((error: unknown) => `${error}`));
};
