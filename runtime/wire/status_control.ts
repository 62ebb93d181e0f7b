/**
 * Control messages about the state of a cluster. A program that connects to the directory node and
 * asks for the state does not become a node: it gets no id, and other nodes do not learn of it.
 */

import {
  ALLOCATIONS_TOLD_MAX,
  BARRIER_PARTIES_MAX,
  CELLS_MAX,
  EVENTS_MAX,
  FIGURES_MAX_BYTES,
  HISTOGRAM_BUCKETS,
  LOOK_RUNS_MAX,
  NODE_ID_MAX,
  NODES_MAX,
  PAGE_SIZE_MAX_BYTES,
  PAGE_SIZE_MIN_BYTES,
  PLACE_NODES_TOLD_MAX,
  PLACES_TOLD_MAX,
  REGION_MAX_BYTES,
  SYNC_WAITING_MAX,
  TICKET_MAX,
} from "../limits.ts";
import { encode } from "../std/msgpack_encode.js";
import type { NodeId } from "../protocol/coherence/messages.ts";
import type { PageRun } from "../protocol/coherence/page.ts";
import type { PlaceView } from "../protocol/sync/desk.ts";
import { name as allocationName } from "./allocation_control.ts";
import {
  address,
  bytes,
  counters,
  decodeMap,
  type FieldCodec,
  type Fields,
  flag,
  integer,
  list,
  node,
  optional,
  type PeerAddress,
  port,
  readFields,
  type Shape,
  type Shapes,
  text,
  tuple,
  writeFields,
} from "./control_fields.ts";

const REGION_MAX_PAGES = REGION_MAX_BYTES / PAGE_SIZE_MIN_BYTES;

/** What a node has counted, by name. */
export type Counters = Readonly<Record<string, number>>;

/** First message of a program that connects to the directory node only to look. */
export interface StatusRequestControl {
  readonly kind: "statusRequest";
  /** The protocol that it speaks. */
  readonly protocolVersion: number;
  /**
   * The number of the last event that it knows of, 0 for none. A program that says one is told of
   * waits and events as well, and may ask again by the same connection.
   */
  readonly since?: number;
  /** Runs of pages of which it wants to see the {@linkcode Cell}s of every node. */
  readonly looked?: readonly PageRun[];
}

/**
 * Directory node → the program that looks: this is the cluster; a `nodeStatus` for each of its
 * nodes follows.
 */
export interface ClusterStatusControl {
  readonly kind: "clusterStatus";
  /** The region's size, in bytes. */
  readonly size: number;
  /** The page size, in bytes. */
  readonly pageSize: number;
  /** Whether page bytes may be packed. */
  readonly compression: boolean;
  /** How many nodes there are. */
  readonly nodes: number;
  /** The oldest allocations that have a name; left out where there are none. */
  readonly named?: readonly NamedPages[];
}

/** The pages of an allocation. */
export interface NamedPages extends PageRun {
  readonly name: string;
}

/** Directory node → the program that looks: this is one of the nodes. */
export interface NodeStatusControl extends PeerAddress {
  readonly kind: "nodeStatus";
  /**
   * The node's {@linkcode Figures}, as {@linkcode encodeFigures} writes them; left out if the node
   * did not answer in time. The directory node passes them on as they are: to read and write them
   * anew would be most of what a look costs it.
   */
  readonly figures?: Uint8Array;
}

/** What a node tells of itself. */
export interface Figures {
  /** What the node has counted. */
  readonly counters: Counters;
  /** How many pages of each run that was asked for have moved to the node. */
  readonly moves?: readonly number[];
  /** The pages that other nodes have sent to this one, by node. */
  readonly sources?: readonly Source[];
  /**
   * How many of the node's requests for pages took so long while programs looked: bucket `n` is for
   * more than 2^(n-1) and at most 2^n microseconds.
   */
  readonly waits?: readonly number[];
  /** The cells of each run that is looked at, as {@linkcode encodeCells} writes them. */
  readonly cells?: readonly Uint8Array[];
}

/** Directory node → a program that looks again and again, behind the nodes: where threads wait. */
export interface ClusterWaitsControl {
  readonly kind: "clusterWaits";
  readonly places: readonly PlaceView[];
}

/** Directory node → such a program, at last: what has happened since. */
export interface ClusterEventsControl {
  readonly kind: "clusterEvents";
  readonly events: readonly ClusterEvent[];
}

