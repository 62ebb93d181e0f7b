/** What the Workers of a crew have in common: they attach once, and do one task after the other. */

import { attach, type AttachedNode } from "../../mod.ts";
import type { CrewMessage } from "./crew.ts";

/** The part of a Worker's global scope that is used here. */
interface WorkerScope<Task> {
  onmessage: ((event: MessageEvent<CrewMessage<Task>>) => void) | null;
  postMessage(answer: unknown): void;
}

/**
 * Does the tasks that are sent to this Worker.
 *
 * @param work Does one.
 */
export function serveCrew<Task>(work: (node: AttachedNode, task: Task) => void): void {
  const scope = globalThis as unknown as WorkerScope<Task>;
  let node: AttachedNode | undefined;
  scope.onmessage = ({ data: { handle, task } }) => {
    node ??= attach(handle);
    work(node, task);
    scope.postMessage("done");
  };
}
