/**
 * Counts of the things that must sometimes happen: a simulator that never reaches a case proves
 * nothing about it. A table has a cell for each pair of a row and a column, such as an input and
 * the state that it meets. A large run visits every cell, except those listed as impossible, with
 * the reason; a visit to an impossible cell ends the schedule.
 */

import { fail } from "./oracle.ts";

/** Pairs that cannot happen, or hardly. */
export interface Reason<Row extends string, Column extends string> {
  /** Why not. */
  readonly why: string;
  /** Each of these rows, or all of them, … */
  readonly rows: readonly Row[] | "all";
  /** … with each of these columns, or with all of them. */
  readonly columns: readonly Column[] | "all";
}

/** What a table is about. */
export interface TableShape<Row extends string, Column extends string> {
  /** What is counted, in a few words. */
  readonly title: string;
  readonly rows: readonly Row[];
  readonly columns: readonly Column[];
  /** What cannot happen. */
  readonly never: readonly Reason<Row, Column>[];
  /** What can, but not so often that a large run is sure to visit it. */
  readonly rare?: readonly Reason<Row, Column>[];
}

/** The least width of a column, in characters. */
const CELL_WIDTH = 9;

function numbered(names: readonly string[]): Map<string, number> {
  return new Map(names.map((name, index) => [name, index]));
}

/** How often each pair happened. */
export class CoverageTable<Row extends string = string, Column extends string = string> {
  readonly shape: TableShape<Row, Column>;
  readonly #rows: Map<string, number>;
  readonly #columns: Map<string, number>;
  /** Row by row. */
  readonly #counts: Float64Array;
  /** For each cell 0, or the number of the reason why it may be empty, from 1 on. */
  readonly #cellReasons: Uint8Array;
  /** Those for which something cannot happen, and behind them those for which it is rare. */
  readonly #reasons: readonly Reason<Row, Column>[];

  /** @param shape What the table is about. */
  constructor(shape: TableShape<Row, Column>) {
    this.shape = shape;
    this.#rows = numbered(shape.rows);
    this.#columns = numbered(shape.columns);
    this.#counts = new Float64Array(shape.rows.length * shape.columns.length);
    this.#cellReasons = new Uint8Array(this.#counts.length);
    this.#reasons = [...shape.never, ...shape.rare ?? []];
    for (const [index, { rows, columns }] of this.#reasons.entries()) {
      for (const row of rows === "all" ? shape.rows : rows) {
        for (const column of columns === "all" ? shape.columns : columns) {
          const cell = this.#cell(row, column);
          if (this.#cellReasons[cell] === 0) this.#cellReasons[cell] = index + 1;
        }
      }
    }
  }

  /**
   * Takes note of a pair.
   *
   * @param row The one.
   * @param column The other.
   * @throws {InvariantError} When it is one that cannot happen.
   */
  count(row: Row, column: Column): void {
    const cell = this.#cell(row, column);
    this.#counts[cell]!++;
    if (!this.#isNever(cell)) return;
    const { why } = this.#reasons[this.#cellReasons[cell]! - 1]!;
    fail(`${this.shape.title}: "${row}" met "${column}", though ${why}`);
  }

  /** @returns How often a pair happened. */
  times(row: Row, column: Column): number {
    return this.#counts[this.#cell(row, column)]!;
  }

  /** The counts, row by row, as another table of this shape can {@linkcode add} them. */
  get counts(): Float64Array {
    return this.#counts;
  }

  /** @param counts The counts of another table of this shape. */
  add(counts: Float64Array): void {
    for (const [cell, count] of counts.entries()) this.#counts[cell]! += count;
  }

  /** @returns The pairs that can happen, are not rare and did not, as "row / column". */
  unvisited(): string[] {
    const missing: string[] = [];
    for (const row of this.shape.rows) {
      for (const column of this.shape.columns) {
        const cell = this.#cell(row, column);
        if (this.#counts[cell] !== 0 || this.#cellReasons[cell] !== 0) continue;
        missing.push(`${this.shape.title}: ${row} / ${column}`);
      }
    }
    return missing;
  }

  /** How many pairs can happen and are not rare. */
  get possible(): number {
    return this.#cellReasons.filter((reason) => reason === 0).length;
  }

  /**
   * @returns The table for people; a letter in a cell is the reason, given below, why it is empty.
   */
  format(): string {
    const { title, rows, columns } = this.shape;
    const head = Math.max(title.length, ...rows.map((row) => row.length));
    const widths = columns.map((column) => Math.max(CELL_WIDTH, column.length));
    const line = (name: string, cells: readonly string[]): string =>
      [name.padEnd(head), ...cells.map((cell, index) => cell.padStart(widths[index]!))].join("  ");
    const used = new Set<number>();
    const lines = [line(title, columns)];
    for (const row of rows) {
      lines.push(line(
        row,
        columns.map((column) => {
          const cell = this.#cell(row, column);
          const reason = this.#cellReasons[cell]!;
          if (reason === 0 || this.#counts[cell] !== 0) return `${this.#counts[cell]}`;
          used.add(reason);
          return letter(reason);
        }),
      ));
    }
    for (const reason of [...used].sort((a, b) => a - b)) {
      const kind = reason > this.shape.never.length ? "rare" : "never";
      lines.push(`  ${letter(reason)}: ${kind}, since ${this.#reasons[reason - 1]!.why}`);
    }
    return lines.join("\n");
  }

  #isNever(cell: number): boolean {
    const reason = this.#cellReasons[cell]!;
    return reason !== 0 && reason <= this.shape.never.length;
  }

  #cell(row: Row, column: Column): number {
    return this.#rows.get(row)! * this.#columns.size + this.#columns.get(column)!;
  }
}

function letter(reason: number): string {
  return String.fromCharCode("a".charCodeAt(0) + reason - 1);
}

/** The tables of a simulator, by name. */
export type Tables = Readonly<
  Record<string, Pick<CoverageTable, "counts" | "format" | "unvisited" | "possible">>
>;
/** The counts of all tables, as they travel between Workers. */
export type Counts = Readonly<Record<string, Float64Array>>;

/** @returns The counts of all tables. */
export function countsOf(tables: Tables): Counts {
  return Object.fromEntries(Object.entries(tables).map(([name, { counts }]) => [name, counts]));
}

/**
 * Sums up what was visited.
 *
 * @param tables The tables of a simulator.
 * @returns The tables for people, and the pairs that can happen and did not.
 */
export function report(tables: Tables): { text: string; unvisited: string[] } {
  const all = Object.values(tables);
  const unvisited = all.flatMap((table) => table.unvisited());
  const possible = all.reduce((sum, table) => sum + table.possible, 0);
  const lines = all.map((table) => table.format());
  lines.push(`visited: ${possible - unvisited.length} of the ${possible} pairs that can happen`);
  return { text: lines.join("\n\n"), unvisited };
}
