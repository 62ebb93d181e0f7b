/** Has a thread ask the directory's desk by a link of its own, as threads do that often block. */

import type { NodeThread } from "../../../mod.ts";

/** A semaphore that nobody gives permits. */
const UNUSED_KEY = 1_000_000n;

/**
 * Blocks again and again until the thread has a link of its own: what it then asks for is not among
 * the messages that its node counts.
 *
 * @param node The node of the thread, which is not the directory node.
 */
export async function untilOwnLink(node: NodeThread): Promise<void> {
  const sent = async (): Promise<number> => (await node.stats()).messagesSent;
  for (;;) {
    const before = await sent();
    node.semaphore(UNUSED_KEY).tryAcquire();
    if (await sent() === before) return;
  }
}
