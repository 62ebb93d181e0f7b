/**
 * The protocol's own classes, opened for inspection: their state can be read, saved and restored.
 * Nothing here changes their behaviour.
 */

import { PageCache } from "../../../runtime/protocol/coherence/cache.ts";
import { ChunkHomes } from "../../../runtime/protocol/coherence/chunk_homes.ts";
import { Directory } from "../../../runtime/protocol/coherence/directory.ts";
import { Coherence, type CoherenceParts } from "../../../runtime/protocol/coherence/coherence.ts";
import { HomeMoves } from "../../../runtime/protocol/coherence/home_moves.ts";
import { NO_ROOM, type Room } from "../../../runtime/protocol/coherence/memory.ts";
import {
  DIRECTORY_NODE,
  type Message,
  type NodeId,
} from "../../../runtime/protocol/coherence/messages.ts";
import type { EngineEvent } from "../../../runtime/protocol/coherence/output.ts";
import { Residence } from "../../../runtime/protocol/coherence/residence.ts";
import {
  contains,
  type PageRun,
  type PageState,
} from "../../../runtime/protocol/coherence/page.ts";
import type { WaitingRequest } from "../../../runtime/protocol/coherence/request_queue.ts";
import { sourceOf, type Transaction } from "../../../runtime/protocol/coherence/transactions.ts";

/** A request under way, at its requester. */
export type PendingRequest = NonNullable<ReturnType<PageCache["pending"]["find"]>>;
/** A demand that waits at the node that it was made to. */
export type DeferredDemand = PageCache["demands"]["deferred"][number];
/** What a home tells when it has cleared pages. */
export type ClearedEvent = Extract<EngineEvent, { kind: "cleared" }>;
/** What another node was asked to take of one that leaves, at their home. */
export type AskedAdoption = NonNullable<ReturnType<Directory["adoptions"]["get"]>>;

/** All that a cache keeps, but for its counters and the walks that it follows. */
export interface CacheState {
  readonly states: readonly PageState[];
  readonly gone: readonly (readonly [node: NodeId, next: number])[];
  readonly lost: readonly (readonly [page: number, node: NodeId])[];
  readonly pending: readonly PendingRequest[];
  readonly deferred: readonly DeferredDemand[];
  readonly holds: readonly (readonly [page: number, until: number])[];
  readonly locating: readonly number[];
  readonly nextRequest: number;
  readonly leaving: boolean;
  readonly residence: readonly Residence[];
  readonly offloads: PageCache["memory"]["offloads"];
  readonly askAgainAt: number;
  readonly mapped: readonly (readonly [page: number, until: number])[];
  readonly hands: PageCache["memory"]["hands"];
  readonly roomless: readonly Readonly<PageCache["roomless"][number]>[];
  readonly roomlessSince: number;
  readonly strandedSince: number;
  readonly adoptions: readonly PageRun[];
}

/** All that a directory keeps. */
export interface DirectoryState {
  readonly holders: readonly {
    readonly owner: NodeId;
    readonly nodes: readonly NodeId[];
    readonly migration: number;
  }[];
  readonly members: readonly NodeId[];
  readonly lost: readonly (readonly [page: number, node: NodeId])[];
  readonly leaving: readonly (readonly [
    node: NodeId,
    page: number,
    paused: boolean,
    parting: "asked" | "parted" | undefined,
  ])[];
  readonly departed: readonly NodeId[];
  readonly sweep: { readonly page: number; readonly nodes: number };
  readonly active: readonly Transaction[];
  readonly waiting: readonly WaitingRequest[];
  readonly rooms: readonly (readonly [node: NodeId, room: Room])[];
  readonly adoptions: readonly (readonly [node: NodeId, asked: AskedAdoption])[];
  /** The pages that are to be cleared, and from where on they are looked for. */
  readonly freed: readonly number[];
  readonly clearFrom: number;
  readonly clearAgainFrom: number;
  readonly closing: boolean;
  readonly rebuilds: readonly (readonly [home: NodeId, rebuild: RebuildState])[];
  readonly retiring: boolean;
}

/** The pages of a home that has moved, at the directory node. */
interface RebuildState {
  readonly awaited: readonly NodeId[];
  /** The first pages of the transactions that stand for them. */
  readonly firsts: readonly number[];
  readonly isTold: boolean;
}

