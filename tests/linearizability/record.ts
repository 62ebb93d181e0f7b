/** Records what threads of real nodes do to a few words, with times that all of them share. */

import { ProcessCluster, type RemoteNode } from "../support/process_cluster.ts";
import { Crew } from "../litmus/crew.ts";
import { Clock } from "./clock.ts";
import { History } from "./history.ts";
import type { WorkerTask } from "./worker.ts";

/** How many nodes, each a process. */
export const NODES = 3;
/** How many threads each has. */
export const THREADS_PER_NODE = 4;
/** How many operations a thread makes between two barriers. */
const ROUND_OPERATIONS = 40;
/** So many rounds are asked for at once: a call to a node is bounded in time. */
const CHUNK_ROUNDS = 100;
const REGION_BYTES = 1 << 20;
const PAGE_WORDS = 1024;

/** The words: two neighbours and one farther away on a page, and five on pages of their own. */
export const WORDS: readonly number[] = [0, 1, 512, ...[1, 2, 3, 7, 20].map((p) => p * PAGE_WORDS)];

/** What was recorded. */
export interface Recording {
  /** The operations, word by word. */
  readonly history: History;
  /** How many pages nodes received from each other. */
  readonly pagesReceived: number;
}

async function countPages(nodes: readonly RemoteNode[]): Promise<number> {
  const all = await Promise.all(
    nodes.map((node) => node.evaluate((node) => Number(node.stats().pagesReceived))),
  );
  return all.reduce((sum, pages) => sum + pages, 0);
}

/**
 * Runs three nodes with four threads each.
 *
 * @param operations How many operations in all, at least.
 * @param seed What chance starts from.
 * @param flags More flags of the directory node.
 * @returns What they did.
 */
export async function record(
  operations: number,
  seed: number,
  flags: readonly string[] = [],
): Promise<Recording> {
  await using cluster = new ProcessCluster();
  await using directory = new TempDirectory();
  const sizes = [`--size=${REGION_BYTES}`, "--page-size=4096"];
  const nodes = await cluster.start(NODES, ...sizes, ...flags);
  const url = new URL("worker.ts", import.meta.url).href;
  const crew = await Crew.start<WorkerTask>(nodes, THREADS_PER_NODE, url);
  const history = new History(WORDS.length);
  using clock = new Clock();
  for (let chunk = 0; history.size < operations; chunk++) {
    const left = Math.ceil((operations - history.size) / (crew.size * ROUND_OPERATIONS));
    const tasks = Array.from({ length: crew.size }, (_, thread): WorkerTask => ({
      thread,
      threads: crew.size,
      words: WORDS,
      rounds: Math.min(CHUNK_ROUNDS, left),
      operations: ROUND_OPERATIONS,
      seed: (seed + Math.imul(chunk, 0x01000193)) >>> 0,
      startSeconds: clock.startSeconds,
      file: `${directory.path}/thread${thread}`,
    }));
    await crew.run(tasks);
    for (const { thread, file } of tasks) {
      const { buffer } = await Deno.readFile(file);
      history.add(thread, new Float64Array(buffer));
    }
  }
  return { history, pagesReceived: await countPages(nodes) };
}

class TempDirectory implements AsyncDisposable {
  readonly path = Deno.makeTempDirSync({ prefix: "tdsm-history-" });

  async [Symbol.asyncDispose](): Promise<void> {
    await Deno.remove(this.path, { recursive: true });
  }
}
