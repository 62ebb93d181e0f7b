/**
 * What the pages of a dashboard are told: looks at the cluster when a browser asks, and then not
 * more often than the cluster can do without notice, however many browsers there are.
 */

import { type Address, formatAddress } from "../address.ts";
import type { ClusterSnapshot, NodeSnapshot, Pages, Snapshot } from "../dashboard/snapshot.ts";
import { TdsmError } from "../errors.ts";
import { SNAPSHOT_FRESH_MS, SNAPSHOT_PAUSE_MS, SNAPSHOTS_WAITING_MAX } from "../limits.ts";
import type { Secret } from "../secure/handshake.ts";
import { cellPages, type NodeStatusControl } from "../wire/status_control.ts";
import { ClusterLook, reachedAt, type Seen } from "./look.ts";

/** What there is to look at. */
export interface FeedOptions {
  /** Where the directory listens; `undefined` while that is not known. */
  readonly directory: () => Address | undefined;
  /** The key of the cluster, if it has one. */
  readonly secret?: Secret | undefined;
}

/** Looks at a cluster for any number of browsers. */
export class Feed implements Disposable {
  readonly #options: FeedOptions;
  #look: ClusterLook | undefined;
  #last: { readonly snapshot: Snapshot; readonly askedMs: number } | undefined;
  /** Resolves when the looks that were asked for are done. */
  #queue: Promise<unknown> = Promise.resolve();
  #waiting = 0;
  #closed = false;

  /** @param options What to look at. */
  constructor(options: FeedOptions) {
    this.#options = options;
  }

  /**
   * Looks at the cluster, one request after the other.
   *
   * @param run The pages whose cells are wanted.
   * @returns What was seen; `undefined` where too many ask at one time.
   */
  snapshot(run?: Pages): Promise<Snapshot> | undefined {
    if (this.#waiting >= SNAPSHOTS_WAITING_MAX) return undefined;
    this.#waiting++;
    const snapshot = this.#queue.then(() => this.#next(run)).finally(() => this.#waiting--);
    this.#queue = snapshot.catch(() => {});
    return snapshot;
  }

  /** Ends the connection to the cluster, and makes no other. */
  [Symbol.dispose](): void {
    this.#closed = true;
    this.#look?.[Symbol.dispose]();
  }

  async #next(run: Pages | undefined): Promise<Snapshot> {
    const last = this.#last;
    if (last !== undefined) {
      const ageMs = performance.now() - last.askedMs;
      if (ageMs < SNAPSHOT_FRESH_MS && answers(last.snapshot, run)) return last.snapshot;
      const pauseMs = SNAPSHOT_PAUSE_MS - ageMs;
      if (pauseMs > 0) await new Promise((resolve) => setTimeout(resolve, pauseMs));
    }
    const askedMs = performance.now();
    const snapshot = await this.#see(run);
    this.#last = { snapshot, askedMs };
    return snapshot;
  }

  async #see(run: Pages | undefined): Promise<Snapshot> {
    if (this.#closed) return { kind: "none", reason: "The dashboard ends" };
    const directory = this.#options.directory();
    if (directory === undefined) return { kind: "none", reason: "The directory node starts" };
    const look = this.#look ??= new ClusterLook({ directory, secret: this.#options.secret });
    try {
      const seen = await look.look(run);
      const session = look.connections;
      return { kind: "cluster", atMs: performance.now(), session, ...view(seen, directory, run) };
    } catch (error) {
      if (!(error instanceof TdsmError)) throw error;
      return { kind: "none", reason: error.message };
    }
  }
}

/** What was seen, as the page has it. */
function view(
  { cluster, nodes, places, events }: Seen,
  directory: Address,
  run: Pages | undefined,
): Omit<ClusterSnapshot, "kind" | "atMs" | "session"> {
  const { size, pageSize, named: allocations = [] } = cluster;
  return {
    directory: formatAddress(directory),
    size,
    pageSize,
    allocations,
    nodes: nodes.map((node) => viewOf(node, directory)),
    run: run ?? null,
    cellPages: run === undefined ? 0 : cellPages(run.count),
    places,
    events,
  };
}

function viewOf(status: NodeStatusControl, directory: Address): NodeSnapshot {
  const { id, counters, moves = [], sources = [], waits = [], cells } = status;
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

/** Whether a snapshot answers a request for some cells. */
function answers(snapshot: Snapshot, run: Pages | undefined): boolean {
  if (snapshot.kind === "none" || run === undefined) return true;
  return snapshot.run?.first === run.first && snapshot.run.count === run.count;
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