/** All that a node knows of moves of homes. */
interface MovesState {
  readonly present: readonly NodeId[];
  readonly retired: readonly NodeId[];
  readonly gone: readonly NodeId[];
  readonly parted: readonly NodeId[];
  readonly forgottenBy: readonly NodeId[];
  readonly drains: readonly {
    readonly home: NodeId;
    readonly runs: readonly PageRun[];
    readonly asked: readonly number[];
    readonly awaited: readonly NodeId[];
    readonly isCut: boolean;
  }[];
  readonly reports: readonly { readonly home: NodeId; readonly runs: readonly PageRun[] }[];
  readonly askers: readonly ProbeMoves["askers"][number][];
}

/** All that the protocol of a node keeps that can be the home of pages. */
export interface EngineState {
  readonly cache: CacheState;
  readonly directory: DirectoryState;
  readonly moves: MovesState;
  /** For each page the home that it was given; 0 for none. */
  readonly homes: readonly NodeId[];
  readonly departure: { readonly kind: string; readonly awaited: readonly NodeId[] } | undefined;
  readonly early: ProbeCoherence["early"];
}

function copyPending(pending: PendingRequest): PendingRequest {
  const waiting = pending.waiting.map((entry) => ({ ...entry }));
  return { ...pending, acknowledged: [...pending.acknowledged], waiting };
}

/**
 * Phases and lists of a transaction are replaced, never changed; but for the nodes that a move
 * awaits, which {@linkcode RebuildState} has.
 */
function copyTransaction(transaction: Transaction): Transaction {
  const { phase } = transaction;
  if (phase.kind !== "rebuilding") return { ...transaction };
  return { ...transaction, phase: { ...phase, awaited: NOBODY } };
}

const NOBODY: ReadonlySet<NodeId> = new Set();

function refillSet<Item>(set: Set<Item>, items: Iterable<Item>): void {
  set.clear();
  for (const item of items) set.add(item);
}

function refill<Key, Value>(
  map: Map<Key, Value>,
  entries: Iterable<readonly [Key, Value]>,
): void {
  map.clear();
  for (const [key, value] of entries) map.set(key, value);
}

/** A cache that can be looked into. */
export class ProbeCache extends PageCache {
  /** Whether nothing is asked for or waits at this node. */
  get idle(): boolean {
    const { residence } = this.memory;
    return this.pending.size === 0 && this.demands.deferred.length === 0 &&
      this.roomless.length === 0 && this.adoptions.length === 0 &&
      residence.count(Residence.Dropping, Residence.Forgone) === 0;
  }

  /** @returns Whether the node has a copy, be it that it has asked the home to forget it. */
  hasCopy(page: number): boolean {
    return this.memory.hasCopy(page);
  }

  /** The only copies that other nodes are asked to take, in the order in which they were. */
  get offloads(): PageCache["memory"]["offloads"] {
    return this.memory.offloads;
  }

  /** Whether a demand waits for a hold. */
  get hasDeferred(): boolean {
    return this.demands.deferred.length > 0;
  }

  /** How many pages count against the limit. */
  get held(): number {
    return this.memory.held;
  }

  /** Whether there are dead bytes that nothing was done about yet. */
  get hasDeadBytes(): boolean {
    return this.memory.residence.count(Residence.Spent, Residence.Dead) > 0;
  }

  /** The most that may count. */
  get limit(): number {
    return this.memory.limit;
  }

  /** @returns Whether a page was unmapped to see whether a thread uses it. */
  isIdle(page: number): boolean {
    const value = this.memory.residence.get(page);
    return value === Residence.Idle || value === Residence.IdleAlone;
  }

  /** @returns Whether a page is requested, or will be once there is room. */
  isTaking(page: number): boolean {
    return this.pending.at(page) !== undefined ||
      this.adoptions.some((run) => contains(run, page)) ||
      this.roomless.some((wanted) => wanted.page === page);
  }

  /** @returns Whether the message is a demand that waits here. */
  defers(message: Message): boolean {
    return this.demands.deferred.some((other) => other === message);
  }

  /** Takes a node for the home of a page, whatever was told. */
  believe(page: number, home: NodeId): void {
    this.homes.set(page, home);
  }

  /** The requests under way. */
  get requests(): readonly PendingRequest[] {
    return [...this.pending.values()];
  }

