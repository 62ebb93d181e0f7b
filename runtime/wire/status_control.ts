/**
 * Control messages about the state of a cluster. A program that connects to the directory node and
 * asks for the state does not become a node: it gets no id, and other nodes do not learn of it.
 */

import {
  ALLOCATIONS_TOLD_MAX,
  NODES_MAX,
  PAGE_SIZE_MAX_BYTES,
  PAGE_SIZE_MIN_BYTES,
  REGION_MAX_BYTES,
  TICKET_MAX,
} from "../limits.ts";
import type { PageRun } from "../protocol/coherence/page.ts";
import { name as allocationName } from "./allocation_control.ts";
import {
  address,
  counters,
  type FieldCodec,
  flag,
  integer,
  list,
  node,
  optional,
  type PeerAddress,
  port,
  type Shapes,
} from "./control_fields.ts";

const REGION_MAX_PAGES = REGION_MAX_BYTES / PAGE_SIZE_MIN_BYTES;

/** What a node has counted, by name. */
export type Counters = Readonly<Record<string, number>>;

/** First message of a program that connects to the directory node only to look. */
export interface StatusRequestControl {
  readonly kind: "statusRequest";
  /** The protocol that it speaks. */
  readonly protocolVersion: number;
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
  /** The node's counters; left out if the node did not answer in time. */
  readonly counters?: Counters;
  /** How many pages of each named allocation have moved to the node; left out likewise. */
  readonly moves?: readonly number[];
}

/** What the directory node tells of its cluster. */
export interface ClusterReport {
  /** The oldest allocations that have a name, as many as are told. */
  readonly named: readonly NamedPages[];
  /** All nodes, in order of their ids. */
  readonly nodes: readonly NodeStatusControl[];
}

/** Directory node → another: what have you counted? */
export interface StatsRequestControl {
  readonly kind: "statsRequest";
  /** Names the request in its answer. */
  readonly ticket: number;
  /** The pages of which the moves are asked for. */
  readonly runs?: readonly PageRun[];
}

/** The answer: this. */
export interface StatsControl {
  readonly kind: "stats";
  /** Of the request. */
  readonly ticket: number;
  /** What the node has counted. */
  readonly counters: Counters;
  /** How many pages of each of the runs have moved to the node. */
  readonly moves?: readonly number[];
}

/** A message about the state of a cluster. */
export type StatusControl =
  | StatusRequestControl
  | ClusterStatusControl
  | NodeStatusControl
  | StatsRequestControl
  | StatsControl;

const ticket = integer(1, TICKET_MAX);
const page = integer(0, REGION_MAX_PAGES - 1);
const pages = integer(1, REGION_MAX_PAGES);
/** The moves of each of some runs. */
const moves = list(integer(0, Number.MAX_SAFE_INTEGER), ALLOCATIONS_TOLD_MAX);
/** Runs of pages, each as `[first, count]`. */
const runs: FieldCodec<readonly PageRun[]> = list({
  read(value) {
    if (!Array.isArray(value) || value.length !== 2) return undefined;
    const [first, count] = [page.read(value[0]!), pages.read(value[1]!)];
    return first === undefined || count === undefined ? undefined : { first, count };
  },
  write: ({ first, count }) => [first, count],
  optional: false,
}, ALLOCATIONS_TOLD_MAX);
/** Named allocations, each as `[name, first, count]`. */
const named: FieldCodec<readonly NamedPages[]> = list({
  read(value) {
    if (!Array.isArray(value) || value.length !== 3) return undefined;
    const [called, first, count] = [
      allocationName.read(value[0]!),
      page.read(value[1]!),
      pages.read(value[2]!),
    ];
    if (called === undefined || first === undefined || count === undefined) return undefined;
    return { name: called, first, count };
  },
  write: ({ name, first, count }) => [name, first, count],
  optional: false,
}, ALLOCATIONS_TOLD_MAX);

/** How each field is read and written. */
export const STATUS_SHAPES: Shapes<StatusControl> = {
  statusRequest: { protocolVersion: integer(0, 0xff) },
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
    counters: optional(counters),
    moves: optional(moves),
  },
  statsRequest: { ticket, runs: optional(runs) },
  stats: { ticket, counters, moves: optional(moves) },
};
