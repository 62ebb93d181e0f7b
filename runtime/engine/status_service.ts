/**
 * Collects the counters of a cluster for `--status`: the directory node asks every node, and passes
 * the answers on. No thread of a program takes part, so a program that blocks does not hinder it.
 */

import { STATUS_MAX_MS, TICKET_MAX } from "../limits.ts";
import { DIRECTORY_NODE, type NodeId } from "../protocol/coherence/messages.ts";
import type { PageRun } from "../protocol/coherence/page.ts";
import type {
  ClusterReport,
  Counters,
  NamedPages,
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
  /** At the directory node: the allocations that have a name. */
  named(): readonly NamedPages[];
  /** How many pages of a run have moved to this node. */
  moves(run: PageRun): number;
  /** Sends to another node. */
  send(to: NodeId, control: StatsRequestControl | StatsControl): void;
}

/** What a node tells of itself. */
type Told = Pick<StatsControl, "counters" | "moves">;

/** One node's part in `--status`. */
export class StatusService {
  readonly #options: StatusServiceOptions;
  /**
   * The nodes that were asked and have not answered, each with the function that takes its answer.
   */
  readonly #asked = new Map<NodeId, (told: Told | undefined) => void>();
  #ticket = 0;
  #gathering: Promise<ClusterReport> | undefined;
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
      this.#options.send(from, { kind: "stats", ticket, ...this.#tell(control.runs) });
      return undefined;
    }
    if (kind === "statsRequest" || this.#options.self.id !== DIRECTORY_NODE) {
      return `${kind} from a node that may not send it`;
    }
    // An answer with an earlier ticket came too late, and the collection that it belongs to is
    // over.
    if (ticket === this.#ticket) this.#asked.get(from)?.(control);
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
   * @returns What is told of the cluster; a node that did not answer in time has no counters.
   */
  gather(): Promise<ClusterReport> {
    return this.#gathering ??= this.#gather().finally(() => this.#gathering = undefined);
  }

  /** No node will answer any more. */
  end(): void {
    this.#ended = true;
    for (const answer of [...this.#asked.values()]) answer(undefined);
  }

  async #gather(): Promise<ClusterReport> {
    const { self } = this.#options;
    this.#ticket = this.#ticket === TICKET_MAX ? 1 : this.#ticket + 1;
    const named = this.#options.named();
    const runs = named.length === 0
      ? undefined
      : named.map(({ first, count }): PageRun => ({ first, count }));
    const statuses = this.#options.peers().map((peer) => this.#ask(peer, runs));
    const timer = setTimeout(() => {
      for (const answer of [...this.#asked.values()]) answer(undefined);
    }, STATUS_MAX_MS);
    try {
      return { named, nodes: [statusOf(self, this.#tell(runs)), ...await Promise.all(statuses)] };
    } finally {
      clearTimeout(timer);
    }
  }

  /** What this node tells of itself. */
  #tell(runs: readonly PageRun[] | undefined): Told {
    const { stats, moves } = this.#options;
    return { counters: stats(), ...(runs && { moves: runs.map((run) => moves(run)) }) };
  }

  async #ask(peer: Peer, runs: readonly PageRun[] | undefined): Promise<NodeStatusControl> {
    if (this.#ended) return statusOf(peer, undefined);
    const { promise, resolve } = Promise.withResolvers<Told | undefined>();
    this.#asked.set(peer.id, (told) => {
      this.#asked.delete(peer.id);
      resolve(told);
    });
    const request: StatsRequestControl = { kind: "statsRequest", ticket: this.#ticket };
    this.#options.send(peer.id, runs === undefined ? request : { ...request, runs });
    return statusOf(peer, await promise);
  }
}

function statusOf({ id, address, port }: Peer, told: Told | undefined): NodeStatusControl {
  const { counters, moves } = told ?? {};
  return {
    kind: "nodeStatus",
    id,
    address,
    port,
    ...(counters && { counters }),
    ...(moves && { moves }),
  };
}
