/** Takes the rounds of families in turn, and compares what came out. */

import {
  type Bound,
  type Column,
  type Comparison,
  type Context,
  type Family,
  meets,
  type OpenFamily,
  type Row,
  type Run,
  type Statistic,
} from "./family.ts";
import type { Progress } from "./progress.ts";

/** What came of a comparison. */
export interface ComparisonResult {
  /** The row that it was compared with. */
  readonly row: string;
  /** Which number of the row was divided by which of the other. */
  readonly of: Statistic;
  readonly to: Statistic;
  /** The ratio; absent where the other row was not measured. */
  readonly ratio?: number;
  readonly goal?: Bound;
  /** Whether the goal is met; absent where there is none, or no ratio. */
  readonly met?: boolean;
}

/** What came of a row in one column. */
export interface RowResult {
  readonly column: Column;
  readonly family: string;
  readonly id: string;
  readonly title: string;
  readonly unit: string;
  /** Absent where the row was skipped. */
  readonly measured?: Distribution;
  /** The states that a floor was in, where it was in two. */
  readonly states?: readonly [State, State];
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
export function roundsOf({ rounds }: Family, { quick }: Pick<Context, "quick">): number {
  return (quick ? rounds.quick : rounds.full) + (rounds.warmUp ? 1 : 0);
}

/** Where a family is measured unless it says otherwise. */
const COLUMNS_DEFAULT: readonly Column[] = ["free", "tied"];

/**
 * The columns in which a family is measured: of those that are wanted, all that it has; where it
 * has none of them, its first, since where its threads run does not matter then.
 *
 * @param family The family.
 * @param wanted The columns that are wanted.
 * @returns The columns, at least one.
 */
export function columnsOf(
  { columns = COLUMNS_DEFAULT }: Family,
  wanted: readonly Column[],
): readonly Column[] {
  const common = columns.filter((column) => wanted.includes(column));
  return common.length > 0 ? common : columns.slice(0, 1);
}

/**
 * Beside busy loops one round in so many is taken, and none to warm up: they take ten times as
 * long, by the same processes as those with free threads.
 */
const BUSY_ROUNDS_APART = 3;
/**
 * How long a family may take that does not say, in milliseconds: then no further round is begun. On
 * a machine that does other things rounds take many times as long, and more of them say no more.
 */
const FAMILY_MAX_MS = { full: 25_000, quick: 8_000 };

/**
 * Measures a family: in each round every row in every column. A note says when there was no time
 * for all rounds.
 *
 * @param family The family.
 * @param run The run.
 * @param wanted The ids of the rows to be measured; not empty.
 * @param progress Is told how far it is.
 * @returns What came of each of them in each column; the columns of a row stand together.
 * @throws {Error} Which row cannot be measured, and why.
 */
export async function runFamily(
  family: Family,
  run: Run,
  wanted: ReadonlySet<string>,
  progress: Progress,
): Promise<RowResult[]> {
  progress.begin(`${family.name}: starting`);
  await using stack = new AsyncDisposableStack();
  const places = new Map<Context, OpenFamily>();
  const columns = columnsOf(family, run.columns).map((name) => ({
    name,
    context: run.context(name),
    samples: new Map<string, number[]>(),
  }));
  for (const { context } of columns) {
    if (!places.has(context)) places.set(context, await family.open(context, stack, wanted));
  }
  const rows = family.rows.filter(({ id }) => wanted.has(id));
  const rounds = roundsOf(family, run);
  const firstCounted = family.rounds.warmUp ? 1 : 0;
  const begun = performance.now();
  const { maxMs = run.quick ? FAMILY_MAX_MS.quick : FAMILY_MAX_MS.full } = family;
  for (let round = 0; round < rounds; round++) {
    if (round > firstCounted && performance.now() - begun > maxMs) {
      run.notes.add(`${family.name}: there was time for ${round} of ${rounds} rounds only`);
      progress.done(rounds - round);
      break;
    }
    const counts = round >= firstCounted;
    for (const { name, context, samples } of columns) {
      if (name === "busy" && (round - firstCounted) % BUSY_ROUNDS_APART !== 0) continue;
      const opened = places.get(context)!;
      await run.within(name, async () => {
        for (const row of rows) {
          if (opened.skipped?.[row.id] !== undefined) continue;
          progress.begin(`${family.name}, round ${round + 1} of ${rounds}, ${name}: ${row.title}`);
          const taken = await takeRound(opened, row);
          if (counts) samples.set(row.id, [...samples.get(row.id) ?? [], ...taken]);
        }
      });
    }
    progress.done(1);
  }
  const results = columns.map(({ name, context, samples }) =>
    summarise(family, rows, places.get(context)!, samples, name)
  );
  return rows.flatMap((_, index) => results.map((column) => column[index]!));
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
    return { column: "free", family: family.name, id, title, unit, failed, against: [] };
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
  column: Column,
): RowResult[] {
  const measured = new Map(
    [...samples].filter(([, values]) => values.length > 0)
      .map(([id, values]) => [id, distribution(values)]),
  );
  return rows.map((row) => {
    const { id, title, unit, constant } = row;
    const goal = goalIn(column, row.goal);
    const own = measured.get(id);
    const head = { column, family: family.name, id, title, unit };
    const wants = { ...(goal && { goal }), ...(constant && { constant }) };
    if (own === undefined) {
      return { ...head, ...wants, skipped: skipped[id] ?? "no samples", against: [] };
    }
    const against = (row.against ?? []).map((comparison) =>
      compare(own, measured.get(comparison.row), comparison, column)
    );
    const isCalm = column !== "busy";
    const states = row.floor && isCalm ? twoStates(samples.get(id)!) : undefined;
    const met = (goal === undefined || meets(own.p50, goal)) &&
      (constant !== true || own.min === own.max);
    const judged = goal !== undefined || constant === true;
    return {
      ...head,
      ...wants,
      measured: own,
      ...(states && { states }),
      against,
      ...(judged && { met }),
    };
  });
}

/** Goals are for nodes that have the cores: beside busy loops it is only said what comes out. */
function goalIn(column: Column, goal: Bound | undefined): Bound | undefined {
  return column === "busy" ? undefined : goal;
}

function compare(
  own: Distribution,
  other: Distribution | undefined,
  { row, of = "p50", to = of, goal: wanted }: Comparison,
  column: Column,
): ComparisonResult {
  const goal = goalIn(column, wanted);
  const what = { row, of, to };
  if (other === undefined) return { ...what, ...(goal && { goal }) };
  const ratio = own[of] / other[to];
  return { ...what, ratio, ...(goal && { goal, met: meets(ratio, goal) }) };
}

/** One of the states that something was in. */
export interface State {
  /** The median of what was measured in it. */
  readonly p50: number;
  /** Its share of all measurements. */
  readonly share: number;
}

/** How much of the spread the border between two states must explain; of one state it is 0.64. */
const EXPLAINED_LEAST = 0.8;
/** The least share of the rarer state, and the least ratio of the two. */
const SHARE_LEAST = 0.05;
const APART_LEAST = 1.5;

/**
 * Whether measurements come from two states, as where the kernel puts two processes that wake each
 * other now on one core, now on two. The border between both is where it explains most of how far
 * the logarithms are spread (Otsu's method).
 *
 * @param values The measurements, in any order; all above 0.
 * @returns The states, the faster one first; `undefined` where there is but one.
 */
export function twoStates(values: readonly number[]): [State, State] | undefined {
  const sorted = values.toSorted((a, b) => a - b);
  const logs = sorted.map(Math.log);
  const count = logs.length;
  const sum = logs.reduce((sum, log) => sum + log, 0);
  const spread = logs.reduce((squares, log) => squares + (log - sum / count) ** 2, 0);
  let best = { border: 0, explained: 0 };
  let below = 0;
  for (let border = 1; border < count; border++) {
    below += logs[border - 1]!;
    const apart = below / border - (sum - below) / (count - border);
    const explained = apart ** 2 * border * (count - border) / count / spread;
    if (explained > best.explained) best = { border, explained };
  }
  const states = [sorted.slice(0, best.border), sorted.slice(best.border)].map((part) => ({
    p50: part.length > 0 ? distribution(part).p50 : 0,
    share: part.length / count,
  })) as [State, State];
  const [fast, slow] = states;
  const isOne = !(best.explained >= EXPLAINED_LEAST) || slow.p50 < APART_LEAST * fast.p50 ||
    Math.min(fast.share, slow.share) < SHARE_LEAST;
  return isOne ? undefined : states;
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
