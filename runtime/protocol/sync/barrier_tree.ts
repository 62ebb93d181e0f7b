/**
 * The shape of the trees by which the nodes of a large barrier gather. A node that has to take, or
 * to send, several messages does so one after the other, so a child that is served early has time
 * for more nodes below it: these are k-nomial trees, as collective operations use them.
 */

import type { NodeId } from "../coherence/messages.ts";

/** The place of a node in a tree. */
export interface TreePlace {
  /** The node to which this one reports; `undefined` for the root. */
  readonly parent: NodeId | undefined;
  /** The nodes that report to this one, the one with the most nodes below it first. */
  readonly children: readonly NodeId[];
}

/**
 * Gives nodes their places. In digits of the radix, the index of a node's parent is its own with
 * the last digit that is not 0 set to 0.
 *
 * @param nodes The nodes, the root first.
 * @param radix At least 2; of each size of subtree a node has one child fewer.
 * @returns The place of each node.
 */
export function treePlaces(nodes: readonly NodeId[], radix: number): Map<NodeId, TreePlace> {
  return new Map(nodes.map((node, index) => {
    let span = 1;
    while (index === 0 ? span < nodes.length : index % (span * radix) === 0) span *= radix;
    const digit = Math.floor(index / span) % radix;
    const parent = index === 0 ? undefined : nodes[index - digit * span];
    const children: NodeId[] = [];
    for (let size = span / radix; size >= 1; size /= radix) {
      for (let child = 1; child < radix; child++) {
        const at = index + child * size;
        if (at < nodes.length) children.push(nodes[at]!);
      }
    }
    return [node, { parent, children }];
  }));
}
