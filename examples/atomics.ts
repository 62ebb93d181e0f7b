// Code that knows nothing of nodes, on several of them: a queue of nothing but a SharedArrayBuffer
// and the standard Atomics (examples/atomics_queue.ts) hands out work to Workers of all nodes,
// which wait in Atomics.wait.
//
//   ./tdsm launch -n 3 --allow-read examples/atomics.ts
import { type Node, run } from "@tdsm/runtime";
import { Queue, QUEUE_BYTES } from "./atomics_queue.ts";
import type { WorkerJob } from "./atomics_worker.ts";

const JOBS = 2_000;
const WORKERS = 2;
const END = -1;

/** What becomes of a Worker: it is at work, and later it has done so many jobs. */
function work(job: WorkerJob): { started: Promise<void>; done: Promise<number> } {
  const url = new URL("atomics_worker.ts", import.meta.url);
  const worker = new Worker(url, { type: "module" });
  const [started, done] = [Promise.withResolvers<void>(), Promise.withResolvers<number>()];
  worker.onmessage = ({ data }) => data === "started" ? started.resolve() : done.resolve(data);
  worker.onerror = (event) => {
    event.preventDefault(); // run tells it, and so not Deno as well
    done.reject(event);
  };
  worker.postMessage(job);
  return { started: started.promise, done: done.promise.finally(() => worker.terminate()) };
}

async function main(node: Node): Promise<void> {
  const nodes = node.peers().length + 1;
  const [jobs, results] = [
    await node.alloc(Int32Array, QUEUE_BYTES / 4, { name: "jobs" }),
    await node.alloc(Int32Array, QUEUE_BYTES / 4, { name: "results" }),
  ].map((cells) => node.offsetOf(cells)) as [number, number];
  const job: WorkerJob = { handle: node.handle, jobs, results };
  const workers = Array.from({ length: WORKERS }, () => work(job));
  // This thread hears of a Worker that cannot start only as long as it does not sleep.
  await Promise.all(workers.map(({ started, done }) => Promise.race([started, done])));
  if (node.id === 1) {
    // This thread sleeps in Atomics.wait as well, where a queue is full or empty.
    const [to, from] = [new Queue(node.shared, jobs), new Queue(node.shared, results)];
    let [put, sum] = [0, 0];
    for (let taken = 0; taken < JOBS; taken++) {
      while (put < JOBS && put < taken + 8) to.put(put++);
      sum += from.take();
    }
    for (let end = 0; end < nodes * WORKERS; end++) to.put(END);
    const expected = (JOBS - 1) * JOBS * (2 * JOBS - 1) / 6;
    if (sum !== expected) throw new Error(`The squares add up to ${sum}, not to ${expected}`);
    console.log(`${JOBS} squares by Workers of ${nodes} nodes add up to ${sum}`);
  }
  const counts = await Promise.all(workers.map(({ done }) => done));
  console.log(`My Workers did ${counts.join(" and ")} of them`);
  console.log("OK");
}

await run(main, { programFlags: [] });
