/**
 * Collects the counters of a cluster for `--status`: the directory node asks every node, and passes
 * the answers on. No thread of a program takes part, so a program that blocks does not hinder it.
 */

import { STATUS_MAX_MS, TICKET_MAX } from "../limits.ts";
import { DIRECTORY_NODE, type NodeId } from "../protocol/coherence/messages.ts";
import type { PageRun } from "../protocol/coherence/page.ts";
import type { PlaceView } from "../protocol/sync/desk.ts";
import {
  type Cell,
  cellRuns,
  type ClusterEvent,
  type ClusterReport,
  type Counters,
  encodeCells,
  type NamedPages,
  type NodeStatusControl,
  type Source,
  type StatsControl,
  type StatsRequestControl,
  type StatusRequestControl,
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
  /** How many pages of a run this node has copies of. */
  copies(run: PageRun): Omit<Cell, "moves">;
  /** The pages that other nodes have sent to this one. */
  sources(): readonly Source[];
  /** How many requests of this node took so long, by bucket; measured from here on. */
  waits(): readonly number[];
  /** At the directory node: where threads wait, and which locks are held. */
  places(): readonly PlaceView[];
  /** At the directory node: what has happened since the event of a number. */
  events(since: number): readonly ClusterEvent[];
  /** Sends to another node. */
  send(to: NodeId, control: StatsRequestControl | StatsControl): void;
}

/** What a program wants to see that looks at the cluster again and again. */
export type Look = Pick<StatusRequestControl, "run"> & { readonly since: number };

/** What a node is asked beside its counters. */
type Question = Omit<StatsRequestControl, "kind" | "ticket">;

/** What a node tells of itself. */
type Told = Omit<StatsControl, "kind" | "ticket">;

/** One node's part in `--status`. */
export class StatusService {
  readonly #options: StatusServiceOptions;
  /**
   * The nodes that were asked and have not answered, each with the function that takes its answer.
   */
  readonly #asked = new Map<NodeId, (told: Told | undefined) => void>();
  #ticket = 0;
  #gathering: { look: Look | undefined; report: Promise<ClusterReport> } | undefined;
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
      this.#options.send(from, { kind: "stats", ticket, ...this.#tell(control) });
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
   * one, where the caller asks for the same, and waits for the end of the collection otherwise.
   *
   * @param look What to tell beside the counters; nothing by default.
   * @returns What is told of the cluster; a node that did not answer in time has no counters.
   */
  async gather(look?: Look): Promise<ClusterReport> {
    while (this.#gathering !== undefined) {
      if (isSame(this.#gathering.look, look)) return await this.#gathering.report;
      await this.#gathering.report;
    }
    const report = this.#gather(look).finally(() => this.#gathering = undefined);
    this.#gathering = { look, report };
    return await report;
  }

  /** No node will answer any more. */
  end(): void {
    this.#ended = true;
    for (const answer of [...this.#asked.values()]) answer(undefined);
  }

  async #gather(look: Look | undefined): Promise<ClusterReport> {
    const { self, named, places, events } = this.#options;
    this.#ticket = this.#ticket === TICKET_MAX ? 1 : this.#ticket + 1;
    const allocations = named();
    const question: Question = {
      ...(allocations.length > 0 && {
        runs: allocations.map(({ first, count }): PageRun => ({ first, count })),
      }),
      ...(look && { looks: true }),
      ...(look?.run && { run: look.run }),
    };
    const statuses = this.#options.peers().map((peer) => this.#ask(peer, question));
    const timer = setTimeout(() => {
      for (const answer of [...this.#asked.values()]) answer(undefined);
    }, STATUS_MAX_MS);
    try {
      const nodes = [statusOf(self, this.#tell(question)), ...await Promise.all(statuses)];
      if (look === undefined) return { named: allocations, nodes, places: [], events: [] };
      return { named: allocations, nodes, places: places(), events: events(look.since) };
    } finally {
      clearTimeout(timer);
    }
  }

  /** What this node tells of itself. */
  #tell({ runs, looks, run }: Question): Told {
    const { stats, moves, copies } = this.#options;
    const cell = (part: PageRun): Cell => ({ moves: moves(part), ...copies(part) });
    return {
      counters: stats(),
      ...(runs && { moves: runs.map((run) => moves(run)) }),
      ...(looks && { sources: this.#options.sources(), waits: this.#options.waits() }),
      ...(run && { cells: encodeCells(cellRuns(run).map(cell)) }),
    };
  }

  async #ask(peer: Peer, question: Question): Promise<NodeStatusControl> {
    if (this.#ended) return statusOf(peer, undefined);
    const { promise, resolve } = Promise.withResolvers<Told | undefined>();
    this.#asked.set(peer.id, (told) => {
      this.#asked.delete(peer.id);
      resolve(told);
    });
    this.#options.send(peer.id, { kind: "statsRequest", ticket: this.#ticket, ...question });
    return statusOf(peer, await promise);
  }
}

function isSame(one: Look | undefined, other: Look | undefined): boolean {
  return one?.since === other?.since && one?.run?.first === other?.run?.first &&
    one?.run?.count === other?.run?.count;
}

function statusOf({ id, address, port }: Peer, told: Told | undefined): NodeStatusControl {
  if (told === undefined) return { kind: "nodeStatus", id, address, port };
  const { counters, moves, sources, waits, cells } = told;
  return {
    kind: "nodeStatus",
    id,
    address,
    port,
    counters,
    ...(moves && { moves }),
    ...(sources && { sources }),
    ...(waits && { waits }),
    ...(cells && { cells }),
  };
}
