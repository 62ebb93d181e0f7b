/** A thread's node that is neither the one that joined nor an attached one. */

import { beginThread, NodeThread, type NodeThreadParts } from "../../runtime/node/thread.ts";

/** A thread of a node, with an engine that the test plays. */
export class BareThread extends NodeThread {
  /** @param parts What it is made of. */
  constructor(parts: NodeThreadParts) {
    super();
    beginThread(this, parts);
  }
}
