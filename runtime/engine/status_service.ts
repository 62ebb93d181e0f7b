/**
 * Collects the counters of a cluster for `--status`: the directory node asks every node, and passes
 * the answers on. No thread of a program takes part, so a program that blocks does not hinder it.
 */

import { STATUS_MAX_MS, TICKET_MAX } from "../limits.ts";
import { DIRECTORY_NODE, type NodeId } from "../protocol/coherence/messages.ts";
import type {
  Counters,
  NodeStatusControl,
  StatsControl,
  StatsRequestControl,
} from "../wire/status_control.ts";
import type { Peer } from "../cluster/admission.ts";

/** What {@linkcode StatusService} needs of its node. */
export interface StatusServiceOptions {
  /** This node. */
  readonly self: Peer;
  /** The other nodes. */
  peers(): readonly Peer[];
  /** Reads this node's counters. */
  stats(): Counters;
  /** Sends to another node. */
  send(to: NodeId, control: StatsRequestControl | StatsControl): void;
}

/** One node's part in `--status`. */
export class StatusService {
  readonly #options: StatusServiceOptions;
  /**
   * The nodes that were asked and have not answered, each with the function that takes its answer.
   */
  readonly #asked = new Map<NodeId, (counters: Counters | undefined) => void>();
  #ticket = 0;
  #gathering: Promise<NodeStatusControl[]> | undefined;
  #ended = false;

  /** @param options The node. */
  constructor(options: StatusServiceOptions) {
    this.#options = options;
  }

  /**
   * A message of another node.
   *
   * @param from The node.
   * @param control The message.
   * @returns Why the node may not send this message; `undefined` when it may.
   */
  receive(from: NodeId, control: StatsRequestControl | StatsControl): string | undefined {
    const { kind, ticket } = control;
    if (kind === "statsRequest" && from === DIRECTORY_NODE) {
      const counters = this.#options.stats();
      this.#options.send(from, { kind: "stats", ticket, counters });
      return undefined;
    }
    if (kind === "statsRequest" || this.#options.self.id !== DIRECTORY_NODE) {
      return `${kind} from a node that may not send it`;
    }
    // An answer with an earlier ticket came too late, and the collection that it belongs to is
    // over.
    if (ticket === this.#ticket) this.#asked.get(from)?.(control.counters);
    return undefined;
  }

  /** A node is gone, and answers no more. */
  peerLost(node: NodeId): void {
    this.#asked.get(node)?.(undefined);
  }

  /**
   * At the directory node: asks every node. A caller during a collection gets the result of that
   * one.
   *
   * @returns All nodes, in order of their ids; a node that did not answer in time has no counters.
   */
  gather(): Promise<NodeStatusControl[]> {
    return this.#gathering ??= this.#gather().finally(() => this.#gathering = undefined);
  }

  /** No node will answer any more. */
  end(): void {
    this.#ended = true;
    for (const answer of [...this.#asked.values()]) answer(undefined);
  }

  async #gather(): Promise<NodeStatusControl[]> {
    const { self } = this.#options;
    this.#ticket = this.#ticket === TICKET_MAX ? 1 : this.#ticket + 1;
    const statuses = this.#options.peers().map((peer) => this.#ask(peer));
    const timer = setTimeout(() => {
      for (const answer of [...this.#asked.values()]) answer(undefined);
    }, STATUS_MAX_MS);
    try {
      return [statusOf(self, this.#options.stats()), ...await Promise.all(statuses)];
    } finally {
      clearTimeout(timer);
    }
  }

  async #ask(peer: Peer): Promise<NodeStatusControl> {
    if (this.#ended) return statusOf(peer, undefined);
    const { promise, resolve } = Promise.withResolvers<Counters | undefined>();
    this.#asked.set(peer.id, (counters) => {
      this.#asked.delete(peer.id);
      resolve(counters);
    });
    this.#options.send(peer.id, { kind: "statsRequest", ticket: this.#ticket });
    return statusOf(peer, await promise);
  }
}

function statusOf({ id, address, port }: Peer, counters: Counters | undefined): NodeStatusControl {
  return { kind: "nodeStatus", id, address, port, ...(counters === undefined ? {} : { counters }) };
}
