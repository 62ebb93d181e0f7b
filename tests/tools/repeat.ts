/**
 * Runs programs many times in a row, each in processes of its own, and sums up: a hang, a wrong
 * exit code or a process left behind shows here before it shows anywhere else.
 */

/** How long one run may take, in milliseconds: a run that has hardly any core is slow, not hung. */
const RUN_MAX_MS = 300_000;
/** How often progress is told, in milliseconds. */
const PROGRESS_MS = 10_000;
/** The variable by which the processes of a run are found. */
const MARK = "TDSM_REPEATED_RUN";

/** A program that is run many times. */
export interface Repeated {
  /** What a problem is told by. */
  readonly name: string;
  /** The arguments of Deno. */
  readonly args: readonly string[];
  /** The last line that it prints where it ends well. */
  readonly lastLine: string;
}

/** What came of the runs of a program. */
export interface Runs {
  readonly program: Repeated;
  /** How many there were. */
  readonly count: number;
  /** How long each took that went well, in milliseconds, the shortest first. */
  readonly goodMs: readonly number[];
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

/** Ends what a run has left; returns how many processes there were. */
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

/** Runs a program once; returns how long that took, and what was wrong with it, if anything. */
async function runOnce(
  { args, lastLine }: Repeated,
  number: number,
): Promise<{ ms: number; problem?: string; text: string }> {
  const value = `${Deno.pid}-${number}`;
  // The variable ends with a NUL in the environment: run 1 is not run 10.
  const mark = `${MARK}=${value}\0`;
  const start = performance.now();
  const child = new Deno.Command(Deno.execPath(), {
    args: [...args],
    env: { [MARK]: value },
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
  if (hung) return { ms, text, problem: `not done within ${RUN_MAX_MS} ms` };
  if (code !== 0) return { ms, text, problem: `exit code ${code}` };
  if (printed.trimEnd().split("\n").at(-1) !== lastLine) {
    return { ms, text, problem: `exit code 0 without ${lastLine}` };
  }
  if (orphans > 0) return { ms, text, problem: `${orphans} processes left behind` };
  return { ms, text };
}

/** A process for each core that keeps it busy, until it is killed or this process is gone. */
function startLoads(): Deno.ChildProcess[] {
  return Array.from(
    { length: navigator.hardwareConcurrency },
    () =>
      new Deno.Command(Deno.execPath(), {
        args: ["eval", "const parent = Deno.ppid; while (Deno.ppid === parent);"],
        stdin: "null",
        stdout: "null",
        stderr: "null",
      }).spawn(),
  );
}

/** How programs are run many times. */
export interface RepeatOptions {
  /** How many times each is run. */
  readonly count: number;
  /** Whether processes beside the runs keep all cores busy. */
  readonly isLoaded: boolean;
  /** How many runs go on at the same time. Default: 1. */
  readonly atOnce?: number;
}

/**
 * Runs programs many times: each once, then each once more, so that an end before its time still
 * says something of all. A run that goes wrong is printed to stderr, with all that it printed, and
 * so is progress.
 *
 * @param programs The programs.
 * @param options How often, and beside what.
 * @returns What came of all runs.
 */
export async function repeat(
  programs: readonly Repeated[],
  { count, isLoaded, atOnce = 1 }: RepeatOptions,
): Promise<Runs[]> {
  const loads = isLoaded ? startLoads() : [];
  const good = programs.map((): number[] => []);
  let [toldAt, number] = [performance.now(), 0];
  const runAll = async (): Promise<void> => {
    while (number < count * programs.length) {
      const index = number % programs.length;
      const round = Math.floor(number / programs.length) + 1;
      const program = programs[index]!;
      const { ms, problem, text } = await runOnce(program, ++number);
      if (problem === undefined) good[index]!.push(ms);
      else console.error(`${program.name}, run ${round} of ${count}: ${problem}\n${text}`);
      if (performance.now() < toldAt + PROGRESS_MS) continue;
      toldAt = performance.now();
      const counts = programs.map(({ name }, index) => `${name} ${good[index]!.length} OK`);
      console.error(`${round} of ${count} runs: ${counts.join(", ")}`);
    }
  };
  try {
    await Promise.all(Array.from({ length: atOnce }, runAll));
  } finally {
    for (const load of loads) load.kill("SIGKILL");
    await Promise.all(loads.map(({ status }) => status));
  }
  return programs.map((program, index) => {
    return { program, count, goodMs: good[index]!.toSorted((a, b) => a - b) };
  });
}

/**
 * Prints what came of runs, and sets the exit code: 1 where a run went wrong.
 *
 * @param all The runs, by program.
 */
export function report(all: readonly Runs[]): void {
  for (const { program, count, goodMs } of all) {
    const p50 = goodMs[Math.floor(goodMs.length / 2)]?.toFixed(0) ?? "-";
    const max = goodMs.at(-1)?.toFixed(0) ?? "-";
    const times = `${p50} ms (p50), ${max} ms at most`;
    console.log(`${program.name}: ${goodMs.length} of ${count} runs OK; each took ${times}`);
  }
  Deno.exitCode = all.every(({ count, goodMs }) => goodMs.length === count) ? 0 : 1;
}

/**
 * Reads a number of runs.
 *
 * @param text What was given.
 * @returns The number; `undefined` where the text is none from 1 on.
 */
export function runsOf(text: string): number | undefined {
  const count = Number(text);
  return Number.isInteger(count) && count >= 1 ? count : undefined;
}
