/**
 * The benchmark: what a miss, a scan, a lock and more cost, each beside its floor, in rounds that take
 * turns. Run: `./tdsm bench`. The README beside this file says what the rows are.
 */

import { Context } from "./context.ts";
import { BusyWatch, machine } from "./machine.ts";
import { HELP, type Options, readOptions } from "./options.ts";
import { Progress } from "./progress.ts";
import { ablationTable, listing, programsText, type Report, rowLine, table } from "./report.ts";
import { ablation, VARIANTS } from "./rows/ablation.ts";
import { FAMILIES } from "./rows/mod.ts";
import { choose, type Chosen, failedRows, roundsOf, type RowResult, runFamily } from "./runner.ts";

/** What a run measures; the rest of its report is the same for all. */
type Measured = Pick<Report, "rows" | "notes" | "programs">;

async function measureRows(chosen: readonly Chosen[], quick: boolean): Promise<Measured> {
  const context = new Context(quick);
  const total = chosen.reduce((sum, { family }) => sum + roundsOf(family, context), 0);
  const progress = new Progress(total);
  const results: RowResult[] = [];
  try {
    for (const { family, wanted } of chosen) {
      const rows = await runFamily(family, context, wanted, progress).catch((error) =>
        failedRows(family, wanted, error)
      );
      for (const row of rows) progress.row(`${family.name}: ${rowLine(row)}`);
      results.push(...rows);
    }
  } finally {
    progress.end();
    await context[Symbol.asyncDispose]();
  }
  return { rows: results, notes: [...context.notes] };
}

async function measurePrograms(quick: boolean): Promise<Measured> {
  // Only here: what they are made of is not needed for rows.
  const { programs } = await import("./programs/mod.ts");
  const progress = new Progress(0);
  try {
    const reports = await programs({
      quick,
      progress: (line) => {
        progress.begin(line);
        progress.row(line);
      },
    });
    return { rows: [], notes: [], programs: reports };
  } finally {
    progress.end();
  }
}

async function report(quick: boolean, measure: () => Promise<Measured>): Promise<Report> {
  const facts = machine();
  const start = performance.now();
  const watch = new BusyWatch();
  const measured = await measure();
  const seconds = (performance.now() - start) / 1000;
  return { machine: facts, quick, seconds, busyness: watch.end(), ...measured };
}

async function run({ mode, quick, json }: Options, chosen: readonly Chosen[]): Promise<void> {
  if (mode === "help") return console.log(HELP);
  if (mode === "list") return console.log(listing(FAMILIES));
  const found = await report(
    quick,
    mode === "programs" ? () => measurePrograms(quick) : () => measureRows(chosen, quick),
  );
  if (found.rows.some(({ failed }) => failed !== undefined)) Deno.exitCode = 1;
  if (json) console.log(JSON.stringify(found, undefined, 2));
  else if (mode === "programs") console.log(await programsText(found));
  else if (mode === "ablation") {
    console.log(ablationTable(found, VARIANTS.map(({ name }) => name)));
  } else console.log(table(found));
}

/** The options and the rows that they name, or `undefined` when there is something wrong with them. */
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

const asked = read(Deno.args);
if (asked === undefined) Deno.exitCode = 2;
else await run(...asked);