/** Something that has happened in a cluster. */
export interface ClusterEvent {
  /** Its number, from 1 on. */
  readonly number: number;
  /** When, in milliseconds since 1970. */
  readonly atMs: number;
  /** How much it matters: a level of the log. */
  readonly level: number;
  readonly text: string;
}

/** A node, and how many pages it has sent to another. */
export interface Source {
  readonly node: NodeId;
  readonly pages: number;
}

/** What the directory node tells of its cluster. */
export interface ClusterReport {
  /** The oldest allocations that have a name, as many as are told. */
  readonly named: readonly NamedPages[];
  /** All nodes, in order of their ids. */
  readonly nodes: readonly NodeStatusControl[];
  /** Where threads wait, and which locks are held. */
  readonly places: readonly PlaceView[];
  /** What has happened since. */
  readonly events: readonly ClusterEvent[];
}

/** Directory node → another: what have you counted? */
export interface StatsRequestControl {
  readonly kind: "statsRequest";
  /** Names the request in its answer. */
  readonly ticket: number;
  /** The pages of which the moves are asked for. */
  readonly runs?: readonly PageRun[];
  /** Whether a program looks: from where pages came, and how long requests took, is asked too. */
  readonly looks?: boolean;
  /** Runs of pages of which the cells are asked for. */
  readonly looked?: readonly PageRun[];
}

/** The answer: this. */
export interface StatsControl {
  readonly kind: "stats";
  /** Of the request. */
  readonly ticket: number;
  /** What the node tells of itself, as {@linkcode encodeFigures} writes it. */
  readonly figures: Uint8Array;
}

/** What has happened on some pages at a node: one part of a run that is looked at. */
export interface Cell {
  /** How many pages have moved to the node, modulo 2^32. */
  readonly moves: number;
  /** Of how many the node has a read-only copy. */
  readonly shared: number;
  /** Of how many it has the only copy. */
  readonly exclusive: number;
}

const CELL_BYTES = 12;

/**
 * How a run of pages is divided into cells.
 *
 * @param run The run.
 * @returns The cells' pages; all have as many but the last.
 */
export function cellRuns({ first, count }: PageRun): PageRun[] {
  const pages = cellPages(count);
  return Array.from({ length: Math.ceil(count / pages) }, (_, index) => ({
    first: first + index * pages,
    count: Math.min(pages, count - index * pages),
  }));
}

/** How many pages each cell has of a run of so many; the last one may have fewer. */
export function cellPages(count: number): number {
  return Math.ceil(count / CELLS_MAX);
}

/**
 * Writes cells: for each three u32, little-endian.
 *
 * @param list The cells, at most 256.
 * @returns The bytes.
 */
export function encodeCells(list: readonly Cell[]): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(list.length * CELL_BYTES);
  const view = new DataView(bytes.buffer);
  for (const [index, { moves, shared, exclusive }] of list.entries()) {
    view.setUint32(index * CELL_BYTES, moves, true);
    view.setUint32(index * CELL_BYTES + 4, shared, true);
    view.setUint32(index * CELL_BYTES + 8, exclusive, true);
  }
  return bytes;
}

/** A message about the state of a cluster. */
export type StatusControl =
  | StatusRequestControl
  | ClusterStatusControl
  | NodeStatusControl
  | ClusterWaitsControl
  | ClusterEventsControl
  | StatsRequestControl
  | StatsControl;

