/**
 * What a row of the benchmark is, and a family of rows that are measured together.
 *
 * Absolute times depend on the machine and on what else it does. So the rows of a family are measured
 * in rounds that take turns, its floors among them, and only ratios within a family are judged.
 */

import type { Context } from "./context.ts";

/** In what a row is given. */
export type Unit = "us" | "MB/s" | "ms" | "B/page" | "%" | "messages" | "1/ms";

/** What a number has to be. */
export interface Bound {
  /** Whether the limit is the most or the least that it may be. */
  readonly is: "atMost" | "atLeast";
  /** The limit. */
  readonly limit: number;
}

/** A row is compared with another of its family: the ratio of the medians. */
export interface Comparison {
  /** The other row. */
  readonly row: string;
  /** What the ratio has to be, where there is a goal. */
  readonly goal?: Bound;
}

/** One thing that is measured. */
export interface Row {
  /** What `--row` knows it by. */
  readonly id: string;
  /** What it is. */
  readonly title: string;
  readonly unit: Unit;
  /** What it is compared with. */
  readonly against?: readonly Comparison[];
  /** What the median itself has to be, where there is a goal. */
  readonly goal?: Bound;
  /** Whether every measurement must be the same. */
  readonly constant?: boolean;
}

/** The rows of a family that can be measured: its processes are there. */
export interface OpenFamily extends AsyncDisposable {
  /** Takes a round of each row; resolves with its samples, in the row's unit. */
  readonly take: { readonly [row: string]: () => Promise<readonly number[]> };
  /** Why rows cannot be measured here. */
  readonly skipped?: { readonly [row: string]: string };
}

/** How many rounds a family takes. */
export interface Rounds {
  /** Of a full run. */
  readonly full: number;
  /** Of a quick one. */
  readonly quick: number;
  /** Whether one more goes before, which does not count. */
  readonly warmUp: boolean;
}

/** Rows that are measured by the same processes, in rounds that take turns. */
export interface Family {
  readonly name: string;
  readonly rows: readonly Row[];
  readonly rounds: Rounds;
  /**
   * Starts the processes that the wanted rows need.
   *
   * @param context What the run has.
   * @param wanted The ids of the rows that are to be measured.
   * @returns How rounds are taken; dispose of it to end the processes.
   */
  open(context: Context, wanted: ReadonlySet<string>): Promise<OpenFamily>;
}

/**
 * A bound from above.
 *
 * @param limit The most that it may be.
 * @returns The bound.
 */
export function atMost(limit: number): Bound {
  return { is: "atMost", limit };
}

/**
 * A bound from below.
 *
 * @param limit The least that it may be.
 * @returns The bound.
 */
export function atLeast(limit: number): Bound {
  return { is: "atLeast", limit };
}

/**
 * Judges a number.
 *
 * @param value What was measured.
 * @param bound What it has to be.
 * @returns Whether it is.
 */
export function meets(value: number, { is, limit }: Bound): boolean {
  return is === "atMost" ? value <= limit : value >= limit;
}
