/**
 * Which node the directory node gives up where a home has found one that does not do its part, and
 * why: the reason is for the node that is given up, and for the log.
 */

import { DISPUTED_MAX_BEATS, HEARTBEAT_MS, OWED_MAX_BEATS, SILENCE_MAX_MS } from "../limits.ts";
import type { Default } from "../protocol/coherence/debts.ts";
import { DIRECTORY_NODE, type NodeId } from "../protocol/coherence/messages.ts";

/**
 * Judges. The directory node cannot give up itself: where it is the one in default, the node has to
 * go that has nothing of it.
 *
 * @param home The home that has found the node.
 * @param found The node, and the page that it holds up.
 * @returns The node to give up, and why; the directory node where there is no other.
 */
export function verdictOn(
  home: NodeId,
  { node, page, opponent }: Default,
): { gone: NodeId; reason: string } {
  if (node !== DIRECTORY_NODE && opponent === 0) {
    const reason = `it owes page ${page} for ${SILENCE_MAX_MS} ms, though it lives`;
    return { gone: node, reason };
  }
  const other = opponent === 0 ? home : opponent;
  const [gone, kept] = node === DIRECTORY_NODE ? [other, node] : [node, other];
  const beats = opponent === 0 ? OWED_MAX_BEATS : DISPUTED_MAX_BEATS;
  const reason = `of what nodes ${gone} and ${kept} send each other for page ${page} nothing has ` +
    `arrived for ${beats * HEARTBEAT_MS} ms, so one of the two has to go`;
  return { gone, reason };
}
