/** Starting things on a node in such a way that the directory node knows of them. */

import type { RemoteNode } from "./remote_node.ts";

/**
 * Starts something by which a node asks the directory node, and waits until that has heard of it.
 *
 * @param node The node, whose thread must not block.
 * @param start Starts it.
 * @returns What was started, which may still be under way.
 */
export async function heard<Value>(
  node: RemoteNode,
  start: () => Promise<Value>,
): Promise<{ readonly call: Promise<Value> }> {
  const call = start();
  // Whether it fails is for the test that awaits it, if it does: its node may be ended before.
  call.catch(() => {});
  // Asked behind it on the same way, so this is answered after it was heard.
  await node.evaluate((node) => void node.semaphore(-1n).tryAcquire());
  return { call };
}

/**
 * The code of the error that something ends with.
 *
 * @param call What is to fail.
 * @returns The error's code, and its message; what it resolves to, where it does not fail.
 */
export async function failure(call: Promise<unknown>): Promise<[code: string, message: string]> {
  try {
    return ["no error", JSON.stringify(await call)];
  } catch (error) {
    const { code, name, message } = error as Error & { code?: string };
    return [code ?? name, message];
  }
}
