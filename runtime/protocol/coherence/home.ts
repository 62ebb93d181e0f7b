/**
 * Which node is the home of a page: the point of order for everything that happens to it.
 */

import type { NodeId } from "./messages.ts";

/** The node that hosts the directory is the first to join. */
export const DIRECTORY_NODE: NodeId = 1;

/**
 * The home of a page.
 *
 * @param _page The page's number.
 * @returns The node's id: the directory's node for every page, until homes are spread.
 */
export function homeOf(_page: number): NodeId {
  return DIRECTORY_NODE;
}
