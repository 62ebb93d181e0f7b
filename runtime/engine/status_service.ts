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
  encodeFigures,
  type Figures,
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
  /** Something was begun that goes on in the event loop. */
  needsTurn(): void;
  /** Sends to another node. */
  send(to: NodeId, control: StatsRequestControl | StatsControl): void;
}

/** What a program wants to see that looks at the cluster again and again. */
export type Look = Pick<StatusRequestControl, "looked"> & { readonly since: number };

/** What a node is asked beside its counters. */
type Question = Omit<StatsRequestControl, "kind" | "ticket">;

/** A collection that is under way. */
interface Collection {
  /** What is told beside the counters. */
  readonly look: Look | undefined;
  /** The nodes that were asked and have not answered. */
  readonly awaited: Set<NodeId>;
  /** What each node has told of itself, encoded. */
  readonly told: Map<NodeId, Uint8Array>;
  /** Called when no node is awaited any more. */
  readonly done: () => void;
  /** What is collected; of a node that did not answer in time only where it is. */
  readonly collected: Promise<Pick<ClusterReport, "named" | "nodes">>;
}

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
      this.#options.send(from, { kind: "stats", ticket, figures: this.#tell(control) });
      return undefined;
    }
    if (kind === "statsRequest" || this.#options.self.id !== DIRECTORY_NODE) {
      return `${kind} from a node that may not send it`;
    }
    // Without one, the answer came too late.
    const collection = this.#collections.get(ticket);
    if (collection?.awaited.has(from)) {
      collection.told.set(from, control.figures);
      this.#settle(collection, from);
    }
    return undefined;
  }

  /** A node is gone, and answers no more. */
  peerLost(node: NodeId): void {
    for (const collection of this.#collections.values()) this.#settle(collection, node);
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
    for (const collection of this.#collections.values()) this.#giveUp(collection);
  }

  /** A node is awaited no more. */
  #settle({ awaited, done }: Collection, node: NodeId): void {
    if (awaited.delete(node) && awaited.size === 0) done();
  }

  /** Nobody waits for the nodes any longer that have not answered. */
  #giveUp({ awaited, done }: Collection): void {
    awaited.clear();
    done();
  }

  #collect(look: Look | undefined): Collection {
    const ticket = this.#ticket = this.#ticket === TICKET_MAX ? 1 : this.#ticket + 1;
    const { self, peers, named, send, needsTurn } = this.#options;
    const allocations = named();
    // One message for all nodes, which is encoded once.
    const request: StatsRequestControl = {
      kind: "statsRequest",
      ticket,
      ...(allocations.length > 0 && {
        runs: allocations.map(({ first, count }): PageRun => ({ first, count })),
      }),
      ...(look && { looks: true }),
      ...(look?.looked && { looked: look.looked }),
    };
    const own = statusOf(self, this.#tell(request));
    const others = peers();
    const awaited = new Set(this.#ended ? [] : others.map(({ id }) => id));
    const told = new Map<NodeId, Uint8Array>();
    const all = Promise.withResolvers<void>();
    const collection: Collection = {
      look,
      awaited,
      told,
      done: () => {
        all.resolve();
        needsTurn();
      },
      collected: all.promise.then(() => {
        clearTimeout(timer);
        this.#collections.delete(ticket);
        const nodes = others.map((peer) => statusOf(peer, told.get(peer.id)));
        return { named: allocations, nodes: [own, ...nodes] };
      }),
    };
    this.#collections.set(ticket, collection);
    const timer = setTimeout(() => this.#giveUp(collection), STATUS_MAX_MS);
    for (const id of awaited) send(id, request);
    if (awaited.size === 0) collection.done();
    return collection;
  }

  /** What this node tells of itself. */
  #tell({ runs, looks, looked }: Question): Uint8Array {
    const { stats, moves, copies } = this.#options;
    const cell = (part: PageRun): Cell => ({ moves: moves(part), ...copies(part) });
    const figures: Figures = {
      counters: stats(),
      ...(runs && { moves: runs.map((run) => moves(run)) }),
      ...(looks && { sources: this.#options.sources(), waits: this.#options.waits() }),
      ...(looked && { cells: looked.map((run) => encodeCells(cellRuns(run).map(cell))) }),
    };
    return encodeFigures(figures);
  }
}

/** Whether nodes are asked the same: what has happened is not theirs to tell. */
function isSame(one: Look | undefined, other: Look | undefined): boolean {
  if (one === undefined || other === undefined) return one === other;
  const [runs, others] = [one.looked ?? [], other.looked ?? []];
  return runs.length === others.length && runs.every(({ first, count }, index) => {
    const run = others[index]!;
    return run.first === first && run.count === count;
  });
}

function statusOf({ id, address, port }: Peer, figures: Uint8Array | undefined): NodeStatusControl {
  return { kind: "nodeStatus", id, address, port, ...(figures && { figures }) };
}
