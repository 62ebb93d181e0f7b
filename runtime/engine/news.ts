/**
 * What crosses between the engine's Worker and the thread that started it, beside the rings.
 */

import type { Settings } from "../settings/types.ts";
import type { Level, LogTopic } from "../log.ts";
import type { NodeId } from "../protocol/coherence/messages.ts";
import type { PackedError } from "../ring/calls.ts";

/** What the program's thread sends to begin with. */
export interface EngineStart {
  readonly settings: Settings;
  /** The path of `libtdsm.so`. */
  readonly library: string;
  /** The rings. */
  readonly slots: SharedArrayBuffer;
  /** Whether the process ends with its node, as under `run`, even if its program computes or blocks. */
  readonly ownsProcess: boolean;
}

/**
 * What a node has counted since it joined, and what it holds now.
 *
 * @example What a loop has moved
 * ```ts
 * import { join, type NodeStats } from "@tdsm/runtime";
 *
 * await using node = await join({ directory: true, port: 0 });
 * node.memory[0] = 1;
 * const stats: NodeStats = node.stats();
 * console.log(stats.faults, stats.pagesZero);
 * ```
 */
export interface NodeStats {
  /** Pages of which the node has a copy to read, and others may too. */
  readonly pagesShared: number;
  /** Pages of which the node has the only copy, to read and to write. */
  readonly pagesExclusive: number;
  /** Page faults that were taken from the kernel. */
  readonly faults: number;
  /** Those that were served already when they were read. */
  readonly staleFaults: number;
  /** Requests to read pages that were not here. */
  readonly readMisses: number;
  /** Requests to write pages that were not here. */
  readonly writeMisses: number;
  /** Requests to write pages that were here to read. */
  readonly upgrades: number;
  /** Pages asked for ahead of a walk through memory. */
  readonly pagesAhead: number;
  /** Pages whose bytes came from other nodes. */
  readonly pagesReceived: number;
  /** Pages that nobody had written before. */
  readonly pagesZero: number;
  /** Pages whose bytes went to other nodes. */
  readonly pagesSent: number;
  /** Copies that were dropped because another node wrote. */
  readonly pagesInvalidated: number;
  /** Messages sent to other nodes about pages. */
  readonly messagesSent: number;
  /** Messages received from other nodes about pages. */
  readonly messagesReceived: number;
  /** Bytes sent to other nodes. */
  readonly bytesSent: number;
  /** Bytes received from other nodes. */
  readonly bytesReceived: number;
  /** Turns of the engine's polling loop. */
  readonly turns: number;
  /** Times that the engine went to sleep. */
  readonly sleeps: number;
}

/** What the engine tells the program's thread. */
export type EngineNews =
  /** The node is one of the cluster. */
  | {
    readonly kind: "ready";
    readonly id: NodeId;
    /** To attach other threads to the region. */
    readonly handle: number;
    /** Where the node listens. */
    readonly address: string;
    readonly port: number;
  }
  /** The node cannot go on, or could not start. */
  | { readonly kind: "failed"; readonly error: PackedError }
  /** The directory node has closed the cluster. */
  | { readonly kind: "closing" }
  /** The node is closed; nothing is told after that. */
  | { readonly kind: "closed" }
  /** The process is to end now: a signal came, and the node has left. */
  | { readonly kind: "exit"; readonly code: number }
  /** Something to log. */
  | {
    readonly kind: "log";
    readonly level: Level;
    readonly text: string;
    readonly topic: LogTopic;
  };
