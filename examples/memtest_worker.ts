/** A Worker of the memory test: adds to a word that Workers of all nodes add to. */

import { attach, type NodeHandle } from "@tdsm/runtime";

/** What a Worker is told. */
export interface WorkerJob {
  /** The node that it is a thread of. */
  readonly handle: NodeHandle;
  /** Where the word is in the region, in bytes. */
  readonly offset: number;
  /** How often it adds 1. */
  readonly additions: number;
}

// The other end looks the same: messages come, and go.
const program = self as unknown as Worker;
program.onmessage = ({ data: { handle, offset, additions } }: MessageEvent<WorkerJob>): void => {
  {
    using node = attach(handle);
    const word = node.view(Int32Array, offset, 1);
    for (let i = 0; i < additions; i++) Atomics.add(word, 0, 1);
  }
  program.postMessage("done");
};
