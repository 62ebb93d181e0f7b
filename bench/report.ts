/** What a run says: how far it is, and its table. */

import type { Busyness, Machine } from "./machine.ts";
import type { ProgramReport } from "./programs/mod.ts";
import { type Bound, type Column, COLUMNS, type Row, type Statistic } from "./family.ts";
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
  /** What a reader of the numbers has to know. */
  readonly notes: readonly string[];
  readonly rows: readonly RowResult[];
  /** What programs have moved, where they were run. */
  readonly programs?: readonly ProgramReport[];
}

const TITLE_WIDTH = 58;
const NUMBER_WIDTH = 10;
const RATIO_WIDTH = 7;
const STATISTICS = ["p50", "mean", "p99"] as const;
/** What the columns say of themselves above their numbers. */
const COLUMN_TITLES: Readonly<Record<Column, string>> = {
  free: "free threads",
  tied: "a core a process",
  busy: "busy loops beside",
};

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

/** Median, mean and 99th percentile of a row; of one measurement, what it is. */
function numbers({ measured }: RowResult): string[] {
  return STATISTICS.map((name) => {
    if (measured === undefined) return name === "p50" ? "-" : "";
    return name === "p50" || measured.count > 1 ? digits(measured[name]) : "";
  });
}

/**
 * A row in one line.
 *
 * @param results What came of it, in each column.
 * @returns The line.
 */
export function rowLine(results: readonly RowResult[]): string {
  const [{ title, unit, skipped, failed }] = results as [RowResult];
  const head = title.padEnd(TITLE_WIDTH);
  if (failed !== undefined) return `${head}${"FAILED".padStart(NUMBER_WIDTH)}`;
  if (results.every(({ measured }) => measured === undefined)) {
    return `${head}${"skipped".padStart(NUMBER_WIDTH)}  ${skipped}`;
  }
  const cells = results.flatMap(numbers).map((text) => text.padStart(NUMBER_WIDTH));
  return `${head}${cells.join("")}  ${unit}`;
}

function verdict(met: boolean | undefined): string {
  return met === undefined ? "" : met ? "met" : "NOT MET";
}

function boundText({ is, limit }: Bound): string {
  return `${is === "atMost" ? "≤" : "≥"} ${limit}`;
}

/** Whether goals are met, column by column; once where all agree. */
function verdicts(results: readonly { readonly column: Column; readonly met?: boolean }[]): string {
  const judged = results.filter(({ met }) => met !== undefined);
  const texts = new Set(judged.map(({ met }) => verdict(met)));
  if (texts.size <= 1) return [...texts][0] ?? "not measured";
  return judged.map(({ column, met }) => `${column} ${verdict(met)}`).join(", ");
}

/** What a row's own goal is, without whether it is met; nothing where there is none. */
function ownGoal({ goal, constant, unit }: RowResult): string | undefined {
  const wants = goal === undefined ? [] : [`${boundText(goal)} ${unit}`];
  if (constant === true) wants.push("the same for all");
  return wants.length > 0 ? `goal ${wants.join(", ")}` : undefined;
}

/** One comparison of a row in all columns. */
interface Compared {
  /** What the row, or a number of it, is divided by. */
  readonly by: string;
  readonly goal: Bound | undefined;
  /** For each column. */
  readonly columns: readonly (ComparisonResult & { readonly column: Column })[];
}

/** The comparisons of a row. */
function comparisons(
  results: readonly RowResult[],
  titles: ReadonlyMap<string, string>,
): Compared[] {
  const [first] = results as [RowResult];
  return first.against.map(({ row, of, to, goal }, index) => {
    const by = row === first.id
      ? `× its ${to}: the ${of}`
      : `× ${titles.get(row) ?? row}${statisticsText(of, to)}`;
    const columns = results.flatMap(({ column, against }) =>
      against[index] === undefined ? [] : [{ column, ...against[index] }]
    );
    return { by, goal, columns };
  });
}

/** Which numbers of two rows are compared; nothing where that is the median of both. */
function statisticsText(of: Statistic, to: Statistic): string {
  if (of !== to) return `: ${of} by ${to}`;
  return of === "p50" ? "" : `, by the ${of}`;
}

function ratioText({ ratio }: ComparisonResult): string {
  return ratio === undefined ? "?" : ratio.toFixed(ratio < 100 ? 2 : 0);
}

/** The states of a floor that was in two, by column; nothing where it was in one. */
function statesText(results: readonly RowResult[]): string | undefined {
  const texts = results.flatMap(({ column, states }) => {
    if (states === undefined) return [];
    const [fast, slow] = states;
    const share = (100 * slow.share).toFixed(0);
    return [`${column} ${digits(fast.p50)}, ${share} % ${digits(slow.p50)}`];
  });
  return texts.length > 0 ? `two states: ${texts.join("; ")} ${results[0]!.unit}` : undefined;
}