const ticket = integer(1, TICKET_MAX);
const amount = integer(0, Number.MAX_SAFE_INTEGER);
const page = integer(0, REGION_MAX_PAGES - 1);
const pages = integer(1, REGION_MAX_PAGES);
/** The moves of each of some runs. */
const moves = list(amount, ALLOCATIONS_TOLD_MAX);
/** A run of pages, as `[first, count]`. */
const run: FieldCodec<PageRun> = tuple([page, pages], ([first, count]) => ({ first, count }), (
  { first, count },
) => [first, count]);
const runs = list(run, ALLOCATIONS_TOLD_MAX);
const looked = list(run, LOOK_RUNS_MAX);
/** Named allocations, each as `[name, first, count]`. */
const named: FieldCodec<readonly NamedPages[]> = list(
  tuple(
    [allocationName, page, pages],
    ([name, first, count]) => ({ name, first, count }),
    ({ name, first, count }) => [name, first, count],
  ),
  ALLOCATIONS_TOLD_MAX,
);
/** From where pages came, each as `[node, pages]`. */
const sources: FieldCodec<readonly Source[]> = list(
  tuple([node, amount], ([from, count]) => ({ node: from, pages: count }), (source) => [
    source.node,
    source.pages,
  ]),
  NODES_MAX,
);
const waits = list(amount, HISTOGRAM_BUCKETS + 1);
const cellBytes = bytes(CELL_BYTES, CELLS_MAX * CELL_BYTES);
const cellsOfRun: FieldCodec<Uint8Array> = {
  ...cellBytes,
  read(value) {
    const read = cellBytes.read(value);
    return read !== undefined && read.length % CELL_BYTES === 0 ? read : undefined;
  },
};
const cells = list(cellsOfRun, LOOK_RUNS_MAX);
const PLACE_KINDS: readonly PlaceView["kind"][] = ["semaphore", "barrier", "mutex", "word"];
/** Places, each as `[kind, name, holder, parties, count, waiting]`. */
const places: FieldCodec<readonly PlaceView[]> = list(
  tuple(
    [
      integer(0, PLACE_KINDS.length - 1),
      text,
      integer(0, NODE_ID_MAX),
      integer(0, BARRIER_PARTIES_MAX),
      integer(0, 2 * SYNC_WAITING_MAX),
      list(node, PLACE_NODES_TOLD_MAX),
    ],
    ([kind, name, holder, parties, count, waiting]) => ({
      kind: PLACE_KINDS[kind]!,
      name,
      holder,
      parties,
      count,
      waiting,
    }),
    (place) => [
      PLACE_KINDS.indexOf(place.kind),
      place.name,
      place.holder,
      place.parties,
      place.count,
      place.waiting,
    ],
  ),
  PLACES_TOLD_MAX,
);
/** Events, each as `[number, atMs, level, text]`. */
const events: FieldCodec<readonly ClusterEvent[]> = list(
  tuple(
    [amount, amount, integer(0, 0xff), text],
    ([number, atMs, level, told]) => ({ number, atMs, level, text: told }),
    (event) => [event.number, event.atMs, event.level, event.text],
  ),
  EVENTS_MAX,
);

/** How each field is read and written. */
export const STATUS_SHAPES: Shapes<StatusControl> = {
  statusRequest: {
    protocolVersion: integer(0, 0xff),
    since: optional(amount),
    looked: optional(looked),
  },
  clusterStatus: {
    size: integer(1, REGION_MAX_BYTES),
    pageSize: integer(PAGE_SIZE_MIN_BYTES, PAGE_SIZE_MAX_BYTES),
    compression: flag,
    nodes: integer(1, NODES_MAX),
    named: optional(named),
  },
  nodeStatus: {
    id: node,
    address,
    port,
    figures: optional(bytes(1, FIGURES_MAX_BYTES)),
  },
  clusterWaits: { places },
  clusterEvents: { events },
  statsRequest: {
    ticket,
    runs: optional(runs),
    looks: optional(flag),
    looked: optional(looked),
  },
  stats: { ticket, figures: bytes(1, FIGURES_MAX_BYTES) },
};

const FIGURES: Fields<Figures> = {
  counters,
  moves: optional(moves),
  sources: optional(sources),
  waits: optional(waits),
  cells: optional(cells),
};
const FIGURES_SHAPE = Object.entries(FIGURES) as unknown as Shape;

/**
 * Writes what a node tells of itself.
 *
 * @param figures What it tells.
 * @returns The bytes.
 * @throws {TdsmError} `LimitExceeded` where one of them is out of its bounds.
 */
export function encodeFigures(figures: Figures): Uint8Array {
  return encode(writeFields("figures", FIGURES_SHAPE, figures));
}

/**
 * Reads what a node tells of itself.
 *
 * @param written The bytes, which the result does not refer to.
 * @returns What it tells; `undefined` where the bytes are none.
 */
export function decodeFigures(written: Uint8Array): Figures | undefined {
  const map = decodeMap(written);
  const read = map && readFields("figures", FIGURES_SHAPE, map);
  // Every field was read by the codec that `Fields` ties to its type.
  return read?.kind === "fields" ? read.values as unknown as Figures : undefined;
}
