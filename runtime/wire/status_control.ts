/**
 * Control messages about the state of a cluster. A program that connects to the directory node and
 * asks for the state does not become a node: it gets no id, and other nodes do not learn of it.
 */

import {
  NODES_MAX,
  PAGE_SIZE_MAX_BYTES,
  PAGE_SIZE_MIN_BYTES,
  REGION_MAX_BYTES,
  TICKET_MAX,
} from "../limits.ts";
import {
  address,
  counters,
  flag,
  integer,
  node,
  optional,
  type PeerAddress,
  port,
  type Shapes,
} from "./control_fields.ts";

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
}

/** Directory node → the program that looks: this is one of the nodes. */
export interface NodeStatusControl extends PeerAddress {
  readonly kind: "nodeStatus";
  /** The node's counters; left out if the node did not answer in time. */
  readonly counters?: Counters;
}

/** Directory node → another: what have you counted? */
export interface StatsRequestControl {
  readonly kind: "statsRequest";
  /** Names the request in its answer. */
  readonly ticket: number;
}

/** The answer: this. */
export interface StatsControl {
  readonly kind: "stats";
  /** Of the request. */
  readonly ticket: number;
  /** What the node has counted. */
  readonly counters: Counters;
}

/** A message about the state of a cluster. */
export type StatusControl =
  | StatusRequestControl
  | ClusterStatusControl
  | NodeStatusControl
  | StatsRequestControl
  | StatsControl;

const ticket = integer(1, TICKET_MAX);

/** How each field is read and written. */
export const STATUS_SHAPES: Shapes<StatusControl> = {
  statusRequest: { protocolVersion: integer(0, 0xff) },
  clusterStatus: {
    size: integer(1, REGION_MAX_BYTES),
    pageSize: integer(PAGE_SIZE_MIN_BYTES, PAGE_SIZE_MAX_BYTES),
    compression: flag,
    nodes: integer(1, NODES_MAX),
  },
  nodeStatus: { id: node, address, port, counters: optional(counters) },
  statsRequest: { ticket },
  stats: { ticket, counters },
};
