/**
 * What the page of the dashboard shows, as numbers: rates, made of two snapshots of counters. No
 * part of it touches the page.
 */

import type { ClusterSnapshot, NodeSnapshot, Pages, PlaceSnapshot } from "./snapshot.ts";

/** A node, and how much of something it does in a second. */
export interface NodeRate {
  readonly node: number;
  readonly perSecond: number;
}

/** An allocation, or another range of pages. */
export interface AllocationView {
  readonly name: string;
  readonly first: number;
  readonly count: number;
  /** How many of its pages move in a second. */
  readonly perSecond: number;
  /** The nodes that they move to, the one with the most first. */
  readonly byNode: readonly NodeRate[];
  /** Whether several nodes take pages from each other again and again. */
  readonly isFought: boolean;
}

/** A node. */
export interface NodeView {
  readonly id: number;
  readonly at: string;
  /** The node's counters; `null` if it did not answer in time. */
  readonly stats: Readonly<Record<string, number>> | null;
  /** How much each counter grows in a second; nothing where that is not known yet. */
  readonly rates: Readonly<Record<string, number>>;
}

/** Pages that go from one node to another. */
export interface LinkView {
  readonly from: number;
  readonly to: number;
  readonly pagesPerSecond: number;
}

/** How long threads waited for pages, in microseconds: no longer than that. */
export interface Latency {
  /** Half of them. */
  readonly medianUs: number;
  /** All but one of a hundred. */
  readonly worstUs: number;
}

/** Some pages in a row. */
export interface CellView {
  readonly first: number;
  readonly count: number;
  /** How many of them move in a second; `undefined` where that is not known yet. */
  readonly perSecond: number | undefined;
  readonly byNode: readonly NodeRate[];
  /** The nodes that have the only copy of some of the pages, and of how many. */
  readonly owners: readonly Copies[];
  /** The nodes that have read-only copies. */
  readonly sharers: readonly Copies[];
}

/** Of how many pages a node has copies. */
export interface Copies {
  readonly node: number;
  readonly pages: number;
}

/** A cluster as the page shows it. */
export interface ClusterView {
  readonly snapshot: ClusterSnapshot;
  readonly nodes: readonly NodeView[];
  /** The sums of what all nodes do in a second, by counter. */
  readonly sums: Readonly<Record<string, number>>;
  /** Those that have a name, the one that moves most first. */
  readonly allocations: readonly AllocationView[];
  /** How many pages move in a second that belong to none of them. */
  readonly othersPerSecond: number;
  readonly links: readonly LinkView[];
  /** How long requests for pages took lately; `undefined` where there was none. */
  readonly latency: Latency | undefined;
  /** The cells of the run that is looked at. */
  readonly cells: readonly CellView[];
}

/** From how many moves a second on pages count as fought over. */
const FOUGHT_PER_SECOND = 20;
/** How often each of the pages must move then, on average. */
const FOUGHT_PAGE_PER_SECOND = 1;
/** How many of the moves each of two nodes must have. */
const FIGHTER_PER_SECOND = 5;
/** The shortest time from which rates are made, in milliseconds, once so much has passed. */
const RATE_LEAST_MS = 900;
/** The snapshots that are remembered. */
const SEEN_MAX = 8;
const CELL_BYTES = 12;
const U32 = 2 ** 32;

/** What was seen lately, from which rates are made. */
export class History {
  #seen: ClusterSnapshot[] = [];

