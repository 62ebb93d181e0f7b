/**
 * Has twelve threads of three nodes wait for words and notify, many times, and compares counts: a
 * wake-up that is lost leaves a thread waiting for ever, or the two sums of wake-ups differ.
 */

import { ProcessCluster, type RemoteNode } from "../support/process_cluster.ts";
import { ToolFlags } from "../support/tool_flags.ts";
import { perform, sumOf } from "./perform_futex_job.ts";
import type { JobCounts } from "./programs/futex_jobs.ts";

const NODES = 3;
const WORKERS = 4;
const THREADS = NODES * WORKERS;
const CALLS_DEFAULT = 100_000;
/** How long one job of `ROUNDS` may take, in milliseconds: a lost wake-up takes for ever. */
const JOB_MAX_MS = 900_000;
/** How often each thread does a job before the counts are compared. */
const ROUNDS = { turns: 50, mutex: 1_000, queue: 200, barrier: 100 };
/** Where `programs/futex_jobs.ts` has the plain counter and the turn, in bytes. */
const [PLAIN, TURN] = [1025 * 4, 0];

const HELP =
  `Has ${THREADS} threads of ${NODES} nodes wait for words and notify, and compares counts.

Usage: ./tdsm deno run -A tests/nodes/futex_main.ts [--calls N]

  --calls N  how many waits and notifies in all, at least; ${CALLS_DEFAULT} unless said

Half of the jobs wait by node.futex, half by the standard Atomics. Ends with exit code 1 when a
count is wrong, or a job does not end.`;

const flags = new ToolFlags(HELP, { values: ["calls"] });
const calls = flags.wholeNumber("calls", CALLS_DEFAULT);
const total = { waits: 0, notifies: 0, wokenBy: 0, woke: 0 };
/** How often threads did each job. */
const done = { turns: 0, mutex: 0, queue: 0, barrier: 0 };
const wrong: string[] = [];

/** Does a job, and says what is wrong with its counts. */
async function check(
  nodes: readonly RemoteNode[],
  job: keyof typeof ROUNDS,
  by: "futex" | "atomics",
): Promise<void> {
  const rounds = ROUNDS[job];
  for (const at of [PLAIN, TURN]) await nodes[0]!.store(at, 0);
  const counts: readonly JobCounts[] = await perform(nodes, WORKERS, job, rounds, by);
  for (const name of Object.keys(total) as (keyof typeof total)[]) {
    total[name] += sumOf(counts, name);
  }
  const expect = (what: string, value: number, expected: number): void => {
    if (value !== expected) wrong.push(`${job} by ${by}: ${what} ${value}, not ${expected}`);
  };
  expect("woken", sumOf(counts, "wokenBy"), sumOf(counts, "woke"));
  done[job] += THREADS * rounds;
  switch (job) {
    case "turns":
      return expect("turns", await nodes[0]!.load(TURN), THREADS * rounds);
    case "mutex":
      return expect("counted", await nodes[0]!.load(PLAIN), THREADS * rounds);
    case "queue":
      return expect("sum", sumOf(counts, "value"), THREADS / 2 * rounds * (rounds + 1) / 2);
    case "barrier":
      return expect("astray", sumOf(counts, "value"), 0);
    default:
      job satisfies never;
  }
}

await using cluster = new ProcessCluster(JOB_MAX_MS);
const nodes = await cluster.start(NODES);
const start = performance.now();
for (let turn = 0; total.waits + total.notifies < calls && wrong.length === 0; turn++) {
  for (const job of Object.keys(ROUNDS) as (keyof typeof ROUNDS)[]) {
    await check(nodes, job, turn % 2 === 0 ? "futex" : "atomics");
  }
}
const { waits, notifies, wokenBy, woke } = total;
console.log(
  `${waits} waits, of which ${wokenBy} were woken; ${notifies} notifies, which woke ${woke}`,
);
console.log(
  `${done.turns} turns, ${done.mutex} locks, ${done.queue / 2} numbers through a queue, ` +
    `${done.barrier} arrivals at a barrier, in ${
      ((performance.now() - start) / 1000).toFixed(0)
    } s`,
);
for (const line of wrong) console.log(`WRONG  ${line}`);
if (wrong.length > 0) Deno.exitCode = 1;
