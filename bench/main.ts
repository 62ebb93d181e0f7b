/**
 * The benchmark: what a miss, a scan, a lock and more cost, each beside its floor, in rounds that
 * take turns. Run: `./tdsm bench`. The README beside this file says what the rows are.
 */

import { parseArgs } from "node:util";
import { type Column, COLUMNS, Run } from "./family.ts";
import { BusyWatch, machine } from "./machine.ts";
import type { ProgramsOptions } from "./programs/mod.ts";
import { Progress } from "./progress.ts";
import {
  ablationTable,
  listing,
  markdown,
  programsText,
  type Report,
  rowLine,
  table,
} from "./report.ts";
import { ablation, VARIANTS } from "./rows/ablation.ts";
import { FAMILIES } from "./rows/mod.ts";
import { choose, type Chosen, failedRows, roundsOf, type RowResult, runFamily } from "./runner.ts";

const HELP = `Measures the runtime beside the floors that the machine sets.

Usage: bench [--quick] [--json | --markdown] [--column NAME,...] [--row NAME...]
       bench --ablation [--quick] [--json] [--column NAME]
       bench --programs [--quick] [--json] [--nodes N,...] [--engine-us N]
       bench --list

Options:
  --row NAME...   Only these rows or families, and what they are compared with
  --ablation      Some rows with each optimisation switched off alone
  --programs      What real programs move, and their speed-up as the simulator predicts it
  --column NAME,...
                  Only these columns: free (threads run where the kernel likes), tied (a core for
                  each process, as if it had a machine of its own; needs taskset), busy (free
                  threads, with a loop that computes on each core; needs taskset)
  --quick         Few rounds and small sizes
  --nodes N,...   On how many real nodes programs run (default 1,2,4,8)
  --engine-us N   What the simulator takes an engine to work for an input, or a message that it
                  sends, in microseconds
  --json          Print everything as JSON
  --markdown      Print the table as docs/performance.md has it
  --list          List the rows
  --help          Show this`;

const NODES_MAX = 64;
const ENGINE_MAX_US = 1000;

/** What to do. */
type Mode = "rows" | "ablation" | "programs" | "list" | "help";

/** The command line, read. */
export interface Options {
  readonly mode: Mode;
  /** Ids of rows and names of families; empty for all. Only with `rows`. */
  readonly names: ReadonlySet<string>;
  readonly quick: boolean;
  readonly json: boolean;
  readonly markdown: boolean;
  /** The columns that are wanted; at least one. */
  readonly columns: readonly Column[];
  /** How programs are run; only with `programs`. */
  readonly programs: Pick<ProgramsOptions, "nodes" | "engineUs">;
}

/** Which modes an option goes with; those that are not here go with all. */
const GOES_WITH: Readonly<Record<string, readonly Mode[]>> = {
  row: ["rows"],
  column: ["rows", "ablation"],
  markdown: ["rows"],
  json: ["rows", "ablation", "programs"],
  nodes: ["programs"],
  "engine-us": ["programs"],
};

/**
 * Reads the command line.
 *
 * @param args The words behind the program.
 * @returns What they ask for.
 * @throws {TypeError} What is wrong with them.
 */
export function readOptions(args: string[]): Options {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      row: { type: "string", multiple: true },
      ablation: { type: "boolean" },
      programs: { type: "boolean" },
      column: { type: "string" },
      markdown: { type: "boolean" },
      quick: { type: "boolean" },
      nodes: { type: "string" },
      "engine-us": { type: "string" },
      json: { type: "boolean" },
      list: { type: "boolean" },
      help: { type: "boolean", short: "h" },
    },
  });
  const { row = [], quick = false, json = false, markdown = false } = values;
  if (json && markdown) throw new TypeError("--json and --markdown exclude each other");
  if (row.length === 0 && positionals.length > 0) throw new TypeError("names stand behind --row");
  const modes = (["help", "list", "ablation", "programs"] as const).filter((mode) => values[mode]);
  if (modes.length > 1) throw new TypeError(`--${modes[0]} and --${modes[1]} exclude each other`);
  const [mode = "rows"] = modes;
  for (const [option, allowed] of Object.entries(GOES_WITH)) {
    if (values[option as keyof typeof values] === undefined || allowed.includes(mode)) continue;
    const others = allowed.map((other) => other === "rows" ? "rows" : `--${other}`).join(", ");
    throw new TypeError(`--${option} goes with ${others} only`);
  }
  const programs = {
    ...(values.nodes !== undefined && { nodes: readNodes(values.nodes) }),
    ...(values["engine-us"] !== undefined && { engineUs: readEngineUs(values["engine-us"]) }),
  };
  // Each variant of the ablation has a cluster of its own: one column has enough of them.
  const columns = values.column === undefined
    ? mode === "ablation" ? COLUMNS.slice(0, 1) : COLUMNS
    : readColumns(values.column);
  if (mode === "ablation" && columns.length > 1) throw new TypeError("--ablation has one column");
  const names = new Set([...row, ...positionals]);
  return { mode, names, quick, json, markdown, columns, programs };
}