  /** @returns What the cache keeps, which later steps do not change. */
  save(): CacheState {
    const { pageCount } = this.options;
    const states: PageState[] = [];
    for (let page = 0; page < pageCount; page++) states.push(this.state(page));
    return {
      states,
      gone: [...this.gone],
      lost: [...this.lost],
      pending: [...this.pending.values().map(copyPending)],
      deferred: this.demands.deferred.slice(),
      holds: [...this.demands.holds],
      locating: [...this.locating],
      nextRequest: this.nextRequest,
      leaving: this.leaving,
      residence: states.map((_, page) => this.memory.residence.get(page)),
      offloads: [...this.memory.offloads],
      askAgainAt: this.memory.askAgainAt,
      mapped: [...this.mapped],
      hands: structuredClone(this.memory.hands),
      roomless: this.roomless.map((entry) => ({ ...entry })),
      roomlessSince: this.roomlessSince,
      strandedSince: this.strandedSince,
      adoptions: [...this.adoptions],
    };
  }

  /** @param state What {@linkcode save} returned. */
  load(state: CacheState): void {
    for (const [page, value] of state.states.entries()) this.states.fill(page, 1, value);
    refill(this.gone, state.gone);
    refill(this.lost, state.lost);
    this.pending.clear();
    for (const pending of state.pending) this.pending.add(copyPending(pending));
    this.demands.deferred = [...state.deferred];
    refill(this.demands.holds, state.holds);
    this.locating.clear();
    for (const page of state.locating) this.locating.add(page);
    this.nextRequest = state.nextRequest;
    this.leaving = state.leaving;
    const { memory } = this;
    for (const [page, value] of state.residence.entries()) memory.residence.fill(page, 1, value);
    memory.offloads = [...state.offloads];
    memory.askAgainAt = state.askAgainAt;
    refill(this.mapped, state.mapped);
    memory.hands = structuredClone(state.hands);
    this.roomless = state.roomless.map((entry) => ({ ...entry }));
    this.roomlessSince = state.roomlessSince;
    this.strandedSince = state.strandedSince;
    this.adoptions = [...state.adoptions];
  }
}

/** A directory that can be looked into. */
export class ProbeDirectory extends Directory {
  /** How many operations of its step came before each event that pages are cleared. */
  readonly #operationsBefore = new WeakMap<ClearedEvent, number>();

  constructor(...parts: ConstructorParameters<typeof Directory>) {
    super(...parts);
    const { outbox } = this;
    const tell = outbox.tell.bind(outbox);
    outbox.tell = (event) => {
      if (event.kind === "cleared") this.#operationsBefore.set(event, outbox.operations.length);
      tell(event);
    };
  }

  /**
   * @param event An event of the last step of this home.
   * @returns How many operations of that step came before the pages were cleared.
   */
  operationsBefore(event: ClearedEvent): number {
    return this.#operationsBefore.get(event)!;
  }

  /**
   * Whether no transaction is under way, no request waits, no node is leaving and no page is to be
   * cleared.
   */
  get idle(): boolean {
    return this.active.size === 0 && this.waiting.size === 0 && this.leaving.size === 0 &&
      this.freed.isEmpty && !this.hasResting && this.clearing.size === 0 &&
      this.orders.size === 0 && this.ordered.length === 0 && !this.hasWork;
  }

  /** Whether freed pages are not to be cleared yet. */
  get hasResting(): boolean {
    return !this.resting.isEmpty;
  }

  /** @returns The transaction under way on a page, if there is one. */
  transactionOn(page: number): Transaction | undefined {
    return this.active.at(page);
  }

  /** @returns Whether a leaving node was told that this home needs nothing of it any more. */
  isParting(node: NodeId): boolean {
    return this.leaving.get(node)?.parting !== undefined;
  }

  /**
   * @param shared Whether only those count for whose write other nodes drop their copies.
   * @returns The nodes that are to send bytes.
   */
  sources(shared: boolean): NodeId[] {
    return this.active.values()
      .filter(({ invalidated }) => !shared || invalidated.length > 0)
      .map(({ phase }) => sourceOf(phase))
      .filter((source) => source > DIRECTORY_NODE)
      .toArray();
  }

  /** @returns Whether the home of a page has moved here, and nodes have yet to report. */
  isRebuilding(page: number): boolean {
    return this.active.at(page)?.phase.kind === "rebuilding";
  }

  /** @returns Whether the node has joined and is not gone, as the home knows. */
  isMember(node: NodeId): boolean {
    return this.members.has(node);
  }

