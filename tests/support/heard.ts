/**
 * Starting requests of a node so that the directory node has received them before the test goes on.
 */

import type { RemoteNode } from "./remote_node.ts";

/**
 * Starts a request of a node to the directory node, and waits until the directory node has received
 * it.
 *
 * @param node The node, whose thread must not block.
 * @param start Starts the request.
 * @returns The request, which may still be under way.
 */
export async function heard<Value>(
  node: RemoteNode,
  start: () => Promise<Value>,
): Promise<{ readonly call: Promise<Value> }> {
  const call = start();
  // The test awaits the request, or ends the node before: then the failure is of no interest.
  call.catch(() => {});
  // Sent after the request on the same connection: an answer says that the request was received.
  await node.evaluate((node) => void node.semaphore(-1n).tryAcquire());
  return { call };
}

/**
 * The code of the error with which a call fails.
 *
 * @param call The call.
 * @returns The error's code and message; the result, where the call does not fail.
 */
export async function failure(call: Promise<unknown>): Promise<[code: string, message: string]> {
  try {
    return ["no error", JSON.stringify(await call)];
  } catch (error) {
    const { code, name, message } = error as Error & { code?: string };
    return [code ?? name, message];
  }
}
