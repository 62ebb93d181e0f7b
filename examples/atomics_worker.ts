/** A Worker of the Atomics example: takes numbers from one queue, and puts squares into another. */

import { attach, type NodeHandle } from "@tdsm/runtime";
import { Queue } from "./atomics_queue.ts";

/** What a Worker is told. */
export interface WorkerJob {
  /** The node that it is a thread of. */
  readonly handle: NodeHandle;
  /** Where the two queues are in the region, in bytes. */
  readonly jobs: number;
  readonly results: number;
}

// The other end looks the same: messages come, and go.
const program = self as unknown as Worker;
program.onmessage = ({ data: { handle, jobs, results } }: MessageEvent<WorkerJob>): void => {
  let done = 0;
  {
    // From here on Atomics of this thread wait for threads of other nodes, too.
    using node = attach(handle);
    program.postMessage("started");
    const [from, to] = [new Queue(node.shared, jobs), new Queue(node.shared, results)];
    for (let job = from.take(); job >= 0; job = from.take()) {
      to.put(job * job);
      done++;
    }
  }
  program.postMessage(done);
};
