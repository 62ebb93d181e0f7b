/**
 * What the pages of a dashboard are told: looks at the cluster when a browser asks, and then not
 * more often than the cluster can do without notice, however many browsers there are.
 */

import { type Address, formatAddress } from "../address.ts";
import type { ClusterSnapshot, NodeSnapshot, Pages, Snapshot } from "../dashboard/snapshot.ts";
import { TdsmError } from "../errors.ts";
import {
  LOOK_RUNS_MAX,
  SNAPSHOT_FRESH_MS,
  SNAPSHOT_NODE_MS,
  SNAPSHOT_PAUSE_MS,
  SNAPSHOT_RUN_MS,
  SNAPSHOTS_WAITING_MAX,
} from "../limits.ts";
import type { Secret } from "../secure/handshake.ts";
import { cellPages } from "../wire/status_control.ts";
import { ClusterLook, type LookOptions, reachedAt, type Seen, type SeenNode } from "./look.ts";

/** What there is to look at. */
export interface FeedOptions {
  /** Where the directory listens; `undefined` while that is not known. */
  readonly directory: () => Address | undefined;
  /** The key of the cluster, if it has one. */
  readonly secret?: Secret | undefined;
  /** Opens what looks at the cluster, in tests. */
  readonly open?: (options: LookOptions) => LookPart;
}

/** What a feed looks by. */
export type LookPart = Pick<ClusterLook, "look" | "connections"> & Disposable;

/** What one look has seen. */
interface Look {
  /** When it was begun, by `performance.now`. */
  readonly askedMs: number;
  /** The runs whose cells were asked for. */
  readonly runs: readonly Pages[];
  /** What was seen, with the cells of one of the runs. */
  readonly snapshot: (run: Pages | undefined) => Snapshot;
  /** How many nodes were seen. */
  readonly nodes: number;
}

/** A request of a browser that waits for a look. */
interface Request {
  readonly run: Pages | undefined;
  readonly answer: PromiseWithResolvers<Snapshot>;
}

/** Looks at a cluster for any number of browsers, each of which may look at other pages. */
export class Feed implements Disposable {
  readonly #options: FeedOptions;
  #look: LookPart | undefined;
  #last: Look | undefined;
  /** The oldest first. */
  #waiting: Request[] = [];
  /** When each run was last asked for, by `performance.now`; the latest at the end. */
  readonly #wanted = new Map<string, { readonly run: Pages; readonly atMs: number }>();
  #isLooking = false;
  #closed = false;

  /** @param options What to look at. */
  constructor(options: FeedOptions) {
    this.#options = options;
  }

