/**
 * What a row of the benchmark is, a family of rows that are measured together, and what the
 * families of one run have in common.
 *
 * Absolute times depend on the machine and on what else it does. So the rows of a family are
 * measured in rounds that take turns, its floors among them, and only ratios within a family, in
 * one column, are judged.
 */

import { BusyLoops } from "./busy_loops.ts";
import { DenoPing, type DenoWaiting } from "./floor/deno_ping.ts";
import { Floor } from "./floor/floor.ts";
import { BenchCluster, type NodeSettings } from "./nodes.ts";

/**
 * A column of the table, in which every row of a family is measured. `"free"`: threads run where
 * the kernel likes. `"tied"`: each process is tied to a core, as if it had a machine of its own.
 * `"busy"`: threads are free, and each core has a loop beside them that computes.
 */
export type Column = "free" | "tied" | "busy";

/** The columns, in the order in which they stand. */
export const COLUMNS: readonly Column[] = ["free", "tied", "busy"];

/** The columns of a family that has nothing to do with where threads run. */
export const ONCE: readonly Column[] = ["free"];

/** In what a row is given. */
export type Unit = "us" | "MB/s" | "ms" | "B/page" | "%" | "messages" | "1/ms";

/** What a number has to be. */
export interface Bound {
  /** Whether the limit is the most or the least that it may be. */
  readonly is: "atMost" | "atLeast";
  /** The limit. */
  readonly limit: number;
}

/** A number that stands for many measurements. */
export type Statistic = "p50" | "mean" | "p99";

/** A row is compared with another of its family, or by two numbers with itself: a ratio. */
export interface Comparison {
  /** The other row. */
  readonly row: string;
  /** Which number of the row is divided; the median where nothing is said. */
  readonly of?: Statistic;
  /** By which number of the other row; where nothing is said, by the same. */
  readonly to?: Statistic;
  /** What the ratio has to be, where there is a goal; it does not hold beside busy loops. */
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
  /** Whether it is what the machine can do at best, to compare with. */
  readonly floor?: boolean;
}

/** The rows of a family that can be measured: its processes are there. */
export interface OpenFamily {
  /** Takes a round of each row; resolves with its samples, in the row's unit. */
  readonly take: { readonly [row: string]: () => Promise<readonly number[]> };
  /** Why rows cannot be measured here. */
  readonly skipped?: { readonly [row: string]: string };
}

/** How many rounds a family takes in each column. */
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
  /** How long it may take, in milliseconds, where that is more than others may. */
  readonly maxMs?: number;
  /** Where it is measured; `"free"` and `"tied"` where nothing is said. */
  readonly columns?: readonly Column[];
  /**
   * Starts the processes that the wanted rows need.
   *
   * @param context What the run has.
   * @param stack Gets the processes; they are ended when the family is measured.
   * @param wanted The ids of the rows that are to be measured.
   * @returns How rounds are taken.
   */
  open(
    context: Context,
    stack: AsyncDisposableStack,
    wanted: ReadonlySet<string>,
  ): Promise<OpenFamily>;
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

/** What families of one run share that are measured in the same place: free, or tied to cores. */
export class Context implements AsyncDisposable {
  /** Whether to measure less, in less time. */
  readonly quick: boolean;
  /** What a reader of the numbers has to know, each said once. */
  readonly notes: Set<string>;
  readonly #stack = new AsyncDisposableStack();
  readonly #pings = new Map<DenoWaiting, Promise<DenoPing>>();
  #floor: Promise<Floor> | undefined;

  /**
   * Where processes run: the first, which has the pages, on core 0, the next on core 1, and so on;
   * those for which no core is left share the last. Empty where they run as the kernel likes.
   */
  readonly cores: readonly number[];

  /**
   * @param quick Whether to measure less.
   * @param tied Whether each process is tied to a core, as if it had a machine of its own.
   * @param notes Gets what a reader has to know.
   */
  constructor(quick: boolean, tied = false, notes: Set<string> = new Set()) {
    this.quick = quick;
    this.notes = notes;
    const count = tied ? Math.max(navigator.hardwareConcurrency, 2) : 0;
    this.cores = Array.from(
      { length: count },
      (_, index) => Math.min(index, navigator.hardwareConcurrency - 1),
    );
  }

  /**
   * Starts nodes of one cluster.
   *
   * @param count How many, at least 1.
   * @param settings The settings of all.
   * @returns The cluster, once all have joined.
   */
  cluster(count: number, settings: NodeSettings = {}): Promise<BenchCluster> {
    return BenchCluster.start(count, settings, this.cores);
  }

  /**
   * @returns The native floor; started when it is first asked for, and asleep while it is not used.
   */
  floor(): Promise<Floor> {
    return this.#floor ??= this.#keep(Floor.start(this.cores));
  }

  /**
   * @param how How both sides wait.
   * @returns A TCP ping-pong of two Deno processes, likewise.
   */
  ping(how: DenoWaiting): Promise<DenoPing> {
    let ping = this.#pings.get(how);
    if (ping === undefined) {
      this.#pings.set(how, ping = this.#keep(DenoPing.start(how, this.cores)));
    }
    return ping;
  }

  /** Ends the floors. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack.disposeAsync();
  }

  async #keep<Owner extends AsyncDisposable>(starting: Promise<Owner>): Promise<Owner> {
    return this.#stack.use(await starting);
  }
}

/** A run of the benchmark: where its columns are measured. */
export class Run implements AsyncDisposable {
  /** The columns that are wanted. */
  readonly columns: readonly Column[];
  /** Whether to measure less, in less time. */
  readonly quick: boolean;
  /** What a reader of the numbers has to know, each said once. */
  readonly notes = new Set<string>();
  readonly #free: Context;
  readonly #tied: Context;
  #loops: Promise<BusyLoops> | undefined;

  /**
   * @param quick Whether to measure less.
   * @param columns The columns that are wanted.
   */
  constructor(quick: boolean, columns: readonly Column[] = COLUMNS) {
    this.columns = columns;
    this.quick = quick;
    this.#free = new Context(quick, false, this.notes);
    this.#tied = new Context(quick, true, this.notes);
  }

  /**
   * @param column A column.
   * @returns Where its processes run. Two columns have the same, which differ only in what else
   * runs.
   */
  context(column: Column): Context {
    return column === "tied" ? this.#tied : this.#free;
  }

  /**
   * Measures something with a loop that computes on each core, in the column that has them.
   *
   * @param column The column.
   * @param measure Measures.
   * @returns What that returns.
   */
  async within<Value>(column: Column, measure: () => Promise<Value>): Promise<Value> {
    if (column !== "busy") return await measure();
    const loops = await (this.#loops ??= BusyLoops.start(navigator.hardwareConcurrency));
    await loops.spin();
    try {
      return await measure();
    } finally {
      await loops.rest();
    }
  }

  /** Ends the floors, and the loops. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#free[Symbol.asyncDispose]();
    await this.#tied[Symbol.asyncDispose]();
    await (await this.#loops)?.[Symbol.asyncDispose]();
  }
}
