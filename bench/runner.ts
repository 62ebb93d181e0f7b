/** Takes the rounds of families in turn, and compares what came out. */

import {
  type Bound,
  type Context,
  type Family,
  meets,
  type OpenFamily,
  type Row,
} from "./family.ts";
import type { Progress } from "./progress.ts";

/** What came of a comparison. */
export interface ComparisonResult {
  /** The row that it was compared with. */
  readonly row: string;
  /** The ratio of the medians; absent where the other row was not measured. */
  readonly ratio?: number;
  readonly goal?: Bound;
  /** Whether the goal is met; absent where there is none, or no ratio. */
  readonly met?: boolean;
}

/** What came of a row. */
export interface RowResult {
  readonly family: string;
  readonly id: string;
  readonly title: string;
  readonly unit: string;
  /** Absent where the row was skipped. */
  readonly measured?: Distribution;
  /** Why it was skipped. */
  readonly skipped?: string;
  /** Why its family could not be measured. */
  readonly failed?: string;
  readonly against: readonly ComparisonResult[];
  /** What the median has to be. */
  readonly goal?: Bound;
  /** Whether all measurements have to be the same. */
  readonly constant?: boolean;
  /** Whether `goal` and `constant` are met; absent where there is neither. */
  readonly met?: boolean;
}

/** A family, and the ids of its rows that are to be measured. */
export interface Chosen {
  readonly family: Family;
  readonly wanted: ReadonlySet<string>;
}

/**
 * Chooses rows: those that are named, and what they are compared with. A row that several families
 * have, to compare with, is that of the first.
 *
 * @param families All families.
 * @param names Ids of rows, or names of families; empty for all.
 * @returns The families with rows to be measured.
 * @throws {TypeError} When there is nothing of a name.
 */
export function choose(families: readonly Family[], names: ReadonlySet<string>): Chosen[] {
  const unknown = new Set(names);
  const chosen = families.map((family) => {
    const all = names.size === 0 || unknown.delete(family.name);
    const rows = family.rows.filter(({ id }) => unknown.delete(id) || all);
    const ids = rows.flatMap(({ id, against = [] }) => [id, ...against.map(({ row }) => row)]);
    return { family, wanted: new Set(ids) };
  });
  if (unknown.size === 0) return chosen.filter(({ wanted }) => wanted.size > 0);
  throw new TypeError(`there is no row ${[...unknown].join(", ")}; --list says which there are`);
}

/**
 * How long a family takes.
 *
 * @param family The family.
 * @param context The run.
 * @returns Its rounds, with the one that does not count.
 */
export function roundsOf({ rounds }: Family, context: Context): number {
  return (context.quick ? rounds.quick : rounds.full) + (rounds.warmUp ? 1 : 0);
}

/**
 * Measures a family.
 *
 * @param family The family.
 * @param context The run.
 * @param wanted The ids of the rows to be measured; not empty.
 * @param progress Is told how far it is.
 * @returns What came of each of them.
 * @throws {Error} Which row cannot be measured, and why.
 */
export async function runFamily(
  family: Family,
  context: Context,
  wanted: ReadonlySet<string>,
  progress: Progress,
): Promise<RowResult[]> {
  progress.begin(`${family.name}: starting`);
  const samples = new Map<string, number[]>();
  await using stack = new AsyncDisposableStack();
  const opened = await family.open(context, stack, wanted);
  const rows = family.rows.filter(({ id }) => wanted.has(id));
  const rounds = roundsOf(family, context);
  for (let round = 0; round < rounds; round++) {
    const counts = round > 0 || !family.rounds.warmUp;
    for (const row of rows) {
      if (opened.skipped?.[row.id] !== undefined) continue;
      progress.begin(`${family.name}, round ${round + 1} of ${rounds}: ${row.title}`);
      const taken = await takeRound(opened, row);
      if (counts) samples.set(row.id, [...samples.get(row.id) ?? [], ...taken]);
    }
    progress.done(1);
  }
  return summarise(family, rows, opened, samples);
}

/**
 * The rows of a family that could not be measured.
 *
 * @param family The family.
 * @param wanted The ids of the rows that were to be measured.
 * @param error Why.
 * @returns A result for each.
 */
export function failedRows(
  family: Family,
  wanted: ReadonlySet<string>,
  error: unknown,
): RowResult[] {
  const failed = error instanceof Error ? error.message : String(error);
  return family.rows.filter(({ id }) => wanted.has(id)).map(({ id, title, unit }) => {
    return { family: family.name, id, title, unit, failed, against: [] };
  });
}

async function takeRound({ take }: OpenFamily, { id }: Row): Promise<readonly number[]> {
  const round = take[id];
  if (round === undefined) throw new Error(`Nothing measures ${id}`);
  try {
    return await round();
  } catch (cause) {
    throw new Error(`Cannot measure ${id}: ${(cause as Error).message}`, { cause });
  }
}

function summarise(
  family: Family,
  rows: readonly Row[],
  { skipped = {} }: OpenFamily,
  samples: ReadonlyMap<string, readonly number[]>,
): RowResult[] {
  const measured = new Map(
    [...samples].filter(([, values]) => values.length > 0)
      .map(([id, values]) => [id, distribution(values)]),
  );
  return rows.map((row) => {
    const { id, title, unit, goal, constant } = row;
    const own = measured.get(id);
    const head = { family: family.name, id, title, unit };
    const wants = { ...(goal && { goal }), ...(constant && { constant }) };
    if (own === undefined) {
      return { ...head, ...wants, skipped: skipped[id] ?? "no samples", against: [] };
    }
    const against = (row.against ?? []).map((comparison) => {
      const other = measured.get(comparison.row);
      return compare(own, other, comparison.row, comparison.goal);
    });
    const met = (goal === undefined || meets(own.p50, goal)) &&
      (constant !== true || own.min === own.max);
    const judged = goal !== undefined || constant === true;
    return { ...head, ...wants, measured: own, against, ...(judged && { met }) };
  });
}

function compare(
  own: Distribution,
  other: Distribution | undefined,
  row: string,
  goal: Bound | undefined,
): ComparisonResult {
  if (other === undefined) return { row, ...(goal && { goal }) };
  const ratio = own.p50 / other.p50;
  return { row, ratio, ...(goal && { goal, met: meets(ratio, goal) }) };
}

/** A distribution, in the unit of what was measured. */
export interface Distribution {
  /** How many times it was measured. */
  readonly count: number;
  /** The median. */
  readonly p50: number;
  /** The mean, which is what many of it in a row cost. */
  readonly mean: number;
  /** What one in a hundred exceeds. */
  readonly p99: number;
  /** The least. */
  readonly min: number;
  /** The greatest. */
  readonly max: number;
}

/**
 * Sums up measurements.
 *
 * @param values The measurements, in any order; at least one.
 * @returns Their distribution.
 * @throws {RangeError} When there is none.
 */
export function distribution(values: readonly number[]): Distribution {
  if (values.length === 0) throw new RangeError("Cannot sum up no measurements");
  const sorted = Float64Array.from(values).sort();
  const count = sorted.length;
  const p50 = (sorted[(count - 1) >> 1]! + sorted[count >> 1]!) / 2;
  const p99 = sorted[Math.ceil(count * 0.99) - 1]!;
  const mean = sorted.reduce((sum, value) => sum + value, 0) / count;
  return { count, p50, mean, p99, min: sorted[0]!, max: sorted[count - 1]! };
}