  /**
   * What there is to see. One look is for all that wait, and for the runs of pages that browsers
   * have asked for lately.
   *
   * @param run The pages whose cells are wanted.
   * @returns What was seen; `undefined` where too many ask at one time.
   */
  snapshot(run?: Pages): Promise<Snapshot> | undefined {
    if (this.#waiting.length >= SNAPSHOTS_WAITING_MAX) return undefined;
    const nowMs = performance.now();
    if (run !== undefined) this.#want(run, nowMs);
    const last = this.#last;
    if (last !== undefined && nowMs - last.askedMs < SNAPSHOT_FRESH_MS && answers(last, run)) {
      return Promise.resolve(last.snapshot(run));
    }
    const answer = Promise.withResolvers<Snapshot>();
    this.#waiting.push({ run, answer });
    if (!this.#isLooking) void this.#lookOn();
    return answer.promise;
  }

  /** Ends the connection to the cluster, and makes no other. */
  [Symbol.dispose](): void {
    this.#closed = true;
    this.#look?.[Symbol.dispose]();
  }

  /** Takes note of a run that is asked for. */
  #want(run: Pages, atMs: number): void {
    const wanted = this.#wanted;
    const key = keyOf(run);
    wanted.delete(key);
    wanted.set(key, { run, atMs });
    for (const [old, { atMs: askedMs }] of wanted) {
      if (wanted.size <= LOOK_RUNS_MAX && atMs - askedMs < SNAPSHOT_RUN_MS) break;
      wanted.delete(old);
    }
  }

  /** Looks until nobody waits. */
  async #lookOn(): Promise<void> {
    this.#isLooking = true;
    while (this.#waiting.length > 0) {
      await this.#pause();
      try {
        const look = this.#last = await this.#see(this.#runs());
        const isAnswered = ({ run }: Request): boolean => answers(look, run);
        const answered = this.#waiting.filter(isAnswered);
        // Those for whose pages there was no room in this look are the first of the next.
        this.#waiting = this.#waiting.filter((request) => !isAnswered(request));
        for (const { run, answer } of answered) answer.resolve(look.snapshot(run));
      } catch (error) {
        for (const { answer } of this.#waiting) answer.reject(error);
        this.#waiting = [];
      }
    }
    this.#isLooking = false;
  }

  /** The next look is due later the more nodes there are to ask. */
  async #pause(): Promise<void> {
    if (this.#last === undefined) return;
    const { nodes, askedMs } = this.#last;
    const dueMs = askedMs + Math.max(SNAPSHOT_PAUSE_MS, nodes * SNAPSHOT_NODE_MS);
    const pauseMs = dueMs - performance.now();
    if (pauseMs > 0) await new Promise((resolve) => setTimeout(resolve, pauseMs));
  }

  /** The runs that the next look is to show: those of requests that wait, the oldest first. */
  #runs(): Pages[] {
    const oldMs = performance.now() - SNAPSHOT_RUN_MS;
    const lately = [...this.#wanted.values()].filter(({ atMs }) => atMs > oldMs);
    const runs = new Map<string, Pages>();
    for (const { run } of [...this.#waiting, ...lately.toReversed()]) {
      if (run !== undefined && runs.size < LOOK_RUNS_MAX) runs.set(keyOf(run), run);
    }
    return [...runs.values()];
  }

  async #see(runs: readonly Pages[]): Promise<Look> {
    const askedMs = performance.now();
    const none = (reason: string): Look => ({
      askedMs,
      runs,
      snapshot: () => ({ kind: "none", reason }),
      nodes: 0,
    });
    if (this.#closed) return none("The dashboard ends");
    const directory = this.#options.directory();
    if (directory === undefined) return none("The directory node starts");
    const { secret, open = (options) => new ClusterLook(options) } = this.#options;
    const look = this.#look ??= open({ directory, secret });
    try {
      const seen = await look.look(runs.length === 0 ? undefined : runs);
      const [atMs, session] = [performance.now(), look.connections];
      const snapshot = (run: Pages | undefined): Snapshot => {
        return { kind: "cluster", atMs, session, ...view(seen, directory, runs, run) };
      };
      return { askedMs, runs, snapshot, nodes: seen.nodes.length };
    } catch (error) {
      if (!(error instanceof TdsmError)) throw error;
      return none(error.message);
    }
  }
}

function keyOf({ first, count }: Pages): string {
  return `${first}+${count}`;
}

/** Where a run stands among others; -1 where it is none of them. */
function indexOf(runs: readonly Pages[], { first, count }: Pages): number {
  return runs.findIndex((run) => run.first === first && run.count === count);
}

/** Whether a look answers a request for some cells; one that has seen nothing answers all. */
function answers({ runs, nodes }: Look, run: Pages | undefined): boolean {
  return nodes === 0 || run === undefined || indexOf(runs, run) >= 0;
}

/** What was seen, as the page has it. */
function view(
  { cluster, nodes, places, events }: Seen,
  directory: Address,
  runs: readonly Pages[],
  run: Pages | undefined,
): Omit<ClusterSnapshot, "kind" | "atMs" | "session"> {
  const { size, pageSize, named: allocations = [] } = cluster;
  return {
    directory: formatAddress(directory),
    size,
    pageSize,
    allocations,
    nodes: nodes.map((node) => viewOf(node, directory, run && indexOf(runs, run))),
    run: run ?? null,
    cellPages: run === undefined ? 0 : cellPages(run.count),
    places,
    events,
  };
}

/** A node as the page has it, with the cells of the run at an index. */
function viewOf(status: SeenNode, directory: Address, index: number | undefined): NodeSnapshot {
  const { id, counters, moves = [], sources = [], waits = [] } = status;
  const cells = index === undefined ? undefined : status.cells?.[index];
  return {
    id,
    at: formatAddress(reachedAt(status, directory)),
    stats: counters ?? null,
    moves,
    waits,
    sources: sources.map(({ node, pages }) => [node, pages]),
    cells: cells?.some((byte) => byte !== 0) ? cells.toBase64() : null,
  };
}

/**
 * Reads which pages a browser wants to see.
 *
 * @param query Of the address that it asks for: `first` and `count`, or neither.
 * @param pagesMax How many pages the largest region has.
 * @returns The pages, `undefined` where there are none; `"wrong"` where they are no pages.
 */
export function readRun(query: URLSearchParams, pagesMax: number): Pages | undefined | "wrong" {
  const [first, count] = [query.get("first"), query.get("count")];
  if (first === null && count === null) return undefined;
  const isNumber = (text: string | null): text is string => /^\d{1,10}$/.test(text ?? "");
  if (!isNumber(first) || !isNumber(count)) return "wrong";
  const run = { first: Number(first), count: Number(count) };
  return run.count >= 1 && run.first + run.count <= pagesMax ? run : "wrong";
}
