/**
 * One simulated node: the engine, its memory, its threads, and what is on its way to it.
 */

import type { CoherenceOptions } from "../../../runtime/protocol/coherence/coherence.ts";
import { NO_ROOM, type Room } from "../../../runtime/protocol/coherence/memory.ts";
import {
  Content,
  type GrantMessage,
  type Message,
  type NodeId,
} from "../../../runtime/protocol/coherence/messages.ts";
import { type Access, contains, PageState } from "../../../runtime/protocol/coherence/page.ts";
import { Mmu } from "./mmu.ts";
import type { Operation } from "./operation.ts";
import { type ProbeCache, ProbeCoherence, type ProbeDirectory, type ProbeParts } from "./probes.ts";

/** A thread of the program. */
export interface Thread {
  readonly program: readonly Operation[];
  /** How fast it runs, the slowest 1. */
  readonly pace: number;
  /** What its accesses that are no plain writes found, in program order. */
  readonly registers: number[];
  /** Its next operation. */
  next: number;
  /** The window that it looks through. */
  window: number;
  /** Whether it waits in a fault. */
  blocked: boolean;
}

/** A fault that the engine has not read yet. */
export interface Fault {
  readonly page: number;
  readonly access: Access;
}

/** The directory node's word that a node has joined, which travels with messages about pages. */
export interface JoinedNews {
  readonly kind: "peerJoined";
  readonly node: NodeId;
}

/** A message on its way, with the bytes of its pages. */
export interface Frame {
  readonly message: Message | JoinedNews;
  readonly bytes: Int32Array | undefined;
}

/** One direction between two nodes. Nothing overtakes. */
export interface Link {
  readonly from: SimulatedNode;
  readonly to: SimulatedNode;
  frames: Frame[];
  /** How many words of the first frame have been received; -1 before its header was looked at. */
  received: number;
  /** Whether the first frame's bytes go into the alias. */
  accepted: boolean;
}

/** Whether a node has joined, leaves, has left or is dead. */
export type NodeStatus = "absent" | "live" | "leaving" | "left" | "dead";

/** One node. */
export class SimulatedNode {
  readonly id: NodeId;
  readonly engine: ProbeCoherence;
  readonly mmu: Mmu;
  readonly threads: Thread[];
  readonly faults: Fault[] = [];
  /** The nodes that it has heard of; what others say waits until it has. */
  readonly known = new Set<NodeId>();
  /** A fault that was read before, and may be read once more. */
  lastFault: Fault | undefined;
  /** The pages of which it knows, or may be told yet, that they are lost, whatever came after. */
  readonly toldLost = new Set<number>();
  status: NodeStatus = "absent";
  /** Whether it takes no step for a while, and nobody knows. */
  frozen = false;
  /**
   * How much room it last told of, and what of that the home has not heard yet, the first first.
   */
  toldRoom = NO_ROOM;
  /** When it told that, in microseconds. */
  toldRoomAt = 0;
  readonly rooms: Room[] = [];
  /**
   * Since when it has had room, and the home has known, in microseconds; `Infinity` if it is not
   * so.
   */
  roomySince = Infinity;
  /** Whether the home has yet to notice that the connection ended. */
  endUnnoticed = false;

  /**
   * @param id The node's number.
   * @param region The region's shape and the protocol's settings.
   * @param parts What to make the engine of.
   * @param threads What runs there.
   */
  constructor(
    id: NodeId,
    region: Omit<CoherenceOptions, "self">,
    parts: ProbeParts,
    threads: Thread[],
  ) {
    this.id = id;
    this.engine = new ProbeCoherence({ self: id, ...region }, parts);
    this.mmu = new Mmu(region.pageCount);
    this.threads = threads;
  }

  /** Whether it takes part. */
  get present(): boolean {
    return this.status === "live" || this.status === "leaving";
  }

  /** Whether every thread has come to its end. */
  get finished(): boolean {
    return this.threads.every(({ next, program }) => next === program.length);
  }

  /**
   * @param page A page.
   * @returns Whether the node has a copy, or will once others have dropped theirs.
   */
  hasBytes(page: number): boolean {
    return this.engine.state(page) !== PageState.Invalid ||
      this.cache.requests.some(({ grant }) =>
        grant !== undefined && contains(grant, page) && isData(grant)
      );
  }

  /** The engine's cache. */
  get cache(): ProbeCache {
    return this.engine.cache as ProbeCache;
  }

  /** The engine's directory; only at a node that can be the home of a page. */
  get directory(): ProbeDirectory {
    const { directory } = this.engine;
    if (directory === undefined) throw new Error(`node ${this.id} is the home of no page`);
    return directory as ProbeDirectory;
  }
}

/** @returns Whether bytes follow the message. */
export function isData(message: Message | JoinedNews): message is GrantMessage {
  return message.kind === "grant" && message.content === Content.Data;
}

/**
 * The home of a page, as the directory node has it.
 *
 * @param nodes All nodes; the directory node first.
 * @param page The page.
 * @returns The node; the directory node where no node is the home yet.
 */
export function homeOf(nodes: readonly SimulatedNode[], page: number): SimulatedNode {
  return nodes[nodes[0]!.engine.homes.of(page) - 1] ?? nodes[0]!;
}
