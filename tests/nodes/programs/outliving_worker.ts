/**
 * A Worker that goes on using its node when that is closed. Told the node's handle, it says so,
 * blocks, and says what that ended with; told anything else, it says what four calls end with.
 */

import { attach, type AttachedNode, type NodeHandle, TdsmError } from "../../../mod.ts";

/** The part of a Worker's global scope that is used here. */
interface WorkerScope {
  onmessage: ((event: MessageEvent<unknown>) => void) | null;
  postMessage(answer: unknown): void;
}

const scope = globalThis as unknown as WorkerScope;

/** The code of what an action throws. */
async function codeOf(action: () => unknown): Promise<string> {
  try {
    await action();
    return "nothing";
  } catch (error) {
    return error instanceof TdsmError ? error.code : `${error}`;
  }
}

async function afterwards(node: AttachedNode): Promise<string[]> {
  const semaphore = node.semaphore(1n);
  return [
    await codeOf(() => semaphore.acquireSync()),
    await codeOf(() => semaphore.acquire()),
    await codeOf(() => node.stats()),
    await codeOf(() => semaphore.release()),
  ];
}

scope.onmessage = async ({ data }) => {
  const node = attach(data as NodeHandle);
  scope.onmessage = async () => scope.postMessage(await afterwards(node));
  scope.postMessage("attached");
  scope.postMessage(await codeOf(() => node.semaphore(1n).acquireSync()));
};
