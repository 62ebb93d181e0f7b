/**
 * One state of a small cluster, as a value: a step copies the parts that it changes, and shares the
 * rest.
 */

import type { Room } from "../../runtime/protocol/coherence/memory.ts";
import type { Message, NodeId } from "../../runtime/protocol/coherence/messages.ts";
import type { PageOperation } from "../../runtime/protocol/coherence/output.ts";
import type { Access } from "../../runtime/protocol/coherence/page.ts";
import type { CacheState, DirectoryState } from "../simulator/coherence/probes.ts";

/** An access that waits. */
export interface BlockedAccess {
  readonly page: number;
  readonly access: Access;
}

/** Whether a node takes part, leaves, has left or is dead. */
export type Status = "live" | "leaving" | "left" | "dead";

/** One node. */
export interface NodeState {
  readonly status: Status;
  readonly cache: CacheState;
  /** For each page what the node's page table allows. */
  readonly mapped: readonly number[];
  /** For each page whether the alias has the last write. */
  readonly fresh: readonly boolean[];
  /** Its thread's access, if that waits. */
  readonly blocked: BlockedAccess | undefined;
  /** For each page whether the node knows, or may yet be told, that it is lost. */
  readonly toldLost: readonly boolean[];
  /** With a driver that sends first: what it has yet to do. */
  readonly undone: readonly PageOperation[];
}

/** A message on its way. */
export interface FrameState {
  readonly message: Message;
  /** For each page of a grant with bytes whether they are those of the last write. */
  readonly fresh: readonly boolean[];
}

/** A cluster. */
export interface ModelState {
  readonly nodes: readonly NodeState[];
  readonly directory: DirectoryState;
  /** From node `a` to node `b` at `(a - 1) * nodes + b - 1`. */
  readonly links: readonly (readonly FrameState[])[];
  /** For each page whether any node ever wrote it. */
  readonly written: readonly boolean[];
  /** For each page whether it may be lost. */
  readonly mayBeLost: readonly boolean[];
  /** The nodes whose end the home has yet to notice. */
  readonly unnoticed: readonly NodeId[];
  /** How many nodes may die or leave yet. */
  readonly departures: number;
  /** How many times pages may be freed. */
  readonly frees: number;
  /** How many times each page may be cleared: since it is being cleared, and since it was freed. */
  readonly clears: readonly number[];
  /** For each node how much room it has told of, where the home has not heard it yet. */
  readonly told: readonly (Room | undefined)[];
}

/** Something that can happen. */
export type Action =
  | { readonly kind: "deliver"; readonly from: NodeId; readonly to: NodeId }
  | { readonly kind: "cut"; readonly from: NodeId; readonly to: NodeId }
  | {
    readonly kind: "access";
    readonly node: NodeId;
    readonly page: number;
    readonly access: Access;
  }
  /** It is given at once to a node that can zero it, or to any, which is 0. */
  | { readonly kind: "free"; readonly page: number; readonly node: NodeId }
  | { readonly kind: "resumed"; readonly node: NodeId; readonly page: number }
  | {
    readonly kind:
      | "tick"
      | "work"
      | "askAgain"
      | "tellRoom"
      | "hearRoom"
      | "idle"
      | "operate"
      | "die"
      | "leave"
      | "notice";
    readonly node: NodeId;
  };

/** Replaces one element of a copy. */
export function replaced<Item>(items: readonly Item[], index: number, item: Item): Item[] {
  const copy = items.slice();
  copy[index] = item;
  return copy;
}

/**
 * The nodes that the home relies on for a page. It may have yet to cross out those that are gone.
 *
 * @param state The cluster.
 * @param page The page.
 * @returns The nodes.
 */
export function holdersOf({ directory }: ModelState, page: number): NodeId[] {
  return directory.holders[page]!.nodes.filter((node) => directory.members.includes(node));
}
