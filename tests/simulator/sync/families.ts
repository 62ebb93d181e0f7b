/**
 * What is simulated of synchronisation: each family of schedules has a world of its own, and is run
 * and reported on in the same way.
 */

import { CoverageTable, report } from "../coherence/coverage.ts";
import { TIMES } from "../coherence/corners.ts";
import { runBarrierBatch, runBarrierSchedule } from "./barrier_schedule.ts";
import { runSyncBatch } from "./batch.ts";
import type { Failure } from "./first_failure.ts";
import { runFutexBatch, runFutexSchedule } from "./futex_schedule.ts";
import { SyncSchedule } from "./schedule.ts";

/** What became of the schedules of a family. */
export interface FamilyBatch {
  /** What was visited, and what was not, for people. */
  readonly visited: ReturnType<typeof report>;
  /** The first schedule that failed, with the reason. */
  readonly failure: Failure | undefined;
}

/** Schedules of one kind. */
export interface Family {
  readonly name: string;
  /** What its schedules are about. */
  readonly about: string;
  /**
   * Runs one schedule to its end.
   *
   * @throws {Error} The promise that is broken.
   */
  run(seed: number, trace: (line: string) => void): void;
  /** Runs so many schedules from a seed on, until one fails. */
  runBatch(seed: number, schedules: number): FamilyBatch;
}

/** What a family counts by the names of its corners. */
function cornersOf(title: string, counts: object): ReturnType<typeof report> {
  const table = new CoverageTable({
    title,
    rows: Object.keys(counts),
    columns: [TIMES],
    never: [],
  });
  table.add(Float64Array.from(Object.values(counts)));
  return report({ corners: table });
}

/** Every family. */
export const FAMILIES: readonly Family[] = [
  {
    name: "desk",
    about: "semaphores, barriers and mutexes at the directory node",
    run: (seed, trace) => new SyncSchedule(seed, undefined, undefined, trace).run(),
    runBatch: (seed, schedules) => {
      const { coverage, failure } = runSyncBatch(seed, schedules);
      return { visited: report({ ...coverage }), failure };
    },
  },
  {
    name: "trees",
    about: "barriers that trees of nodes gather",
    run: (seed, trace) => runBarrierSchedule(seed, undefined, undefined, trace),
    runBatch: (seed, schedules) => {
      const { coverage, failure } = runBarrierBatch(seed, schedules);
      return { visited: cornersOf("trees", coverage), failure };
    },
  },
  {
    name: "words",
    about: "waits for words of the region",
    run: (seed, trace) =>
      runFutexSchedule(seed, undefined, undefined, (action) => trace(JSON.stringify(action))),
    runBatch: (seed, schedules) => {
      const { coverage, failure } = runFutexBatch(seed, schedules);
      return { visited: cornersOf("words", coverage), failure };
    },
  },
];
