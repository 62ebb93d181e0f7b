/** Threads of several nodes that do a job of `programs/futex_jobs.ts` together. */

import type { RemoteNode } from "../support/process_cluster.ts";
import type { JobCounts } from "./programs/futex_jobs.ts";
import type { FutexTask } from "./programs/futex_worker.ts";

const WORKER = new URL("programs/futex_worker.ts", import.meta.url).href;

/**
 * Has Workers of all nodes do a job together.
 *
 * @param nodes The nodes.
 * @param workers How many Workers each has.
 * @param job The job's name.
 * @param rounds How often each does it.
 * @param by What the Workers wait and notify by.
 * @returns What each Worker has counted.
 */
export async function perform(
  nodes: readonly RemoteNode[],
  workers: number,
  job: string,
  rounds: number,
  by: FutexTask["by"] = "futex",
): Promise<JobCounts[]> {
  const threads = nodes.length * workers;
  const found = await Promise.all(nodes.map((node, index) =>
    node.evaluate(
      async (node, url, workers, job, by, first, threads, rounds) => {
        const all = Array.from({ length: workers }, () => new Worker(url, { type: "module" }));
        const answers = all.map((worker, at) => {
          const { promise, resolve, reject } = Promise.withResolvers<unknown>();
          worker.onmessage = ({ data }) => resolve(data);
          worker.onerror = (event) => reject(new Error(event.message));
          const thread = first + at;
          const task: FutexTask = { handle: node.handle, job, by, thread, threads, rounds };
          worker.postMessage(task);
          return promise;
        });
        const counts = await Promise.all(answers);
        for (const worker of all) worker.terminate();
        return counts;
      },
      WORKER,
      workers,
      job,
      by,
      index * workers,
      threads,
      rounds,
    )
  ));
  const answers = found.flat() as (JobCounts | string)[];
  const failed = answers.find((answer) => typeof answer === "string");
  if (failed !== undefined) throw new Error(`A Worker failed: ${failed}`);
  return answers as JobCounts[];
}

/**
 * Adds up one of the counts.
 *
 * @param counts What each Worker has counted.
 * @param name Which count.
 * @returns The sum.
 */
export function sumOf(counts: readonly JobCounts[], name: keyof JobCounts): number {
  return counts.reduce((sum, own) => sum + own[name], 0);
}
