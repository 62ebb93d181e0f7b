/**
 * States are told apart by a hash of what matters about them. Request numbers only matter as far as
 * they differ, so they are renamed by rank; otherwise no two states would ever be the same.
 */

import { Content, type Message, type NodeId } from "../../runtime/protocol/coherence/messages.ts";
import type { Transaction } from "../../runtime/protocol/coherence/transactions.ts";
import { PAGE_MESSAGES } from "../../runtime/wire/page_messages.ts";
import type { FrameState, ModelState, NodeState, Status } from "./state.ts";

const STATUSES: readonly Status[] = ["live", "leaving", "left", "dead"];
const PHASES: readonly Transaction["phase"]["kind"][] = [
  "forwarded",
  "granted",
  "lost",
  "sourceLost",
  "aborting",
  "clearing",
];

/** Writes states down as bytes. One object serves all states of a world. */
export class Fingerprint {
  #bytes = new Uint8Array(4096);
  #length = 0;
  readonly #requests: number[][];
  readonly #limited: boolean;

  /**
   * @param nodes How many nodes there are.
   * @param limited Whether their memory has a limit.
   */
  constructor(nodes: number, limited: boolean) {
    this.#limited = limited;
    this.#requests = Array.from({ length: nodes + 1 }, () => []);
  }

  /** @returns 53 bits of a hash over everything that matters about the state. */
  of(state: ModelState): number {
    this.#length = 0;
    this.#rankRequests(state);
    for (const [index, node] of state.nodes.entries()) this.#putNode(node, index + 1);
    this.#putDirectory(state);
    for (const [index, frames] of state.links.entries()) {
      const to = index % state.nodes.length + 1;
      const from = (index - to + 1) / state.nodes.length + 1;
      this.#put(frames.length);
      for (const frame of frames) this.#putFrame(frame, from, to);
    }
    this.#putFlags(state.written);
    this.#putFlags(state.mayBeLost);
    this.#putMask(state.unnoticed);
    this.#put(state.departures);
    this.#put(state.frees);
    for (const clears of state.clears) this.#put(clears);
    for (const room of state.told) {
      this.#put(room?.pages ?? 255);
      this.#put(room?.spare ?? 255);
    }
    return hashOf(this.#bytes, this.#length);
  }

  #rankRequests(state: ModelState): void {
    for (const list of this.#requests) list.length = 0;
    const note = (node: NodeId, request: number) => this.#requests[node]!.push(request);
    for (const [index, { cache }] of state.nodes.entries()) {
      for (const { request } of cache.pending) note(index + 1, request);
      for (const { requester, request } of cache.deferred) note(requester, request);
    }
    for (const { requester, request } of state.directory.active) note(requester, request);
    for (const { from, message } of state.directory.waiting) {
      if (message.kind === "request") note(from, message.request);
    }
    for (const [index, frames] of state.links.entries()) {
      const to = index % state.nodes.length + 1;
      const from = (index - to + 1) / state.nodes.length + 1;
      for (const { message } of frames) {
        if ("request" in message) note(requesterOf(message, from, to), message.request);
      }
    }
    for (const list of this.#requests) list.sort((a, b) => a - b);
  }

  /** The rank of a request's number among those of its node that are still mentioned anywhere. */
  #rank(node: NodeId, request: number): number {
    let rank = 0;
    let last = 0;
    for (const other of this.#requests[node]!) {
      if (other > request) break;
      if (other !== last) rank++;
      last = other;
    }
    return rank;
  }

  #putNode(node: NodeState, id: NodeId): void {
    const { status, cache, mapped, fresh, toldLost, blocked, undone } = node;
    this.#put(STATUSES.indexOf(status));
    // Nothing of a node that is gone matters any more.
    if (status === "left" || status === "dead") return;
    for (const value of mapped) this.#put(value);
    this.#putFlags(fresh);
    this.#putFlags(toldLost);
    this.#put(blocked === undefined ? 255 : blocked.page);
    this.#put(blocked?.access ?? 0);
    this.#put(undone.length);
    for (const { kind, first, count } of undone) {
      this.#put(kind.length);
      this.#put(first);
      this.#put(count);
    }
    for (const value of cache.states) this.#put(value);
    if (this.#limited) this.#putMemory(cache);
    this.#put(cache.gone.length);
    for (const [node, next] of cache.gone) {
      this.#put(node);
      this.#put(cache.pending.filter(({ request }) => request < next).length);
    }
    this.#putPairs(cache.lost);
    this.#put(cache.leaving ? 1 : 0);
    this.#put(cache.holds.length);
    for (const [page] of cache.holds) this.#put(page);
    this.#put(cache.deferred.length);
    for (const demand of cache.deferred) this.#putMessage(demand, 1, id);
    this.#put(cache.pending.length);
    for (const pending of cache.pending) {
      this.#put(pending.first);
      this.#put(pending.count);
      this.#put(pending.access);
      this.#put(pending.trap ? 1 : 0);
      this.#put(this.#rank(id, pending.request));
      this.#putMask(pending.acknowledged);
      this.#put(pending.waiting.length);
      for (const { page, access } of pending.waiting) {
        this.#put(page);
        this.#put(access);
      }
      this.#put(pending.granter);
      if (pending.grant !== undefined) this.#putMessage(pending.grant, 1, id);
    }
  }

  /** What only matters where memory has a limit, or dead bytes are given back. */
  #putMemory(
    { residence, roomless, adoptions, offloads, mapped, strandedSince }: NodeState["cache"],
  ): void {
    for (const value of residence) this.#put(value);
    this.#putPairs(roomless.map(({ page, access }) => [page, access]));
    for (const runs of [adoptions, offloads]) {
      this.#putPairs(runs.map(({ first, count }) => [first, count]));
    }
    for (const { awaited } of offloads) this.#put(awaited);
    this.#putPairs(mapped);
    this.#put(strandedSince === Infinity ? 0 : 1);
  }