  /**
   * Takes a snapshot.
   *
   * @param now The snapshot, later than all before.
   * @returns What the page shows of it. Rates are those since about a second ago: over a shorter
   *   time they would tell little.
   */
  take(now: ClusterSnapshot): ClusterView {
    if (this.#seen.at(-1)?.session !== now.session) this.#seen = [];
    const isOld = ({ atMs }: ClusterSnapshot) => atMs <= now.atMs - RATE_LEAST_MS;
    const cells = this.#seen.filter(({ run }) => isSameRun(run, now.run));
    const view = viewOf(
      now,
      this.#seen.findLast(isOld) ?? this.#seen[0],
      cells.findLast(isOld) ?? cells[0],
    );
    this.#seen.push(now);
    if (this.#seen.length > SEEN_MAX) this.#seen.shift();
    return view;
  }
}

function isSameRun(one: Pages | null, other: Pages | null): boolean {
  return one?.first === other?.first && one?.count === other?.count;
}

function viewOf(
  now: ClusterSnapshot,
  earlier: ClusterSnapshot | undefined,
  cellsBefore: ClusterSnapshot | undefined,
): ClusterView {
  const seconds = secondsBetween(earlier, now);
  const known = nodesById(earlier);
  const nodes = now.nodes.map((node) => nodeView(node, known.get(node.id), seconds));
  const sums: Record<string, number> = {};
  for (const { rates } of nodes) {
    for (const [name, rate] of Object.entries(rates)) sums[name] = (sums[name] ?? 0) + rate;
  }
  const allocations = allocationViews(now, earlier, known, seconds);
  const named = allocations.reduce((sum, { perSecond }) => sum + perSecond, 0);
  return {
    snapshot: now,
    nodes,
    sums,
    allocations,
    othersPerSecond: Math.max(0, (sums.pagesMoved ?? 0) - named),
    links: linkViews(now, known, seconds),
    latency: latencyOf(now, known),
    cells: cellViews(now, cellsBefore),
  };
}

function secondsBetween(earlier: ClusterSnapshot | undefined, now: ClusterSnapshot): number {
  return earlier === undefined ? 1 : (now.atMs - earlier.atMs) / 1000;
}

/** The nodes that have answered: of the others nothing is known, and no count is 0. */
function nodesById(snapshot: ClusterSnapshot | undefined): Known {
  const answered = snapshot?.nodes.filter(({ stats }) => stats !== null);
  return new Map(answered?.map((node) => [node.id, node]));
}

type Known = ReadonlyMap<number, NodeSnapshot>;

function nodeView(
  { id, at, stats }: NodeSnapshot,
  before: NodeSnapshot | undefined,
  seconds: number,
): NodeView {
  const rates: Record<string, number> = {};
  const old = before?.stats;
  if (stats !== null && old) {
    for (const [name, count] of Object.entries(stats)) {
      rates[name] = Math.max(0, count - (old[name] ?? 0)) / seconds;
    }
  }
  return { id, at, stats, rates };
}

/** What the counts of some nodes have grown by in a second, the largest first. */
function nodeRates(
  now: ClusterSnapshot,
  known: Known,
  seconds: number,
  growth: (node: NodeSnapshot, before: NodeSnapshot) => number,
): NodeRate[] {
  const rates: NodeRate[] = [];
  for (const node of now.nodes) {
    const before = known.get(node.id);
    const grown = before === undefined ? 0 : growth(node, before);
    if (grown > 0) rates.push({ node: node.id, perSecond: grown / seconds });
  }
  return rates.sort((one, other) => other.perSecond - one.perSecond);
}

const sumOf = (rates: readonly NodeRate[]): number =>
  rates.reduce((sum, { perSecond }) => sum + perSecond, 0);

function allocationViews(
  now: ClusterSnapshot,
  earlier: ClusterSnapshot | undefined,
  known: Known,
  seconds: number,
): AllocationView[] {
  const indexBefore = new Map(
    earlier?.allocations.map(({ name, first, count }, index) =>
      [`${first}+${count} ${name}`, index] as const
    ),
  );
  return now.allocations.map(({ name, first, count }, index) => {
    const old = indexBefore.get(`${first}+${count} ${name}`);
    const byNode = old === undefined ? [] : nodeRates(now, known, seconds, (node, before) => {
      const moves = before.moves[old];
      return moves === undefined ? 0 : (node.moves[index] ?? 0) - moves;
    });
    const perSecond = sumOf(byNode);
    return { name, first, count, perSecond, byNode, isFought: isFought({ count, byNode }) };
  }).sort((one, other) => other.perSecond - one.perSecond || one.first - other.first);
}

/**
 * Whether several nodes take the same pages from each other again and again.
 *
 * @param pages How many pages there are, and what of them moves to each node, most first.
 * @returns Whether that is so.
 */
export function isFought({ count, byNode }: Pick<AllocationView, "count" | "byNode">): boolean {
  const perSecond = sumOf(byNode);
  return perSecond >= Math.max(FOUGHT_PER_SECOND, count * FOUGHT_PAGE_PER_SECOND) &&
    (byNode[1]?.perSecond ?? 0) >= FIGHTER_PER_SECOND;
}

function linkViews(now: ClusterSnapshot, known: Known, seconds: number): LinkView[] {
  const links: LinkView[] = [];
  for (const { id: to, sources } of now.nodes) {
    const before = known.get(to);
    if (before === undefined) continue;
    const counts = new Map(before.sources);
    for (const [from, pages] of sources) {
      const pagesPerSecond = (pages - (counts.get(from) ?? 0)) / seconds;
      if (pagesPerSecond > 0) links.push({ from, to, pagesPerSecond });
    }
  }
  return links.sort((one, other) => other.pagesPerSecond - one.pagesPerSecond);
}

function latencyOf(now: ClusterSnapshot, known: Known): Latency | undefined {
  const counts: number[] = [];
  for (const { id, waits } of now.nodes) {
    const before = known.get(id);
    if (before === undefined) continue;
    for (const [bucket, count] of waits.entries()) {
      const grown = Math.max(0, count - (before.waits[bucket] ?? 0));
      counts[bucket] = (counts[bucket] ?? 0) + grown;
    }
  }
  const count = counts.reduce((sum, each) => sum + each, 0);
  if (count === 0) return undefined;
  return { medianUs: quantile(counts, count / 2), worstUs: quantile(counts, 0.99 * count) };
}

/** How long so many of the waits took at most, in microseconds, evenly spread in each bucket. */
function quantile(counts: readonly number[], wanted: number): number {
  let left = wanted;
  for (const [bucket, count] of counts.entries()) {
    const [from, to] = [bucket === 0 ? 0 : 2 ** (bucket - 1), 2 ** bucket];
    if (left <= count) return from + (to - from) * (count === 0 ? 1 : left / count);
    left -= count;
  }
  return 2 ** counts.length;
}

function cellViews(now: ClusterSnapshot, earlier: ClusterSnapshot | undefined): CellView[] {
  const { run, cellPages } = now;
  if (run === null) return [];
  const seconds = secondsBetween(earlier, now);
  const known = nodesById(earlier);
  const cells = Array.from(nodesById(now), ([node, { cells }]) => ({
    node,
    cells: decode(cells),
    before: decode(known.get(node)?.cells ?? null),
  }));
  return Array.from({ length: Math.ceil(run.count / cellPages) }, (_, index) => {
    const byNode: NodeRate[] = [];
    const owners: Copies[] = [];
    const sharers: Copies[] = [];
    for (const { node, cells: now, before } of cells) {
      if (now === undefined && before === undefined) continue;
      const at = (view: DataView | undefined, field: number): number => {
        const offset = index * CELL_BYTES + 4 * field;
        return view === undefined || offset + 4 > view.byteLength
          ? 0
          : view.getUint32(offset, true);
      };
      // A count that is modulo 2^32 grows by less than that in a second.
      const grown = known.has(node) ? (at(now, 0) - at(before, 0) + U32) % U32 : 0;
      if (grown > 0) byNode.push({ node, perSecond: grown / seconds });
      if (at(now, 1) > 0) sharers.push({ node, pages: at(now, 1) });
      if (at(now, 2) > 0) owners.push({ node, pages: at(now, 2) });
    }
    byNode.sort((one, other) => other.perSecond - one.perSecond);
    return {
      first: run.first + index * cellPages,
      count: Math.min(cellPages, run.count - index * cellPages),
      perSecond: earlier === undefined ? undefined : sumOf(byNode),
      byNode,
      owners,
      sharers,
    };
  });
}

function decode(cells: string | null): DataView | undefined {
  if (cells === null) return undefined;
  const bytes = Uint8Array.from(atob(cells), (letter) => letter.charCodeAt(0));
  return new DataView(bytes.buffer);
}

/**
 * How hot something is.
 *
 * @param perSecond Its moves a second.
 * @returns 0 for none, then one more for each power of ten, up to 5 from a thousand on.
 */
export function heatOf(perSecond: number | undefined): number {
  if (perSecond === undefined || perSecond <= 0) return 0;
  return Math.min(5, 2 + Math.floor(Math.log10(Math.max(perSecond, 0.1))));
}

/**
 * Says which nodes wait at a place, and for which.
 *
 * @param place The place.
 * @returns Text for people.
 */
export function describePlace(place: PlaceSnapshot): string {
  const { kind, holder, parties, count, waiting } = place;
  const more = count > waiting.length ? ", …" : "";
  const nodes = `${unique(waiting).join(", ")}${more}`;
  const who = `${unique(waiting).length === 1 && more === "" ? "node" : "nodes"} ${nodes}`;
  switch (kind) {
    case "barrier":
      return `${count} of ${parties} have arrived (${who}); ${parties - count} lacking`;
    case "mutex":
      if (holder === 0) return `${who} waiting`;
      return count === 0 ? `held by node ${holder}` : `${who} waiting for node ${holder}`;
    case "semaphore":
      return `${who} waiting for a permit`;
    case "word":
      return `${who} waiting for a notify`;
    default:
      return kind satisfies never;
  }
}

function unique(nodes: readonly number[]): number[] {
  return [...new Set(nodes)];
}
