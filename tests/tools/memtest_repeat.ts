/**
 * Runs the memory test many times in a row, each with three processes of its own, and sums up: a
 * hang, a wrong exit code or a process left behind shows here before it shows anywhere else.
 */

import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

/** How long one run may take, in milliseconds. */
const RUN_MAX_MS = 60_000;
/** The processes that keep the cores busy with `--load`. */
const LOADS = 2;
const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const PROGRAM = `${ROOT}tests/tools/memtest.ts`;

/** How often the test is run where nothing is said. */
const RUNS_DEFAULT = 100;
/** How often progress is told, in milliseconds. */
const PROGRESS_MS = 10_000;

const HELP = `Usage: memtest_repeat.ts [--load] [--runs RUNS]

Runs the memory test RUNS times (default ${RUNS_DEFAULT}). With --load, beside ${LOADS} processes that compute.
`;

/** What came of one run. */
interface Run {
  readonly ms: number;
  /** What is wrong; `undefined` when nothing is. */
  readonly problem: string | undefined;
  /** All that it printed. */
  readonly text: string;
}

/** The processes whose environment has `mark`: those that a run has started and not ended. */
function processesWith(mark: string): number[] {
  const found: number[] = [];
  for (const { name } of Deno.readDirSync("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    try {
      if (Deno.readTextFileSync(`/proc/${name}/environ`).includes(mark)) found.push(Number(name));
    } catch {
      // It has ended meanwhile, or is not ours to look at.
    }
  }
  return found;
}

/** Ends whatever a run has left; returns how many there were. */
function endOrphans(mark: string): number {
  const orphans = processesWith(mark);
  for (const pid of orphans) {
    try {
      Deno.kill(pid, "SIGKILL");
    } catch {
      // It has ended by itself.
    }
  }
  return orphans.length;
}

async function runOnce(number: number): Promise<Run> {
  const mark = `TDSM_MEMTEST_RUN=${Deno.pid}-${number}`;
  const [name, value] = mark.split("=") as [string, string];
  const start = performance.now();
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", PROGRAM],
    env: { [name]: value },
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  let hung = false;
  const timer = setTimeout(() => {
    hung = true;
    endOrphans(mark);
  }, RUN_MAX_MS);
  const { code, stdout, stderr } = await child.output();
  clearTimeout(timer);
  const ms = performance.now() - start;
  const printed = new TextDecoder().decode(stdout);
  const text = printed + new TextDecoder().decode(stderr);
  const orphans = hung ? 0 : endOrphans(mark);
  const problem = hung
    ? `not done within ${RUN_MAX_MS} ms`
    : code !== 0
    ? `exit code ${code}`
    : printed.trimEnd().split("\n").at(-1) !== "[1] OK"
    ? "exit code 0 without OK"
    : orphans > 0
    ? `${orphans} processes left behind`
    : undefined;
  return { ms, problem, text };
}

/** Starts processes that keep the cores busy until they are killed, or this one is gone. */
function startLoads(): Deno.ChildProcess[] {
  return Array.from({ length: LOADS }, () =>
    new Deno.Command(Deno.execPath(), {
      args: ["eval", "const parent = Deno.ppid; while (Deno.ppid === parent);"],
      stdin: "null",
      stdout: "null",
      stderr: "null",
    }).spawn());
}

/** Runs the test `count` times; returns the runs that went well. */
async function repeat(count: number): Promise<Run[]> {
  const good: Run[] = [];
  let shownAt = performance.now();
  for (let number = 1; number <= count; number++) {
    const run = await runOnce(number);
    if (performance.now() > shownAt + PROGRESS_MS) {
      shownAt = performance.now();
      console.error(`${number} of ${count} runs`);
    }
    if (run.problem === undefined) {
      good.push(run);
      continue;
    }
    console.error(`run ${number} of ${count}: ${run.problem}\n${run.text}`);
  }
  return good;
}

const { values } = parseArgs({
  options: {
    help: { type: "boolean", short: "h" },
    load: { type: "boolean" },
    runs: { type: "string", default: String(RUNS_DEFAULT) },
  },
});
const count = Number(values.runs);
if (values.help) {
  console.log(HELP);
} else if (!Number.isInteger(count) || count < 1) {
  console.error(`memtest_repeat: error: RUNS must be a whole number from 1 on\n${HELP}`);
  Deno.exitCode = 2;
} else {
  const loads = values.load ? startLoads() : [];
  let good: Run[];
  try {
    good = await repeat(count);
  } finally {
    for (const load of loads) load.kill("SIGKILL");
    await Promise.all(loads.map(({ status }) => status));
  }
  const times = good.map(({ ms }) => ms).sort((a, b) => a - b);
  if (times.length > 0) {
    const p50 = times[Math.floor(times.length / 2)]!;
    const max = times.at(-1)!;
    console.log(`each run took ${p50.toFixed(0)} ms (p50), ${max.toFixed(0)} ms at most`);
  }
  console.log(`${good.length} OK`);
  Deno.exitCode = good.length === count ? 0 : 1;
}