  /** @returns Whether the home counts the node among those that have a copy. */
  has(page: number, node: NodeId): boolean {
    return this.members.has(node) && this.holders.has(page, node);
  }

  /** @returns Whether the page's only copy went with a node. */
  isLost(page: number): boolean {
    return this.lostWith(page) !== 0;
  }

  /** @returns The node that the page's only copy went with; 0 where it is not lost. */
  lostWith(page: number): NodeId {
    const known = this.holders.lostWith(page);
    if (known !== 0 || this.busy(page) || this.copies(page).nodes.length > 0) return known;
    // The walk over all pages has yet to come here: with the last of those that were gone then.
    const gone = this.departed.filter((node) => this.holders.has(page, node));
    return gone.at(-1) ?? 0;
  }

  /** @returns How much room the home believes that a node has; none before it was told. */
  believedRoom(node: NodeId): Room {
    return this.rooms.get(node) ?? NO_ROOM;
  }

  /** How much room the home believes that each node has of which it was told. */
  get believedRooms(): DirectoryState["rooms"] {
    return [...this.rooms];
  }

  /** Whether the home itself wants to leave. */
  get isClosing(): boolean {
    return this.closing;
  }

  /** @returns Whether the node wants to leave and may not yet. */
  isLeaving(node: NodeId): boolean {
    return this.leaving.has(node);
  }

  /** @returns What the directory keeps, which later steps do not change. */
  save(): DirectoryState {
    const holders: DirectoryState["holders"][number][] = [];
    const lost: (readonly [number, NodeId])[] = [];
    for (let page = 0; page < this.options.pageCount; page++) {
      const owner = this.holders.owner(page);
      const nodes = this.holders.list(page).sort((a, b) => a - b);
      holders.push({ owner, nodes, migration: this.migrations.get(page) });
      const lostWith = this.holders.lostWith(page);
      if (lostWith !== 0) lost.push([page, lostWith]);
    }
    const freed: number[] = [];
    let page = this.freed.next(0);
    for (; page !== undefined; page = this.freed.next(page + 1)) freed.push(page);
    const leaving = this.leaving.entries().map(([node, { page, paused, parting }]) =>
      [node, page, paused, parting] as const
    );
    const rebuilds = this.rebuilds.entries().map(([home, { awaited, transactions, isTold }]) => {
      const firsts = transactions.map(({ first }) => first);
      return [home, { awaited: [...awaited], firsts, isTold }] as const;
    });
    return {
      holders,
      members: [...this.members],
      lost,
      leaving: [...leaving],
      departed: [...this.departed],
      sweep: this.sweep,
      active: [...this.active.values().map(copyTransaction)],
      waiting: this.waiting.list(),
      rooms: this.believedRooms,
      adoptions: [...this.adoptions],
      freed,
      clearFrom: this.clearFrom,
      clearAgainFrom: this.clearAgainFrom,
      closing: this.closing,
      rebuilds: [...rebuilds],
      retiring: this.retiring,
    };
  }

  /** @param state What {@linkcode save} returned. */
  load(state: DirectoryState): void {
    for (const [page, { owner, nodes, migration }] of state.holders.entries()) {
      const others = nodes.filter((node) => node !== owner);
      this.holders.set({ first: page, count: 1 }, owner === 0 ? [] : [owner, ...others]);
      this.migrations.fill(page, 1, migration);
    }
    this.members.clear();
    for (const node of state.members) this.members.add(node);
    for (const [page, node] of state.lost) this.holders.lose({ first: page, count: 1 }, node);
    this.departed.splice(0, Infinity, ...state.departed);
    this.sweep = state.sweep;
    this.active.clear();
    this.orphans.clear();
    this.clearing.clear();
    for (const saved of state.active) {
      const transaction = copyTransaction(saved);
      this.active.add(transaction);
      const { kind } = transaction.phase;
      if (kind === "sourceLost" || kind === "aborting") this.orphans.add(transaction);
      if (kind === "clearing") this.clearing.add(transaction);
    }
    this.leaving.clear();
    for (const [node, page, paused, parting] of state.leaving) {
      this.leaving.set(node, { ...this.leaver(node, page), paused, parting });
    }
    this.rebuilds.clear();
    for (const [home, { awaited: nodes, firsts, isTold }] of state.rebuilds) {
      const awaited = new Set(nodes);
      const transactions = firsts.map((first) => this.active.at(first)!);
      for (const transaction of transactions) {
        transaction.phase = { kind: "rebuilding", home, awaited };
      }
      this.rebuilds.set(home, { awaited, transactions, isTold });
    }
    this.retiring = state.retiring;
    this.waiting.clear();
    for (const request of state.waiting) this.waiting.add(request);
    refill(this.rooms, state.rooms);
    refill(this.adoptions, state.adoptions);
    this.freed.delete({ first: 0, count: this.options.pageCount });
    for (const page of state.freed) this.freed.add({ first: page, count: 1 });
    this.clearFrom = state.clearFrom;
    this.clearAgainFrom = state.clearAgainFrom;
    this.closing = state.closing;
  }
}

