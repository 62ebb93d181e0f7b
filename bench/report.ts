/** What a run says: how far it is, and its table. */

import type { Busyness, Machine } from "./machine.ts";
import type { ProgramReport } from "./programs/mod.ts";
import type { Bound, Row } from "./family.ts";
import { WITHOUT, withoutId } from "./rows/ablation.ts";
import type { ComparisonResult, RowResult } from "./runner.ts";

/** Everything that a run found; what `--json` prints. */
export interface Report {
  readonly machine: Machine;
  /** Whether it was a quick run. */
  readonly quick: boolean;
  /** How long it took, in seconds. */
  readonly seconds: number;
  readonly busyness: Busyness;
  /** Whether each process was tied to a core. */
  readonly pinned: boolean;
  /** What a reader of the numbers has to know. */
  readonly notes: readonly string[];
  readonly rows: readonly RowResult[];
  /** What programs have moved, where they were run. */
  readonly programs?: readonly ProgramReport[];
  /** What has been found in another way, as lines for people. */
  readonly text?: string;
}

const TITLE_WIDTH = 58;
const NUMBER_WIDTH = 10;

/**
 * A number with about three digits.
 *
 * @param value The number.
 * @returns Its text.
 */
export function digits(value: number): string {
  const size = Math.abs(value);
  return value.toFixed(size >= 100 || Number.isInteger(value) ? 0 : size >= 10 ? 1 : 2);
}

/**
 * A row in one line.
 *
 * @param result What came of it.
 * @returns The line.
 */
export function rowLine({ title, unit, measured, skipped, failed }: RowResult): string {
  const head = title.padEnd(TITLE_WIDTH);
  if (failed !== undefined) return `${head}${"FAILED".padStart(NUMBER_WIDTH)}`;
  if (measured === undefined) return `${head}${"skipped".padStart(NUMBER_WIDTH)}  ${skipped}`;
  const { count, p50, mean, p99 } = measured;
  const numbers = [p50, mean, p99].map((value, at) =>
    (at === 0 || count > 1 ? digits(value) : "").padStart(NUMBER_WIDTH)
  );
  return `${head}${numbers.join("")}  ${unit}`;
}

function verdict(met: boolean | undefined): string {
  return met === undefined ? "" : met ? "met" : "NOT MET";
}

function boundText({ is, limit }: Bound): string {
  return `${is === "atMost" ? "≤" : "≥"} ${limit}`;
}

function ownGoal({ goal, constant, unit, met }: RowResult): string | undefined {
  if (met === undefined) return undefined;
  const wants = goal === undefined ? [] : [`${boundText(goal)} ${unit}`];
  if (constant === true) wants.push("the same for all");
  return `goal ${wants.join(", ")}: ${verdict(met)}`;
}

function comparisonText(
  { row, ratio, goal, met }: ComparisonResult,
  titles: ReadonlyMap<string, string>,
): string {
  const factor = ratio === undefined ? "   ?" : ratio.toFixed(2).padStart(6);
  const bound = goal === undefined ? "" : `, goal ${boundText(goal)}: `;
  const judged = goal === undefined ? "" : verdict(met) || "not measured";
  return `${factor} × ${titles.get(row) ?? row}${bound}${judged}`;
}

function busynessText({ own, others, stolen, tooBusy }: Busyness): string {
  const percent = (share: number): string => `${(100 * share).toFixed(1)} %`;
  const text = `Of the cores' time this run used ${percent(own)}, other processes ` +
    `${percent(others)}, and the host took ${percent(stolen)}.`;
  return tooBusy ? `${text}\nTHE MACHINE WAS TOO BUSY FOR THESE NUMBERS TO BE TRUSTED.` : text;
}

/**
 * The table.
 *
 * @param report What the run found.
 * @returns Lines for people.
 */
