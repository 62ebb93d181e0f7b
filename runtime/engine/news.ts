/**
 * What crosses between the engine's Worker and the thread that started it, beside the rings.
 */

import type { Settings } from "../settings/settings.ts";
import type { LogTopic } from "../log.ts";
import type { NodeId } from "../protocol/coherence/messages.ts";
import type { PackedError } from "../ring/calls.ts";

/** What the program's thread sends to begin with. */
export interface EngineStart {
  readonly settings: Settings;
  /** The path of `libtdsm.so`. */
  readonly library: string;
  /** The rings. */
  readonly slots: SharedArrayBuffer;
  /** The runtime's release. */
  readonly release: string;
}

/** What the engine tells the program's thread. */
export type EngineNews =
  /** The node is one of the cluster. */
  | {
    readonly kind: "ready";
    readonly id: NodeId;
    /** To attach other threads to the region. */
    readonly handle: number;
    readonly windowAddress: bigint;
    readonly size: number;
    readonly pageSize: number;
    readonly userModeOnly: boolean;
    /** Where the node listens. */
    readonly address: string;
    readonly port: number;
  }
  /** The node cannot go on, or could not start. */
  | { readonly kind: "failed"; readonly error: PackedError }
  /** The directory's node has closed the cluster. */
  | { readonly kind: "closing" }
  /** Something to log. */
  | {
    readonly kind: "log";
    readonly level: number;
    readonly text: string;
    readonly topic: LogTopic;
  };