function busynessText({ own, others, stolen, tooBusy }: Busyness): string {
  const percent = (share: number): string => `${(100 * share).toFixed(1)} %`;
  const text = `Of the cores' time this run used ${percent(own)}, other processes ` +
    `${percent(others)}, and the host took ${percent(stolen)}.`;
  return tooBusy ? `${text}\nTHE MACHINE WAS TOO BUSY FOR THESE NUMBERS TO BE TRUSTED.` : text;
}

/** Results by row: those of one row in all its columns stand together. */
function byRow(rows: readonly RowResult[]): RowResult[][] {
  return [...Map.groupBy(rows, ({ family, id }) => `${family} ${id}`).values()];
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
  for (const results of byRow(rows)) {
    if (results[0]!.family !== family) {
      family = results[0]!.family;
      const width = STATISTICS.length * NUMBER_WIDTH;
      const columns = results.map(({ column }) => COLUMN_TITLES[column].padStart(width));
      const heads = STATISTICS.map((name) => name.padStart(NUMBER_WIDTH)).join("");
      lines.push("", " ".repeat(TITLE_WIDTH) + columns.join(""));
      lines.push(family.padEnd(TITLE_WIDTH) + heads.repeat(results.length));
    }
    lines.push(rowLine(results).trimEnd());
    const own = ownGoal(results[0]!);
    if (own !== undefined) lines.push(`    ${own}: ${verdicts(results)}`);
    for (const { by, goal, columns } of comparisons(results, titles)) {
      const ratios = columns.map((column) => ratioText(column).padStart(RATIO_WIDTH)).join("");
      const judged = goal === undefined ? "" : `, goal ${boundText(goal)}: ${verdicts(columns)}`;
      lines.push(`    ${ratios} ${by}${judged}`);
    }
    const states = statesText(results);
    if (states !== undefined) lines.push(`    ${states}`);
  }
  return [...lines, "", goalLine(rows), ...endLines(report)].join("\n");
}

/**
 * The table as Markdown, as `docs/performance.md` has it: for each row its numbers, and below them
 * what it is compared with.
 *
 * @param report What the run found.
 * @returns The machine in a paragraph, the table, and what else there is to know.
 */
export function markdown(report: Report): string {
  const { machine, rows } = report;
  const titles = new Map(rows.map(({ id, title }) => [id, title]));
  const used = COLUMNS.filter((name) => rows.some(({ column }) => column === name));
  const line = (
    title: string,
    cells: (column: Column) => string,
    goal = "",
    met = "",
  ) => [title, ...used.map(cells), goal, met];
  const lines = [line("row: p50 / mean / p99", (column) => COLUMN_TITLES[column], "goal", "met")];
  for (const results of byRow(rows)) {
    const of = new Map(results.map((result) => [result.column, result]));
    const [first] = results as [RowResult];
    const missing = first.failed === undefined ? "" : "FAILED";
    const own = ownGoal(first);
    lines.push(line(
      `${first.title}, ${first.unit}`,
      (column) => of.has(column) ? numbers(of.get(column)!).filter(Boolean).join(" / ") : missing,
      own?.replace("goal ", ""),
      own && verdicts(results),
    ));
    for (const { by, goal, columns } of comparisons(results, titles)) {
      const ratios = new Map(columns.map((column) => [column.column, ratioText(column)]));
      const wants = goal && boundText(goal);
      lines.push(line(by, (name) => ratios.get(name) ?? "", wants, goal && verdicts(columns)));
    }
    const states = statesText(results);
    if (states !== undefined) lines.push(line(states, () => ""));
  }
  const text = [machineLine(machine), "", ...padded(lines), "", goalLine(rows)];
  return [...text, ...endLines(report)].join("\n");
}

/** The lines of a table in Markdown, as the formatter would have them. */
function padded(lines: readonly (readonly string[])[]): string[] {
  const widths = lines[0]!.map((_, at) => Math.max(...lines.map((cells) => cells[at]!.length), 3));
  const rule = widths.map((width) => "-".repeat(width));
  const [head, ...rest] = lines;
  return [head!, rule, ...rest].map((cells) =>
    `| ${cells.map((cell, at) => cell.padEnd(widths[at]!)).join(" | ")} |`
  );
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

function endLines({ busyness, quick, notes, seconds, rows }: Report): string[] {
  const failures = rows.filter(({ failed }) => failed !== undefined)
    .map(({ family, failed }) => `FAILED: ${family}: ${failed}`);
  return [
    ...new Set(failures),
    busynessText(busyness),
    ...quick ? ["A quick run: few samples, small sizes."] : [],
    ...notes.map((note) => `Note: ${note}.`),
    `${Math.round(seconds)} s`,
  ];
}

function machineLine({ date, cores, cpu, kernel, deno, zig }: Machine): string {
  return `${date}: ${cores} cores (${cpu}), Linux ${kernel}, Deno ${deno}, Zig ${zig}`;
}

function goalLine(rows: readonly RowResult[]): string {
  const judged = rows.flatMap((row) => [row.met, ...row.against.map(({ met }) => met)])
    .filter((met) => met !== undefined);
  const met = judged.filter((met) => met).length;
  return `${met} of ${judged.length} goals met.`;
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
