/**
 * What the page of the dashboard is told of a cluster, once a second while somebody looks at it.
 * The page imports these types, so this module imports nothing.
 */

/** A run of pages. */
export interface Pages {
  /** The first page. */
  readonly first: number;
  /** How many. */
  readonly count: number;
}

/** An allocation that has a name. */
export interface NamedAllocation extends Pages {
  readonly name: string;
}

/** A node at one moment. What it counts, it counts since it joined. */
export interface NodeSnapshot {
  readonly id: number;
  /** Where the node listens, as `HOST:PORT`. */
  readonly at: string;
  /** The node's counters by name; `null` if the node did not answer in time. */
  readonly stats: Readonly<Record<string, number>> | null;
  /** How many pages of each allocation have moved to the node. */
  readonly moves: readonly number[];
  /**
   * How many of the node's requests for pages took so long, while somebody looked: bucket `n` is
   * for more than 2^(n-1) and at most 2^n microseconds.
   */
  readonly waits: readonly number[];
  /** The pages that other nodes have sent to this one, each as `[node, pages]`. */
  readonly sources: readonly (readonly [node: number, pages: number])[];
  /**
   * For each cell of the run that is looked at three u32, little-endian, in base64: the pages that
   * have moved to the node, modulo 2^32, and the pages of which it has a read-only copy, and the
   * only copy. `null` where nothing has happened there, or nothing is known of it.
   */
  readonly cells: string | null;
}

/** A semaphore, barrier, mutex or word where threads wait, or a mutex that is locked. */
export interface PlaceSnapshot {
  readonly kind: "semaphore" | "barrier" | "mutex" | "word";
  readonly name: string;
  /** The node that has it locked; 0 for none. */
  readonly holder: number;
  /** How many arrivals a barrier takes; 0 of others. */
  readonly parties: number;
  /** How many threads wait. */
  readonly count: number;
  /** The nodes of the first of them. */
  readonly waiting: readonly number[];
}

/** Something that has happened in the cluster. */
export interface EventSnapshot {
  /** Its number, from 1 on. */
  readonly number: number;
  /** When, in milliseconds since 1970. */
  readonly atMs: number;
  /** 1 for an error, 2 for a warning, 3 for anything else. */
  readonly level: number;
  readonly text: string;
}

/** A cluster at one moment. */
export interface ClusterSnapshot {
  readonly kind: "cluster";
  /** When, by a clock that never goes back, in milliseconds. */
  readonly atMs: number;
  /** A number that is another for each connection to a directory: counters begin anew. */
  readonly session: number;
  /** Where the directory listens. */
  readonly directory: string;
  /** The region's size, in bytes. */
  readonly size: number;
  /** The page size, in bytes. */
  readonly pageSize: number;
  /** The oldest allocations that have a name. */
  readonly allocations: readonly NamedAllocation[];
  /** All nodes, in order of their ids. */
  readonly nodes: readonly NodeSnapshot[];
  /** The pages of the cells; `null` where none were asked for. */
  readonly run: Pages | null;
  /** How many pages each cell has, but the last. */
  readonly cellPages: number;
  readonly places: readonly PlaceSnapshot[];
  /** The last events that the directory node remembers. */
  readonly events: readonly EventSnapshot[];
}

/** There is no cluster to look at now. */
export interface NoCluster {
  readonly kind: "none";
  /** Why, for people. */
  readonly reason: string;
}

/** What the page is told. */
export type Snapshot = ClusterSnapshot | NoCluster;