  #putDirectory({ directory }: ModelState): void {
    for (const { owner, nodes, migration } of directory.holders) {
      this.#put(owner);
      this.#put(migration);
      this.#putMask(nodes);
    }
    this.#putMask(directory.members);
    this.#putPairs(directory.lost);
    this.#put(directory.leaving.length);
    for (const [node, page, paused] of directory.leaving) {
      this.#put(node);
      this.#put(page);
      this.#put(paused ? 1 : 0);
    }
    this.#put(directory.departed.length);
    for (const node of directory.departed) this.#put(node);
    this.#put(directory.sweep.page);
    this.#put(directory.sweep.nodes);
    this.#put(directory.rooms.length);
    for (const [node, { pages, spare }] of directory.rooms) {
      this.#putPairs([[node, pages], [spare, 0]]);
    }
    for (const [node, { page, taker }] of directory.adoptions) {
      this.#putPairs([[node, page], [taker, 0]]);
    }
    this.#putMask(directory.freed);
    this.#put(Math.min(directory.clearFrom, 255));
    this.#put(Math.min(directory.clearAgainFrom, 255));
    this.#put(directory.waiting.length);
    for (const { from, message } of directory.waiting) {
      this.#put(from);
      this.#putMessage(message, from, 1);
    }
    this.#put(directory.active.length);
    for (const transaction of directory.active) this.#putTransaction(transaction);
  }

  #putTransaction(transaction: Transaction): void {
    this.#put(transaction.first);
    this.#put(transaction.count);
    this.#put(transaction.requester);
    this.#put(this.#rank(transaction.requester, transaction.request));
    this.#put(transaction.access);
    this.#putMask(transaction.invalidated);
    this.#put(transaction.lostWith);
    const { phase } = transaction;
    this.#put(PHASES.indexOf(phase.kind));
    if ("content" in phase) this.#put(phase.content);
    if ("source" in phase) this.#put(phase.source);
    if ("lostNode" in phase) this.#put(phase.lostNode);
    if ("awaited" in phase) this.#putMask([...phase.awaited]);
    if (phase.kind !== "aborting") return;
    this.#put(phase.refused.length);
    for (const node of phase.refused) this.#put(node);
  }

  #putFrame({ message, fresh }: FrameState, from: NodeId, to: NodeId): void {
    this.#putMessage(message, from, to);
    if (message.kind === "grant" && message.content === Content.Data) this.#putFlags(fresh);
  }

  #putMessage(message: Message, from: NodeId, to: NodeId): void {
    this.#put(PAGE_MESSAGES[message.kind].type);
    if ("request" in message) {
      const requester = requesterOf(message, from, to);
      this.#put(message.first);
      this.#put(message.count);
      this.#put(requester);
      this.#put(this.#rank(requester, message.request));
    } else if ("first" in message) {
      this.#put(message.first);
      this.#put(message.count);
    }
    if ("awaited" in message) this.#put(message.awaited);
    if ("access" in message) this.#put(message.access);
    if ("content" in message) this.#put(message.content);
    if ("invalidated" in message) this.#putMask(message.invalidated);
    if ("lostNode" in message) this.#put(message.lostNode);
    if ("lost" in message) this.#put(message.lost ? 1 : 0);
    if ("node" in message) this.#put(message.node);
  }

  #putFlags(flags: readonly boolean[]): void {
    let mask = 0;
    for (const flag of flags) mask = mask * 2 + (flag ? 1 : 0);
    this.#put(mask);
  }

  #putMask(nodes: readonly NodeId[]): void {
    let mask = 0;
    for (const node of nodes) mask |= 1 << node;
    this.#put(mask);
  }

  #putPairs(pairs: readonly (readonly [number, number])[]): void {
    this.#put(pairs.length);
    for (const [key, value] of pairs) {
      this.#put(key);
      this.#put(value);
    }
  }

  #put(value: number): void {
    this.#bytes[this.#length++] = value;
  }
}

/**
 * A hash.
 *
 * @param bytes What of.
 * @param length How many of them.
 * @returns 53 bits.
 */
export function hashOf(bytes: Uint8Array, length: number): number {
  let low = 0x9747b28c;
  let high = 0x3c6ef372;
  for (let index = 0; index < length; index++) {
    const byte = bytes[index]!;
    low = Math.imul(low ^ byte, 0x85ebca6b);
    low ^= low >>> 15;
    high = Math.imul(high ^ byte, 0xc2b2ae35);
    high ^= high >>> 13;
  }
  return (high >>> 11) * 2 ** 32 + (low >>> 0);
}

/** Whose request a message is about. */
export function requesterOf(message: Message, from: NodeId, to: NodeId): NodeId {
  if ("requester" in message) return message.requester;
  return message.kind === "request" || message.kind === "done" ? from : to;
}
