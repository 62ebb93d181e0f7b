/** Barriers and mutexes of the simulated cluster: those of the runtime, asked and answered by messages. */

import { DIRECTORY_NODE, type NodeId } from "../../runtime/protocol/coherence/messages.ts";
import { encodeSync, SYNC_MAX_BYTES } from "../../runtime/wire/sync_frames.ts";
import {
  SyncOperation,
  type SyncReply,
  type SyncRequest,
  SyncStatus,
} from "../../runtime/protocol/sync/messages.ts";
import { Synchronizer } from "../../runtime/protocol/sync/synchronizer.ts";
import type { SimulatedNode } from "./simulated_node.ts";

/** What synchronisation needs of the cluster. */
export interface SyncParts {
  /** The nodes, in order of their ids. */
  readonly nodes: readonly SimulatedNode[];
  /** An engine works for an input, and does something at the end of it. */
  work(node: SimulatedNode, action: () => void): void;
  /** Sends so many bytes, and does something when they are there. */
  transmit(from: SimulatedNode, to: NodeId, bytes: number, arrived: () => void): void;
  /** A program that waited goes on. */
  resume(node: SimulatedNode): void;
}

/** What all nodes share beside memory. */
export class SimulatedSync {
  readonly #parts: SyncParts;
  readonly #synchronizer: Synchronizer;
  readonly #frame = new Uint8Array(SYNC_MAX_BYTES);
  /** What happens when a request is answered, by node and ticket. */
  readonly #waiting = new Map<string, (reply: SyncReply) => void>();

  /** @param parts The cluster. */
  constructor(parts: SyncParts) {
    this.#parts = parts;
    this.#synchronizer = new Synchronizer({
      reply: (to, reply) => this.#reply(to, reply),
      violation: (node, reason) => {
        throw new Error(`Node ${node}: ${reason}`);
      },
    });
    for (const { id } of parts.nodes) this.#synchronizer.peerJoined(id);
  }

  /** A program arrives at a barrier, and goes on when all have. */
  arrive(node: SimulatedNode, name: string, count: number): void {
    const { Arrive: operation } = SyncOperation;
    const request: SyncRequest = { kind: "sync", operation, ticket: node.ticket(), name, count };
    this.#ask(node, request, ({ status }) => {
      if (status !== SyncStatus.Done && status !== SyncStatus.Last) throw unexpected(status);
      this.#parts.resume(node);
    });
  }

  /** A program locks a mutex, and goes on when it has it. */
  lock(node: SimulatedNode, name: string): void {
    const { Lock: operation } = SyncOperation;
    const request: SyncRequest = { kind: "sync", operation, ticket: node.ticket(), name };
    this.#ask(node, request, ({ status, ticket }) => {
      if (status !== SyncStatus.Done) throw unexpected(status);
      node.locks.set(name, ticket);
      this.#parts.resume(node);
    });
  }

  /** A program unlocks a mutex; it does not wait for the answer. */
  unlock(node: SimulatedNode, name: string): void {
    const { Unlock: operation } = SyncOperation;
    const lock = node.locks.get(name)!;
    node.locks.delete(name);
    const request: SyncRequest = { kind: "sync", operation, ticket: node.ticket(), lock };
    this.#ask(node, request, ({ status }) => {
      if (status !== SyncStatus.Done) throw unexpected(status);
    });
  }

  #ask(node: SimulatedNode, request: SyncRequest, answered: (reply: SyncReply) => void): void {
    const { nodes, work, transmit } = this.#parts;
    this.#waiting.set(`${node.id} ${request.ticket}`, answered);
    const ask = () => this.#synchronizer.request(node.id, request);
    work(node, () => {
      if (node.id === DIRECTORY_NODE) return ask();
      const bytes = encodeSync(request, this.#frame, 0);
      transmit(node, DIRECTORY_NODE, bytes, () => work(nodes[DIRECTORY_NODE - 1]!, ask));
    });
  }

  #reply(to: NodeId, reply: SyncReply): void {
    const { nodes, work, transmit } = this.#parts;
    const key = `${to} ${reply.ticket}`;
    const answered = this.#waiting.get(key)!;
    this.#waiting.delete(key);
    const directory = nodes[DIRECTORY_NODE - 1]!;
    // Not from within the request: its answers to others come first.
    if (to === DIRECTORY_NODE) return work(directory, () => answered(reply));
    const bytes = encodeSync(reply, this.#frame, 0);
    transmit(directory, to, bytes, () => work(nodes[to - 1]!, () => answered(reply)));
  }
}

function unexpected(status: SyncStatus): Error {
  return new Error(`Unexpected status ${status}`);
}
