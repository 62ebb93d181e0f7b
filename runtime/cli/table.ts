/** Tables for people: what `--status`, `--doctor` and the examples print in columns. */

/** What parts two columns. */
const GAP = "  ";

/**
 * Writes a table.
 *
 * @param rows Its rows, the titles first; all have as many cells.
 * @param left The columns whose cells begin at the left, by number; the others end at the right.
 * @returns Lines, each with its end.
 */
export function formatTable(
  rows: readonly (readonly string[])[],
  left: readonly number[] = [],
): string {
  const widths = (rows[0] ?? []).map((_, column) =>
    Math.max(...rows.map((row) => row[column]!.length))
  );
  const line = (row: readonly string[]): string => {
    const cells = row.map((cell, column) =>
      left.includes(column) ? cell.padEnd(widths[column]!) : cell.padStart(widths[column]!)
    );
    return `${cells.join(GAP).trimEnd()}\n`;
  };
  return rows.map(line).join("");
}
