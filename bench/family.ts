/**
 * What a row of the benchmark is, a family of rows that are measured together, and what the
 * families of one run have in common.
 *
 * Absolute times depend on the machine and on what else it does. So the rows of a family are
 * measured in rounds that take turns, its floors among them, and only ratios within a family are
 * judged.
 */

import { DenoPing, type DenoWaiting } from "./floor/deno_ping.ts";
import { Floor } from "./floor/floor.ts";
import { BenchCluster, type NodeSettings } from "./nodes.ts";

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
export interface OpenFamily {
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

/** A run of the benchmark. */
export class Context implements AsyncDisposable {
  /** Whether to measure less, in less time. */
  readonly quick: boolean;
  /** What a reader of the numbers has to know, each said once. */
  readonly notes = new Set<string>();
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
   * @param pinned Whether each process is tied to a core, as if it had a machine of its own.
   */
  constructor(quick: boolean, pinned = false) {
    this.quick = quick;
    const count = pinned ? Math.max(navigator.hardwareConcurrency, 2) : 0;
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
