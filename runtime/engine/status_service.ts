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

/** A collection that is under way. */
interface Collection {
  /** What is told beside the counters. */
  readonly look: Look | undefined;
  /**
   * The nodes that were asked and have not answered, each with the function that takes its answer.
   */
  readonly asked: Map<NodeId, (told: Told | undefined) => void>;
  /** What is collected; a node that did not answer in time has no counters. */
  readonly collected: Promise<Pick<ClusterReport, "named" | "nodes">>;
}

/** What a node tells of itself. */
type Told = Omit<StatsControl, "kind" | "ticket">;

/** One node's part in `--status`. */
export class StatusService {
  readonly #options: StatusServiceOptions;
  /**
   * The collections under way, by the tickets of their requests. There is no more than one for each
   * program that looks.
   */
  readonly #collections = new Map<number, Collection>();
  #ticket = 0;
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
    // Without one, the answer came too late.
    this.#collections.get(ticket)?.asked.get(from)?.(control);
    return undefined;
  }

  /** A node is gone, and answers no more. */
  peerLost(node: NodeId): void {
    for (const { asked } of this.#collections.values()) asked.get(node)?.(undefined);
  }

  /**
   * At the directory node: asks every node. A caller during a collection gets the result of that
   * one, where the caller asks for the same. No caller waits for another: a node that does not
   * answer would make the last of them wait for all.
   *
   * @param look What to tell beside the counters; nothing by default.
   * @returns What is told of the cluster; a node that did not answer in time has no counters.
   */
  async gather(look?: Look): Promise<ClusterReport> {
    const under = [...this.#collections.values()].find((other) => isSame(other.look, look));
    const { named, nodes } = await (under ?? this.#collect(look)).collected;
    if (look === undefined) return { named, nodes, places: [], events: [] };
    const { places, events } = this.#options;
    return { named, nodes, places: places(), events: events(look.since) };
  }

  /** No node will answer any more. */
  end(): void {
    this.#ended = true;
    for (const { asked } of this.#collections.values()) giveUp(asked);
  }

  #collect(look: Look | undefined): Collection {
    const ticket = this.#ticket = this.#ticket === TICKET_MAX ? 1 : this.#ticket + 1;
    const { self, peers, named } = this.#options;
    const allocations = named();
    const question: Question = {
      ...(allocations.length > 0 && {
        runs: allocations.map(({ first, count }): PageRun => ({ first, count })),
      }),
      ...(look && { looks: true }),
      ...(look?.run && { run: look.run }),
    };
    const asked: Collection["asked"] = new Map();
    const answers = peers().map((peer) => this.#ask(peer, { ticket, ...question }, asked));
    const own = statusOf(self, this.#tell(question));
    const timer = setTimeout(() => giveUp(asked), STATUS_MAX_MS);
    const collected = Promise.all(answers).then((others) => {
      clearTimeout(timer);
      this.#collections.delete(ticket);
      return { named: allocations, nodes: [own, ...others] };
    });
    const collection = { look, asked, collected };
    this.#collections.set(ticket, collection);
    return collection;
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

  async #ask(
    peer: Peer,
    question: Omit<StatsRequestControl, "kind">,
    asked: Collection["asked"],
  ): Promise<NodeStatusControl> {
    if (this.#ended) return statusOf(peer, undefined);
    const { promise, resolve } = Promise.withResolvers<Told | undefined>();
    asked.set(peer.id, (told) => {
      asked.delete(peer.id);
      resolve(told);
    });
    this.#options.send(peer.id, { kind: "statsRequest", ...question });
    return statusOf(peer, await promise);
  }
}

/** Nobody waits for the nodes any longer that have not answered. */
function giveUp(asked: Collection["asked"]): void {
  for (const answer of [...asked.values()]) answer(undefined);
}

/** Whether nodes are asked the same: what has happened is not theirs to tell. */
function isSame(one: Look | undefined, other: Look | undefined): boolean {
  return (one === undefined) === (other === undefined) && one?.run?.first === other?.run?.first &&
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