/** What a node knows of the homes of pages, and can be made to know. */
export class ProbeHomes extends ChunkHomes {
  /** @returns For each page the home that it was given; 0 for none. */
  save(pageCount: number): NodeId[] {
    return Array.from({ length: pageCount }, (_, page) => this.given(page));
  }

  /** @param homes What {@linkcode save} returned. */
  load(homes: readonly NodeId[]): void {
    let block = this.blocks.next(0);
    for (; block !== undefined; block = this.blocks.next(block + 1)) {
      this.blocks.set(block, undefined);
    }
    this.entries.clear();
    for (const list of [this.nodes, this.counts]) list.splice(0, Infinity, 0);
    this.free.length = 0;
    for (const [page, home] of homes.entries()) if (home !== 0) this.set(page, home);
  }
}

/** What a node knows of moves, and can be made to know. */
export class ProbeMoves extends HomeMoves {
  /** @returns What is kept, which later steps do not change. */
  save(): MovesState {
    return {
      present: [...this.present],
      retired: [...this.retired],
      gone: [...this.gone],
      parted: [...this.parted],
      forgottenBy: [...this.forgottenBy],
      drains: this.drains.entries().map(([home, { runs, asked, awaited, isCut }]) => {
        return { home, runs, asked: [...asked], awaited: [...awaited], isCut };
      }).toArray(),
      reports: this.reports.map(({ home, runs }) => ({ home, runs: [...runs] })),
      askers: [...this.askers],
    };
  }

  /** @param state What {@linkcode save} returned. */
  load(state: MovesState): void {
    refillSet(this.present, state.present);
    refillSet(this.retired, state.retired);
    refillSet(this.gone, state.gone);
    refillSet(this.parted, state.parted);
    refillSet(this.forgottenBy, state.forgottenBy);
    this.drains.clear();
    for (const { home, runs, asked, awaited, isCut } of state.drains) {
      this.drains.set(home, { runs, asked: new Set(asked), awaited: new Set(awaited), isCut });
    }
    const reports = state.reports.map(({ home, runs }) => ({ home, runs: [...runs] }));
    this.reports.splice(0, Infinity, ...reports);
    this.askers = [...state.askers];
  }
}

/** The protocol of a node, which can be looked into. */
export class ProbeCoherence extends Coherence {
  /** @returns What a node keeps that can be the home of pages. */
  save(pageCount: number): EngineState {
    const { departure } = this;
    const awaited = departure?.kind === "parting" ? [...departure.awaited] : [];
    return {
      cache: (this.cache as ProbeCache).save(),
      directory: (this.directory as ProbeDirectory).save(),
      moves: (this.moves as ProbeMoves).save(),
      homes: (this.homes as ProbeHomes).save(pageCount),
      departure: departure && { kind: departure.kind, awaited },
      early: [...this.early],
    };
  }

  /** @param state What {@linkcode save} returned. */
  load({ cache, directory, moves, homes, departure, early }: EngineState): void {
    (this.homes as ProbeHomes).load(homes);
    (this.cache as ProbeCache).load(cache);
    (this.directory as ProbeDirectory).load(directory);
    (this.moves as ProbeMoves).load(moves);
    const awaited = new Set(departure?.awaited);
    this.departure = departure && { ...departure, awaited } as ProbeCoherence["departure"];
    this.early = [...early];
  }
}

/** Engine parts that can be looked into. */
export interface ProbeParts extends CoherenceParts {
  readonly PageCache: typeof ProbeCache;
  readonly Directory: typeof ProbeDirectory;
  readonly HomeMoves: typeof ProbeMoves;
  readonly ChunkHomes: typeof ProbeHomes;
}