function readColumns(text: string): Column[] {
  const names = text.split(",");
  const unknown = names.find((name) => !(COLUMNS as readonly string[]).includes(name));
  if (unknown === undefined) return COLUMNS.filter((column) => names.includes(column));
  throw new TypeError(`--column takes ${COLUMNS.join(", ")}, with commas; not "${unknown}"`);
}

function readNodes(text: string): number[] {
  const nodes = text.split(",").map(Number);
  if (nodes.every((count) => Number.isInteger(count) && count >= 1 && count <= NODES_MAX)) {
    return nodes;
  }
  throw new TypeError(`--nodes takes whole numbers from 1 to ${NODES_MAX}, with commas`);
}

function readEngineUs(text: string): number {
  const us = Number(text);
  if (text !== "" && us >= 0 && us <= ENGINE_MAX_US) return us;
  throw new TypeError(`--engine-us takes a number from 0 to ${ENGINE_MAX_US}`);
}

/** What a run measures; the rest of its report is the same for all. */
type Measured = Pick<Report, "rows" | "notes" | "programs">;

/** Whether there is what ties processes to cores. */
async function hasTaskset(): Promise<boolean> {
  try {
    await new Deno.Command("taskset", { args: ["--version"] }).output();
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

async function measureRows(
  chosen: readonly Chosen[],
  { quick, columns }: Options,
): Promise<Measured> {
  const isFree = columns.every((column) => column === "free");
  const canTie = isFree || await hasTaskset();
  const run = new Run(quick, canTie ? columns : ["free"]);
  if (!canTie) run.notes.add("threads were free only: to tie them to cores takes taskset on PATH");
  const total = chosen.reduce((sum, { family }) => sum + roundsOf(family, run), 0);
  const progress = new Progress(total);
  const results: RowResult[] = [];
  try {
    for (const { family, wanted } of chosen) {
      const rows = await runFamily(family, run, wanted, progress).catch((error) =>
        failedRows(family, wanted, error)
      );
      for (const row of Map.groupBy(rows, ({ id }) => id).values()) {
        progress.row(`${family.name}: ${rowLine(row)}`);
      }
      results.push(...rows);
    }
  } finally {
    progress.end();
    await run[Symbol.asyncDispose]();
  }
  return { rows: results, notes: [...run.notes] };
}

/** Runs programs; what that is made of is loaded only for it. */
async function measurePrograms({ quick, programs: how }: Options): Promise<Measured> {
  const progress = new Progress(0);
  const say = (line: string): void => {
    progress.begin(line);
    progress.row(line);
  };
  try {
    const { programs } = await import("./programs/mod.ts");
    return { rows: [], notes: [], programs: await programs({ ...how, quick, progress: say }) };
  } finally {
    progress.end();
  }
}

async function main(options: Options, chosen: readonly Chosen[]): Promise<void> {
  const { mode, quick, json } = options;
  if (mode === "help") return console.log(HELP);
  if (mode === "list") return console.log(listing(FAMILIES));
  const facts = machine();
  const start = performance.now();
  const watch = new BusyWatch();
  const ofRows = mode === "rows" || mode === "ablation";
  const measured = await (ofRows ? measureRows(chosen, options) : measurePrograms(options));
  const seconds = (performance.now() - start) / 1000;
  const found = { machine: facts, quick, seconds, busyness: watch.end(), ...measured };
  if (found.rows.some(({ failed }) => failed !== undefined)) Deno.exitCode = 1;
  if (json) console.log(JSON.stringify(found, undefined, 2));
  else if (mode === "programs") console.log(await programsText(found));
  else if (mode === "ablation") {
    console.log(ablationTable(found, VARIANTS.map(({ name }) => name)));
  } else console.log(options.markdown ? markdown(found) : table(found));
}

/**
 * The options and the rows that they name, or `undefined` when there is something wrong with them.
 */
function read(args: string[]): [Options, Chosen[]] | undefined {
  try {
    const options = readOptions(args);
    return [options, choose(options.mode === "ablation" ? [ablation] : FAMILIES, options.names)];
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    console.error(`bench: error: ${error.message}`);
    return undefined;
  }
}

if (import.meta.main) {
  const asked = read(Deno.args);
  if (asked === undefined) Deno.exitCode = 2;
  else await main(...asked);
}
