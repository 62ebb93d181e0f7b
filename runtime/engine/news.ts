/**
 * Messages between the engine's Worker and the thread that started it; calls take the rings
 * instead.
 */

import type { AvailableMemory } from "../../ffi/memory_available.ts";
import type { Address } from "../address.ts";
import type { Settings } from "../settings/types.ts";
import type { Level, LogFields, LogTopic } from "../log.ts";
import type { Place } from "../rendezvous/rendezvous.ts";
import type { NodeId } from "../protocol/coherence/messages.ts";
import type { PackedError } from "../ring/calls.ts";
import type { AllocationMoves } from "./page_moves.ts";

/** The message by which the program's thread starts the engine. */
export interface EngineStart {
  readonly settings: Settings;
  /** The path of `libtdsm.so`. */
  readonly library: string;
  /** The rings. */
  readonly slots: SharedArrayBuffer;
  /** How much memory there is; left out where that is not known, or the limit is set in bytes. */
  readonly available?: AvailableMemory | undefined;
  /** Whether the process ends with its node, as under `run`, even if its threads do not stop. */
  readonly ownsProcess: boolean;
  /** The ports on which to listen where the one of the settings is taken. */
  readonly otherPorts?: readonly number[];
  /** Where else the directory may be than the settings say. */
  readonly otherDirectories?: readonly Address[];
  /** The node's place, where a launcher gives places. */
  readonly place?: Place | undefined;
  /** What the launcher has told this node, if one has started it. */
  readonly ticket?: string | undefined;
}

/**
 * The counters of a node since it joined, and how many pages it holds now.
 *
 * @example Count the faults of a write
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
  /** Pages of which the node has a read-only copy; other nodes may have copies too. */
  readonly pagesShared: number;
  /** Pages of which the node has the only copy, which it may read and write. */
  readonly pagesExclusive: number;
  /** Pages that the node may not read any more, and whose bytes it has not given back yet. */
  readonly pagesDead: number;
  /**
   * Chunks of 128 pages that the node keeps the order of: it is their home. A chunk of which no
   * node has needed a page has none yet, unless the directory node is the home of all.
   */
  readonly homeChunks: number;
  /** The memory that the pages take, in bytes; beside them the process needs some for itself. */
  readonly memoryBytes: number;
  /** The most that they may take, in bytes: the region's size where that is less than the limit. */
  readonly memoryLimitBytes: number;
  /** Page faults that the engine took from the kernel. */
  readonly faults: number;
  /** Page faults that had been served already when the engine took them. */
  readonly staleFaults: number;
  /** Requests to read pages that the node had no copy of. */
  readonly readMisses: number;
  /** Requests to write pages that the node had no copy of. */
  readonly writeMisses: number;
  /** Requests to write pages that the node had a read-only copy of. */
  readonly upgrades: number;
  /** Pages requested ahead of sequential accesses. */
  readonly pagesAhead: number;
  /** Pages whose bytes came from other nodes. */
  readonly pagesReceived: number;
  /**
   * Pages that came from other nodes, or of which other nodes lost their copies since this node
   * writes.
   */
  readonly pagesMoved: number;
  /** Of what those were pages; the allocation with the most moves first, all others at the end. */
  readonly allocations: readonly AllocationMoves[];
  /** Pages that no node had written before, which need no transfer. */
  readonly pagesZero: number;
  /** Pages whose bytes went to other nodes. */
  readonly pagesSent: number;
  /** Copies that were dropped because another node wrote. */
  readonly pagesInvalidated: number;
  /** Copies that the node gave back for want of room, while other nodes had them too. */
  readonly pagesDropped: number;
  /** Only copies that another node took since this one had no room. */
  readonly pagesOffloaded: number;
  /** Pages whose bytes were given back to the system once no node needed them here. */
  readonly pagesDiscarded: number;
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
  /** The node begins to join: its turn has come. */
  | { readonly kind: "joining" }
  /** The node has joined. */
  | {
    readonly kind: "ready";
    readonly id: NodeId;
    /** The library's handle by which other threads attach to the region. */
    readonly handle: number;
    /** The buffer over the region; or why this Deno has none, in words. */
    readonly shared: SharedArrayBuffer | string;
    /** Where the node listens. */
    readonly address: string;
    readonly port: number;
  }
  /** The node cannot go on, or could not start. */
  | { readonly kind: "failed"; readonly error: PackedError }
  /** The directory node has closed the cluster. */
  | { readonly kind: "closing" }
  /** The node is closed; no news follows. */
  | { readonly kind: "closed" }
  /** The program is to end the process now: a signal came, and the node has left. */
  | { readonly kind: "exit"; readonly code: number }
  /** A line for the log. */
  | {
    readonly kind: "log";
    readonly level: Level;
    readonly text: string;
    readonly topic: LogTopic;
    /** The same for programs; left out where there is nothing more to say. */
    readonly fields?: LogFields;
  };
