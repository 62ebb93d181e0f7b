/**
 * Runs litmus tests on real nodes: processes with threads in them, over loopback.
 *
 * Many instances of a test lie in the region at once, and each thread walks over all of them with
 * waits of random length before its accesses; barriers are only between batches, but for placements
 * that go in step. For each batch
 * chance says which thread plays which part, and which nodes have copies of the pages.
 */

import { ProcessCluster } from "../support/process_cluster.ts";
import { Crew } from "./crew.ts";
import type { Histogram } from "./histogram.ts";
import { PAGE_BYTES, type Placement, REGION_BYTES } from "./placements.ts";
import { type Job, planBatch } from "./plan.ts";
import { registersOf } from "./program.ts";
import { unpackValues } from "./thread_code.ts";
import type { WorkerTask } from "./worker.ts";

/** Where the threads are. There are four, as many as the largest test needs. */
export interface Topology {
  /** Its name. */
  readonly name: string;
  /** How many nodes, each a process. */
  readonly nodes: number;
  /** How many threads on each. */
  readonly threadsPerNode: number;
}

/** Every topology: the threads on nodes of their own, or several of them on one. */
export const TOPOLOGIES: readonly Topology[] = [
  { name: "4 nodes x 1 thread", nodes: 4, threadsPerNode: 1 },
  { name: "2 nodes x 2 threads", nodes: 2, threadsPerNode: 2 },
  { name: "1 node x 4 threads", nodes: 1, threadsPerNode: 4 },
];

/** So many runs are asked for at once: a call to a node is bounded in time. */
const CHUNK_RUNS = 4_096;

/** Nodes that run litmus tests. */
export class RealNodes implements AsyncDisposable {
  /** How often they were called; all that they have answered is kept, and looked through. */
  calls = 0;
  readonly #cluster: ProcessCluster;
  readonly #crew: Crew<WorkerTask>;
  readonly #directory: string;

  private constructor(cluster: ProcessCluster, crew: Crew<WorkerTask>, directory: string) {
    this.#cluster = cluster;
    this.#crew = crew;
    this.#directory = directory;
  }

  /**
   * Starts the nodes.
   *
   * @param topology How many, and with how many threads.
   * @param flags More flags for the directory node.
   * @returns The nodes.
   */
  static async start(topology: Topology, ...flags: string[]): Promise<RealNodes> {
    await using started = new AsyncDisposableStack();
    const cluster = started.use(new ProcessCluster());
    const sizes = [`--size=${REGION_BYTES}`, `--page-size=${PAGE_BYTES}`];
    const nodes = await cluster.start(topology.nodes, ...sizes, ...flags);
    const url = new URL("worker.ts", import.meta.url).href;
    const crew = await Crew.start<WorkerTask>(nodes, topology.threadsPerNode, url);
    const directory = await Deno.makeTempDir({ prefix: "tdsm-litmus-" });
    started.move();
    return new RealNodes(cluster, crew, directory);
  }

  /**
   * Runs a test at least so many times.
   *
   * @param histogram Of the test; is given every outcome.
   * @param placement Where the words are.
   * @param atomic Whether loads and stores are `Atomics`.
   * @param iterations How many runs; whole batches are run.
   * @param seed What chance starts from.
   */
  async run(
    histogram: Histogram,
    placement: Placement,
    atomic: boolean,
    iterations: number,
    seed: number,
  ): Promise<void> {
    for (let done = 0; done < iterations;) {
      const runs = Math.min(CHUNK_RUNS, iterations - done);
      const instances = Math.min(placement.instancesMax, runs);
      const batches = Math.ceil(runs / instances);
      const { name: test } = histogram.test;
      const slots = this.#crew.size;
      const chunkSeed = (seed + done) >>> 0;
      const job = {
        test,
        placement: placement.name,
        atomic,
        seed: chunkSeed,
        batches,
        instances,
        slots,
      };
      await this.#runJob(histogram, job);
      done += batches * instances;
    }
  }

  async #runJob(histogram: Histogram, job: Job): Promise<void> {
    const tasks = Array.from({ length: job.slots }, (_, slot) => {
      return { job, slot, file: `${this.#directory}/slot${slot}` };
    });
    this.calls++;
    await this.#crew.run(tasks);
    const results = await Promise.all(tasks.map(({ file }) => Deno.readFile(file)));
    const { threads, finals } = histogram.test;
    const { batches, instances } = job;
    const runs = batches * instances;
    for (let batch = 0; batch < batches; batch++) {
      const { slotOf } = planBatch(job, batch);
      const { preparer: reader } = planBatch(job, batch + 1);
      for (let run = batch * instances; run < (batch + 1) * instances; run++) {
        const registers = threads.flatMap((thread, index) =>
          unpackValues(results[slotOf[index]!]![run]!, registersOf(thread))
        );
        const rest = unpackValues(results[reader]![runs + run]!, finals.length);
        histogram.add([...registers, ...rest]);
      }
    }
  }

  /** Ends the nodes. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#cluster[Symbol.asyncDispose]();
    await Deno.remove(this.#directory, { recursive: true });
  }
}
