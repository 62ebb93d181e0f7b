/** Tables for people: what `--status`, `--doctor` and the examples print in columns. */

/** What parts two columns. */
const GAP = "  ";

/** How a table is written. */
export interface TableLayout {
  /** The columns whose cells begin at the left, by number; the others end at the right. */
  readonly left?: readonly number[];
  /**
   * The most characters of a line. Columns that do not fit follow below, in a table of their own
   * that has the first column too. A single column may be wider.
   */
  readonly width?: number;
  /** Gives a line its looks; `row` is the number of the row, 0 for the titles. */
  readonly paint?: (line: string, row: number) => string;
}

/**
 * Writes a table.
 *
 * @param rows Its rows, the titles first; all have as many cells.
 * @param layout How to write the table.
 * @returns Lines, each with its end.
 */
export function formatTable(
  rows: readonly (readonly string[])[],
  { left = [], width = Infinity, paint = (line) => line }: TableLayout = {},
): string {
  const widths = (rows[0] ?? []).map((_, column) =>
    Math.max(...rows.map((row) => row[column]!.length))
  );
  const line = (row: readonly string[], columns: readonly number[]): string => {
    const cells = columns.map((column) => {
      const cell = row[column]!;
      return left.includes(column) ? cell.padEnd(widths[column]!) : cell.padStart(widths[column]!);
    });
    return cells.join(GAP).trimEnd();
  };
  return parts(widths, width).map((columns) =>
    rows.map((row, index) => `${paint(line(row, columns), index)}\n`).join("")
  ).join("\n");
}

/** Shares out columns among tables of at most so many characters; each has the first column. */
function parts(widths: readonly number[], width: number): number[][] {
  const tables: number[][] = [[]];
  let used = 0;
  for (const [column, own] of widths.entries()) {
    if (used + own > width && tables.at(-1)!.length > 1) {
      tables.push([0]);
      used = widths[0]! + GAP.length;
    }
    tables.at(-1)!.push(column);
    used += own + GAP.length;
  }
  return tables;
}
