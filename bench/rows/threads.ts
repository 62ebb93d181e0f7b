/** A program with pthreads whose threads are on two nodes. */

import { atMost, type Comparison, type Family } from "../family.ts";
import { buildThreadsProgram, NO_TARGET, ThreadsProgram } from "../threads/threads.ts";
import { READ_MISS, readMissRounds } from "./misses.ts";
import { handOffRounds } from "./sync.ts";

const CHUNKS = "thread-chunks";
const HAND_OFF = "hand-off";
const HAND_OFF_BLOCKING = "hand-off-blocking";
/** How long a contended round goes on, in milliseconds. */
const ROUND_MS = 100;
/** The same where few of the operations count: one of some thousand is a hand-over. */
const HAND_OVER_ROUND_MS = 500;
const TURNS = 100;
/**
 * How often all chunks are done before that counts: an engine serves one page a chunk, so it takes
 * these until V8 has compiled the engines.
 */
const CHUNKS_WARM_UP = 4;
/** What two nodes may take of the time of one: they are to be 1.8 times as fast. */
const TWO_OF_ONE = 0.5556;

/** Compared with a hand-off that is awaited, where the goal is, and with one that blocks. */
function handOffs(limit: number): Comparison[] {
  return [{ row: HAND_OFF, goal: atMost(limit) }, { row: HAND_OFF_BLOCKING }];
}

/** What the program measures: the row, the name in the program, and how much a round has. */
const MEASURED: readonly (readonly [row: string, what: string, amount: number])[] = [
  ["thread-create", "create", 20],
  ["thread-mutex", "contended", ROUND_MS],
  ["thread-mutex-hand-over", "handed-over", HAND_OVER_ROUND_MS],
  ["thread-cond", "cond", TURNS],
  ["thread-barrier", "barriers", TURNS],
  ["thread-futex", "futex", TURNS],
  ["thread-futex-within", "futex-within", TURNS],
  [CHUNKS, "chunks", 2],
];
/** The same with what the C library has for threads of one machine. */
const NOT_LIFTED: typeof MEASURED = [
  ["thread-cond-no-lift", "cond", TURNS],
  ["thread-barrier-no-lift", "barriers", TURNS],
];
/** What is measured on one node. */
const ALONE = "thread-chunks-one";

/** Threads over nodes. */
export const threads: Family = {
  name: "threads",
  rows: [
    {
      id: "thread-create",
      title: "pthread_create on another node, and pthread_join",
      unit: "us",
      goal: atMost(2_000),
    },
    {
      id: "thread-mutex",
      title: "pthread mutex that two nodes contend for, an operation",
      unit: "us",
      goal: atMost(0.3),
    },
    {
      id: "thread-mutex-hand-over",
      title: "the same, from one node's unlock to the other's lock",
      unit: "us",
      against: [{ row: READ_MISS.id, goal: atMost(2) }],
    },
    {
      id: "thread-cond",
      title: "turns of two nodes by a pthread condition variable, a turn",
      unit: "us",
      against: handOffs(4),
    },
    { id: "thread-cond-no-lift", title: "the same, with --no-lift", unit: "us" },
    {
      id: "thread-barrier",
      title: "pthread_barrier_wait of two nodes",
      unit: "us",
      against: handOffs(3),
    },
    { id: "thread-barrier-no-lift", title: "the same, with --no-lift", unit: "us" },
    {
      id: "thread-futex",
      title: "turns of two nodes by memory.atomic.wait32 and notify, a turn",
      unit: "us",
      against: handOffs(1.2),
    },
    {
      id: "thread-futex-within",
      title: "the same of two threads of one node",
      unit: "us",
      goal: atMost(10),
    },
    {
      id: CHUNKS,
      title: "400 chunks of work, a thread on each of two nodes",
      unit: "ms",
      against: [{ row: ALONE, goal: atMost(TWO_OF_ONE) }],
    },
    { id: ALONE, title: "the same work, one thread on one node", unit: "ms" },
    { id: HAND_OFF, title: "semaphore hand-off, acquire", unit: "us" },
    { id: HAND_OFF_BLOCKING, title: "semaphore hand-off, acquireSync", unit: "us" },
    READ_MISS,
  ],
  rounds: { full: 6, quick: 1, warmUp: true },
  async open(context, stack, wanted) {
    const cluster = stack.use(await context.cluster(3));
    const others = {
      [HAND_OFF]: handOffRounds(cluster, false),
      [HAND_OFF_BLOCKING]: handOffRounds(cluster, true),
      [READ_MISS.id]: readMissRounds(context, cluster),
    };
    const folder = await Deno.makeTempDir();
    stack.defer(() => Deno.remove(folder, { recursive: true }));
    const path = await buildThreadsProgram(folder);
    if (path === undefined) {
      const rows = [...[...MEASURED, ...NOT_LIFTED].map(([row]) => row), ALONE];
      return { take: others, skipped: Object.fromEntries(rows.map((row) => [row, NO_TARGET])) };
    }
    const start = async (nodes: number, ...flags: string[]): Promise<ThreadsProgram> =>
      stack.use(await ThreadsProgram.start([...flags, path], nodes, context.cores, folder));
    const two = await start(2);
    const notLifted = NOT_LIFTED.some(([row]) => wanted.has(row))
      ? await start(2, "--no-lift")
      : undefined;
    const one = wanted.has(ALONE) ? await start(1) : undefined;
    if (wanted.has(CHUNKS)) {
      for (let pass = 0; pass < CHUNKS_WARM_UP; pass++) await two.measure("chunks", 2);
    }
    const roundsOf = (
      rows: typeof MEASURED,
      program: ThreadsProgram,
    ): Record<string, () => Promise<number[]>> =>
      Object.fromEntries(
        rows.map(([row, what, amount]) => [row, () => program.measure(what, amount)]),
      );
    return {
      take: {
        ...others,
        ...roundsOf(MEASURED, two),
        ...(notLifted === undefined ? {} : roundsOf(NOT_LIFTED, notLifted)),
        ...(one === undefined ? {} : { [ALONE]: () => one.measure("chunks", 1) }),
      },
    };
  },
};
