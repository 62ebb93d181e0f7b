/**
 * Runs programs with threads on several nodes many times, with all cores busy, and sums up.
 *
 * `./tdsm test:threads --runs 1000 --program count`
 */

import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { repeat, type Repeated, report, runsOf } from "../tools/repeat.ts";
import { buildThreads } from "./build_threads.ts";
import { buildC, buildCargo, buildRust, findTarget } from "./rust_target.ts";

/** How often each is run where nothing is said. */
const RUNS_DEFAULT = 10;
/** Rust's target is what has the C library with pthreads, too. */
const ADD_TARGET = "rustup target add wasm32-wasip1-threads";

/** Where programs are built. */
interface Place {
  readonly folder: string;
  /** The libraries of Rust's target. */
  readonly libraries: string;
}

/** A program that is built for the runs. */
interface Program {
  /** What it shows. */
  readonly title: string;
  /** Whether Zig alone builds it. */
  readonly isZig?: boolean;
  /** Whether it is left out where it is not named: Cargo has to fetch what it uses. */
  readonly isFetched?: boolean;
  /** Builds it; resolves with the words behind `wasm`. */
  readonly build: (place: Place) => Promise<string[]>;
  readonly lastLine: string;
}

function pathOf(path: string): string {
  return fileURLToPath(new URL(`../../${path}`, import.meta.url));
}

async function buildZig(folder: string): Promise<string> {
  const path = `${folder}/threads.wasm`;
  await buildThreads(path);
  return path;
}

/** The programs, by their names. */
const PROGRAMS: Readonly<Record<string, Program>> = {
  count: {
    title: "threads of three nodes count under a lock",
    isZig: true,
    build: async ({ folder }) => ["-n3", await buildZig(folder), "count"],
    lastLine: "counted 1200",
  },
  repeat: {
    title: "100 threads on two nodes, one after the other",
    isZig: true,
    build: async ({ folder }) => ["-n2", await buildZig(folder), "repeat"],
    lastLine: "repeated",
  },
  pthreads: {
    title: "all of pthreads, and files",
    async build({ folder, libraries }) {
      const [path, data] = [`${folder}/pthreads.wasm`, `${folder}/data`];
      await Deno.mkdir(data);
      await buildC(libraries, pathOf("tests/wasi/programs/pthreads.c"), path);
      return ["-n2", "--dir", `${data}::/data`, "--env", "GREETING=hello", path, "world"];
    },
    lastLine: "OK",
  },
  waits: {
    title: "condition variables and barriers of threads of three nodes",
    async build({ folder, libraries }) {
      const path = `${folder}/waits.wasm`;
      await buildC(libraries, pathOf("tests/wasi/programs/waits.c"), path);
      return ["-n3", path];
    },
    lastLine: "OK",
  },
  rust: {
    title: "std::thread and std::sync",
    async build({ folder }) {
      const path = `${folder}/std_threads.wasm`;
      await buildRust(pathOf("tests/wasi/programs/std_threads.rs"), path);
      return ["-n2", path];
    },
    lastLine: "OK",
  },
  primes: {
    title: "the example in C: 400 chunks of work",
    async build({ folder, libraries }) {
      const path = `${folder}/primes.wasm`;
      await buildC(libraries, pathOf("examples/wasm_threads/primes.c"), path);
      return ["-n2", path, "4"];
    },
    lastLine: "OK",
  },
  rayon: {
    title: "the example in Rust",
    isFetched: true,
    async build({ folder }) {
      const source = pathOf("examples/wasm_threads/collatz");
      return ["-n2", `${await buildCargo(source, `${folder}/rayon`)}/collatz.wasm`, "4"];
    },
    lastLine: "OK",
  },
};

const HELP = `Usage: ./tdsm test:threads [--runs RUNS] [--program NAME]... [--no-load] [--at-once N]

Runs each program RUNS times (default ${RUNS_DEFAULT}), beside processes that keep all cores busy.
With --at-once N, N runs go on at the same time, and such processes are left out: the runs keep the
cores busy. Ends with exit code 1 where a run goes wrong.

${
  Object.entries(PROGRAMS).map(([name, { title, isFetched }]) =>
    `  ${name.padEnd(9)} ${title}${isFetched ? " (only where it is named)" : ""}\n`
  ).join("")
}`;

function refuse(reason: string): void {
  console.error(`test:threads: error: ${reason}\n\n${HELP}`);
  Deno.exitCode = 2;
}

async function main(): Promise<void> {
  const { values: { help, load, runs, program: named, "at-once": given } } = parseArgs({
    allowNegative: true,
    options: {
      help: { type: "boolean", short: "h" },
      load: { type: "boolean", default: true },
      "at-once": { type: "string", default: "1" },
      runs: { type: "string", default: String(RUNS_DEFAULT) },
      program: { type: "string", multiple: true },
    },
  });
  if (help) return console.log(HELP);
  const count = runsOf(runs);
  if (count === undefined) return refuse("RUNS must be a whole number from 1 on");
  const atOnce = runsOf(given);
  if (atOnce === undefined) return refuse("N must be a whole number from 1 on");
  const unknown = named?.find((name) => PROGRAMS[name] === undefined);
  if (unknown !== undefined) return refuse(`there is no program ${unknown}`);

  const libraries = await findTarget();
  const isWanted = ([name, { isFetched }]: [string, Program]): boolean =>
    named === undefined ? !isFetched : named.includes(name);
  const wanted = Object.entries(PROGRAMS).filter(isWanted);
  const possible = wanted.filter(([, { isZig }]) => isZig || libraries !== undefined);
  for (const [name] of wanted.filter((program) => !possible.includes(program))) {
    console.error(`${name} is left out: it needs Rust's target: ${ADD_TARGET}`);
  }
  const folder = await Deno.makeTempDir();
  try {
    const programs: Repeated[] = [];
    for (const [name, { build, lastLine }] of possible) {
      const words = await build({ folder, libraries: libraries ?? "" });
      const args = ["run", "-A", "--no-prompt", pathOf("mod.ts"), "wasm", ...words];
      programs.push({ name, args, lastLine });
    }
    report(await repeat(programs, { count, isLoaded: load && atOnce === 1, atOnce }));
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

await main();