export function table(report: Report): string {
  const { machine, rows } = report;
  const titles = new Map(rows.map(({ id, title }) => [id, title]));
  const lines = [machineLine(machine)];
  let family = "";
  for (const row of rows) {
    if (row.family !== family) {
      family = row.family;
      const head = ["p50", "mean", "p99"].map((name) => name.padStart(NUMBER_WIDTH)).join("");
      lines.push("", `${family.padEnd(TITLE_WIDTH)}${head}`);
    }
    lines.push(rowLine(row).trimEnd());
    const goal = ownGoal(row);
    if (goal !== undefined) lines.push(`    ${goal}`);
    for (const comparison of row.against) lines.push(`    ${comparisonText(comparison, titles)}`);
  }
  return [...lines, "", goalLine(rows), ...endLines(report)].join("\n");
}

/**
 * The table of the optimisations: a line a row, a column for each that is switched off.
 *
 * @param report What the run found.
 * @param variants What was switched off, one by one.
 * @returns Lines for people.
 */
export function ablationTable(report: Report, variants: readonly string[]): string {
  const { rows } = report;
  const width = 20;
  const cell = (text: string): string => text.padStart(width);
  const heads = ["all on", ...variants.map((variant) => `without ${variant}`)];
  const lines = [
    machineLine(report.machine),
    "",
    " ".repeat(TITLE_WIDTH) + heads.map(cell).join(""),
  ];
  for (const row of rows.filter(({ id }) => !id.includes(WITHOUT))) {
    const cells = [`${row.measured === undefined ? "-" : digits(row.measured.p50)} ${row.unit}`];
    for (const variant of variants) {
      const other = rows.find(({ id }) => id === withoutId(row.id, variant));
      const ratio = other?.against[0]?.ratio;
      cells.push(
        ratio === undefined ? "-" : `${digits(other!.measured!.p50)} (${ratio.toFixed(2)} ×)`,
      );
    }
    lines.push(row.title.padEnd(TITLE_WIDTH) + cells.map(cell).join(""));
  }
  lines.push("", "Medians; in parentheses how many times what it is with all on.");
  return [...lines, ...endLines(report)].join("\n");
}

/**
 * What programs have moved, and their speed-up as it is predicted.
 *
 * @param report What the run found.
 * @returns Lines for people.
 */
export async function programsText(report: Report): Promise<string> {
  const { describe } = await import("./programs/mod.ts");
  const text = describe([...report.programs ?? []]);
  return [machineLine(report.machine), "", text, ...endLines(report)].join("\n");
}

/**
 * What was found in another way.
 *
 * @param report What the run found.
 * @returns Lines for people.
 */
export function textReport(report: Report): string {
  return [machineLine(report.machine), report.text ?? "", "", ...endLines(report)].join("\n");
}

function endLines({ busyness, quick, pinned, notes, seconds, rows }: Report): string[] {
  const failures = rows.filter(({ failed }) => failed !== undefined)
    .map(({ family, failed }) => `FAILED: ${family}: ${failed}`);
  return [
    ...new Set(failures),
    busynessText(busyness),
    ...quick ? ["A quick run: few samples, small sizes."] : [],
    ...pinned ? ["Each process had a core of its own, or shared the last."] : [],
    ...notes.map((note) => `Note: ${note}.`),
    `${Math.round(seconds)} s`,
  ];
}

function machineLine({ date, cores, cpu, kernel, deno, zig }: Machine): string {
  return `${date}: ${cores} cores (${cpu}), Linux ${kernel}, Deno ${deno}, Zig ${zig}`;
}

function goalLine(rows: readonly RowResult[]): string {
  const verdicts = rows.flatMap((row) => [row.met, ...row.against.map(({ met }) => met)])
    .filter((met) => met !== undefined);
  const met = verdicts.filter((met) => met).length;
  return `${met} of ${verdicts.length} goals met.`;
}

/**
 * The rows that there are, for `--list`.
 *
 * @param families Their names and rows.
 * @returns Lines.
 */
export function listing(
  families: readonly { readonly name: string; readonly rows: readonly Row[] }[],
): string {
  return families.flatMap(({ name, rows }) => [
    name,
    ...rows.map(({ id, title }) => `  ${id.padEnd(28)}${title}`),
  ]).join("\n");
}
