/** A thread's node that is neither the one that joined nor an attached one. */

import { beginThread, NodeThread, type NodeThreadParts } from "../../runtime/node/thread.ts";

/** What all threads of a node have, with an engine that is the test's. */
export class BareThread extends NodeThread {
  /** @param parts What it is made of. */
  constructor(parts: NodeThreadParts) {
    super();
    beginThread(this, parts);
  }
}
