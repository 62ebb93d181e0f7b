/**
 * What the limit of a node's memory means in a state of the model.
 */

import { MEMORY_ASK_AGAIN_MS } from "../../runtime/limits.ts";
import type { Room } from "../../runtime/protocol/coherence/memory.ts";
import type { NodeId } from "../../runtime/protocol/coherence/messages.ts";
import { contains, PageState } from "../../runtime/protocol/coherence/page.ts";
import { Residence } from "../../runtime/protocol/coherence/residence.ts";
import type { CacheState } from "../simulator/coherence/probes.ts";
import { holdersOf, type ModelState, type NodeState } from "./state.ts";

/** How many pages each node may keep, and how many of these it keeps free for its own threads. */
export interface Limits {
  readonly memoryPages: number;
  readonly reservePages: number;
}

/** The copies that no other node has, and the pages that are to come. */
const FIXED: readonly Residence[] = [
  Residence.UsedAlone,
  Residence.IdleAlone,
  Residence.Expected,
  Residence.Replaced,
];

/**
 * @param state The cluster.
 * @param id A node.
 * @param limits How many pages it may keep.
 * @returns For how many pages of others it has room.
 */
export function roomOf(
  state: ModelState,
  id: NodeId,
  { memoryPages, reservePages }: Limits,
): Room {
  const { residence, roomless, adoptions } = state.nodes[id - 1]!.cache;
  const fixed = residence.filter((value) => FIXED.includes(value)).length;
  const promised = adoptions.reduce((sum, { count }) => sum + count, roomless.length);
  const pages = Math.max(0, memoryPages - fixed - promised);
  return { pages, spare: Math.max(0, pages - reservePages) };
}

/** @returns Whether the node has dead bytes that nothing was done about yet. */
export function hasDeadBytes({ cache: { residence } }: NodeState): boolean {
  return residence.some((value) => value === Residence.Spent || value === Residence.Dead);
}

/**
 * Whether it is of use that a node asks the home anew to take its pages elsewhere. It may do so at
 * any time, but where nothing comes of it the state is the same after it.
 *
 * @param state The cluster.
 * @param id The node.
 * @param limits How many pages each node may keep.
 * @returns Whether something comes of it.
 */
export function mayAskAgain(state: ModelState, id: NodeId, limits: Limits): boolean {
  const { cache, status } = state.nodes[id - 1]!;
  if (status !== "live" || cache.offloads.length === 0 || cache.roomless.length === 0) return false;
  const asks = state.links.some((frames, index) =>
    frames.some(({ message }) =>
      message.kind === "adopt" ||
      (message.kind === "offload" && Math.floor(index / state.nodes.length) === id - 1)
    )
  );
  if (asks || state.nodes.some((node) => node.cache.adoptions.length > 0)) return false;
  const isBusy = (page: number) => state.directory.active.some((run) => contains(run, page));
  return cache.states.some((pageState, page) => {
    if (!cache.offloads.some((run) => contains(run, page)) || isBusy(page)) return false;
    // The home has made another copy since it said that there is none.
    const others = holdersOf(state, page).filter((node) =>
      node !== id && state.nodes[node - 1]!.status !== "leaving"
    );
    if (others.length > 0) return pageState === PageState.Shared;
    // Of its own room the home need not be told.
    if (id !== 1 && roomOf(state, 1, limits).pages > 0) return true;
    return state.directory.rooms.some(([node, { pages }]) =>
      node !== id && pages > 0 && state.nodes[node - 1]!.status === "live"
    );
  });
}

/**
 * @param state What a cache keeps.
 * @param holdsEndUs When every hold is over.
 * @returns The same, but for its times: of these it only matters whether there are any.
 */
export function timeless(state: CacheState, holdsEndUs: number): CacheState {
  return {
    ...state,
    holds: state.holds.map(([page]) => [page, holdsEndUs]),
    mapped: state.mapped.map(([page, until]) => [page, Math.min(until, holdsEndUs)]),
    askAgainAt: MEMORY_ASK_AGAIN_MS * 1000,
    roomlessSince: 0,
    strandedSince: state.strandedSince === Infinity ? Infinity : 0,
  };
}
