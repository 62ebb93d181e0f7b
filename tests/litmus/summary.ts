/** A line for each test and memory, out of the reports of all its placements. */

import type { Report } from "./suite.ts";

/** What became of one test, over all placements. */
interface Line {
  readonly test: string;
  readonly where: string;
  readonly accesses: string;
  readonly model: string;
  readonly allowed: number;
  /** The allowed outcomes that were seen. */
  readonly seen: Set<string>;
  runs: number;
  relaxed: number;
  forbidden: number;
}

function gather(reports: readonly Report[]): Line[] {
  const lines = new Map<string, Line>();
  for (const report of reports) {
    const { test, where, accesses, model, allowed, outcomes } = report;
    const key = JSON.stringify([test, where, accesses]);
    const line = lines.get(key) ??
      { test, where, accesses, model, allowed, seen: new Set(), runs: 0, relaxed: 0, forbidden: 0 };
    lines.set(key, line);
    line.runs += report.runs;
    line.relaxed += report.relaxed;
    line.forbidden += report.forbidden;
    for (const { outcome, allowed } of outcomes) if (allowed) line.seen.add(outcome.join(" "));
  }
  return [...lines.values()];
}

/**
 * Sums up reports.
 *
 * @param reports What became of each test in each placement.
 * @returns A table, a line for each test and place where it ran.
 */
export function printSummary(reports: readonly Report[]): string {
  const rows = gather(reports).map(({ seen, allowed, model, ...line }) => [
    line.test,
    line.where,
    line.accesses,
    `${line.runs}`,
    `${seen.size} of ${allowed} of ${model}`,
    `${line.relaxed}`,
    `${line.forbidden}`,
  ]);
  const heads = ["test", "where", "accesses", "runs", "outcomes seen", "relaxed", "forbidden"];
  const widths = heads.map((head, column) =>
    Math.max(head.length, ...rows.map((row) => row[column]!.length))
  );
  return [heads, ...rows].map((row) =>
    row.map((cell, column) => cell.padEnd(widths[column]!)).join("  ").trimEnd()
  ).join("\n");
}
