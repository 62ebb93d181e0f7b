/**
 * The coherence protocol of one node, as a pure state machine: each step takes an input and returns
 * the actions to carry out. No I/O, no clock, no randomness. The simulator, the exhaustive checker
 * and the real driver run this same class.
 */

import {
  EARLY_DEMANDS_MAX,
  LOCATED_MAX_PAGES,
  ONE_HOME_NODES_MAX,
  WORK_PAGES,
} from "../../limits.ts";
import { type CacheCounters, PageCache } from "./cache.ts";
import { ChunkHomes, type Placement } from "./chunk_homes.ts";
import { type Debt, isOwed } from "./debts.ts";
import type { Demand } from "./demand_queue.ts";
import { Directory } from "./directory.ts";
import {
  CLEAR_REQUEST,
  DIRECTORY_NODE,
  type GrantMessage,
  type Message,
  type NodeId,
  type RequestMessage,
} from "./messages.ts";
import type { Room } from "./memory.ts";
import { HomeMoves } from "./home_moves.ts";
import { Outbox, type Output } from "./output.ts";
import type { Access, PageRun, PageState } from "./page.ts";

/** An input of {@linkcode Coherence.step}. */
export type Input =
  /** A thread of this node faulted. */
  | { readonly kind: "fault"; readonly page: number; readonly access: Access }
  /** Pages are wanted before a thread faults on them. */
  | {
    readonly kind: "fetch";
    readonly first: number;
    readonly count: number;
    readonly access: Access;
  }
  /** A message arrived; the bytes of a grant are in the alias. Each sender's come in order. */
  | { readonly kind: "message"; readonly from: NodeId; readonly message: Message }
  /** At the directory node: a node has joined. */
  | { readonly kind: "peerJoined"; readonly node: NodeId }
  /** At the directory node: the connection to a node has ended. */
  | { readonly kind: "peerLost"; readonly node: NodeId }
  /** At the directory node: a node has told how many pages of others it has room for. */
  | { readonly kind: "room"; readonly node: NodeId } & Room
  /** There is nothing else to do: bytes that nobody needs are given back, some at a time. */
  | { readonly kind: "idle" }
  /** This node wants to leave: its threads touch no page any more. The directory node goes last. */
  | { readonly kind: "leave" }
  /** Every thread of this node that waited for this page has run since it was installed. */
  | { readonly kind: "resumed"; readonly page: number }
  /** The deadline has passed. */
  | { readonly kind: "tick" }
  /** There is work that was put off; see {@linkcode Coherence.hasWork}. */
  | { readonly kind: "work" };

/** What {@linkcode Coherence} must know about its node and region. */
export interface CoherenceOptions {
  /** This node; {@linkcode DIRECTORY_NODE} is the directory node. */
  readonly self: NodeId;
  /** The pages of the region. */
  readonly pageCount: number;
  /** The most pages that one request asks for, and one grant carries. */
  readonly runPages: number;
  /** How pages get their homes; the directory node is the home of all by default. */
  readonly placement?: Placement;
  /** The pages that have one home, a power of two; 128 by default. */
  readonly chunkPages?: number;
  /**
   * The longest that a page which a thread waited for is kept before the thread has run, in
   * microseconds.
   */
  readonly holdTimeUs: number;
  /**
   * Whether a page that nodes read and write in turn is granted for writing to the node that reads
   * it; only the home looks at this. Off by default.
   */
  readonly migration?: boolean;
  /**
   * The most pages of which this node keeps bytes, at least 1: copies, pages that are to come, and
   * dead ones whose bytes were not given back yet. No limit by default.
   */
  readonly memoryPages?: number;
  /** How many of them are kept free for faults; by default an eighth, and two runs at most. */
  readonly reservePages?: number;
  /** How many pages one `work` looks at; `WORK_PAGES` of the limits by default. */
  readonly workPages?: number;
  /** Whether the next run of a walk is requested before the walk reaches it; off by default. */
  readonly readAhead?: boolean;
  /** The shortest run behind which the next run is requested ahead, in pages; 8 by default. */
  readonly readAheadMinPages?: number;
  /**
   * How often upgrades have to follow a walk again, after the first time, to be requested where the
   * walk begins; 1 by default.
   */
  readonly followsMin?: number;
  /**
   * Called when pages have come to this node that others had: their bytes from the node `source`,
   * or only the right to write them, where `source` is 0.
   */
  readonly moved?: (run: PageRun, source: NodeId | 0) => void;
  /** Called when a request was made for which a thread waits. */
  readonly requested?: (request: number) => void;
  /** Called when a request is made anew, by another number than before. */
  readonly requestedAnew?: (before: number, request: number) => void;
  /** Called when a request is over, for which a thread may wait. */
  readonly served?: (request: number) => void;
}

/** The classes that {@linkcode Coherence} is made of. Tests put faulty ones in. */
export interface CoherenceParts {
  readonly PageCache: typeof PageCache;
  readonly Directory: typeof Directory;
  readonly HomeMoves: typeof HomeMoves;
  readonly ChunkHomes: typeof ChunkHomes;
}

/** How far a node has come with leaving, where it can be the home of pages. */
type Departure =
  /** It waits for what it has asked for. */
  | { readonly kind: "answering" }
  /** It begins no transaction, and waits for the end of those that are under way. */
  | { readonly kind: "retiring" }
  /** It waits for the directory node to take its place as a home. */
  | { readonly kind: "moving" }
  /** It waits for other homes, which have the pages taken over that only it has. */
  | { readonly kind: "parting"; readonly awaited: Set<NodeId> }
  /** It waits for the directory node. */
  | { readonly kind: "last" };

/** The protocol of one node. */
export class Coherence {
  readonly cache: PageCache;
  /** Which node is the home of which pages, as far as this node knows. */
  readonly homes: ChunkHomes;
  /** The directory of the pages that this node is the home of; only where it can be that of any. */
  readonly directory: Directory | undefined;
  readonly #self: NodeId;
  readonly #pageCount: number;
  readonly #runPages: number;
  readonly #workPages: number;
  readonly #placement: Placement;
  /** What this node knows of other nodes and of moves; only where it can be the home of a page. */
  readonly moves: HomeMoves | undefined;
  protected departure: Departure | undefined;
  /** The demands on behalf of nodes of which this node has yet to hear. */
  protected early: { readonly from: NodeId; readonly demand: Demand }[] = [];
  readonly #outbox = new Outbox();

  /**
   * @param options The node and its region.
   * @param parts The classes to use.
   */
  constructor(
    options: CoherenceOptions,
    parts: CoherenceParts = { PageCache, Directory, HomeMoves, ChunkHomes },
  ) {
    this.#self = options.self;
    this.#pageCount = options.pageCount;
    this.#runPages = options.runPages;
    this.#workPages = options.workPages ?? WORK_PAGES;
    const { self, placement = "directory", chunkPages } = options;
    const homes = this.homes = new parts.ChunkHomes(placement, chunkPages);
    this.#placement = placement;
    const granted = (grant: GrantMessage, requester: NodeId): void => {
      this.directory?.granted(grant, requester);
    };
    const isGone = (node: NodeId): boolean => this.moves?.isGone(node) ?? false;
    const cacheOptions = { ...options, homes, isGone };
    const outbox = this.#outbox;
    if (placement === "directory") {
      this.cache = new parts.PageCache(cacheOptions, outbox, granted);
      if (self !== DIRECTORY_NODE) return;
    } else {
      this.cache = new parts.PageCache(cacheOptions, outbox, granted, () => this.#retire());
      const handOver = (chunk: PageRun): void => this.directory!.handOver(chunk);
      this.moves = new parts.HomeMoves(self, outbox, this.cache, handOver, options.workPages);
    }
    this.directory = new parts.Directory({ ...options, homes }, outbox, this.cache);
    this.#joined(self);
  }

  /** When to step with a `tick`, in microseconds of the clock of `now`; `Infinity` for never. */
  get deadline(): number {
    return this.cache.deadline;
  }

  /**
   * Whether work was put off, so that one step does not take long. The driver steps with `work`
   * then, again and again, and takes in between what comes.
   */
  get hasWork(): boolean {
    return this.moves?.hasWork === true || this.directory?.hasWork === true;
  }

  /**
   * The pages for which a demand waits until threads of this node have run. The driver steps with
   * `resumed` once they have; otherwise the deadline ends the wait.
   */
  get awaitedPages(): readonly number[] {
    return this.cache.awaitedPages;
  }

  /** How many pages of others this node has room for. For heartbeats. */
  get room(): Room {
    return this.cache.room;
  }

  /** What this node may do with a page. */
  state(page: number): PageState {
    return this.cache.state(page);
  }

  /** Whether this node owes its part in a transaction: a demand waits here. */
  owes(debt: Debt): boolean {
    return this.cache.owes(debt) || this.early.some(({ demand }) => isOwed(debt, demand));
  }

  /** At the directory node: the first page of a run that has another home, if any. */
  hindrance(run: PageRun, home: NodeId): number | undefined {
    const end = run.first + run.count;
    const page = this.homes.nextOther(home, run.first, end);
    return page < end ? page : undefined;
  }

  /** At the directory node: gives the chunks of a run that have no home one. */
  assignHomes(run: PageRun, home: NodeId | "spread"): void {
    this.homes.giveInTurn(run, home === "spread" ? this.#turns : [home]);
  }

  /** At the directory node: whether a node is there, and has not begun to leave. */
  stays(node: NodeId): boolean {
    return this.directory!.stays(node) && this.moves?.retired.has(node) !== true;
  }

  /** The nodes that take turns to be the home of a chunk: those that stay homes. */
  get #turns(): NodeId[] {
    return [...this.moves!.present].filter((node) => this.stays(node));
  }

  /** What was counted so far. */
  get counters(): Readonly<CacheCounters> {
    return this.cache.counters;
  }

  /** Whether the bytes that follow a grant may be put into the alias. */
  acceptsData(from: NodeId, grant: GrantMessage): boolean {
    return this.cache.acceptsData(from, grant);
  }

  /**
   * Takes one input.
   *
   * @param input The input.
   * @param now The time, in microseconds of any clock that does not go back.
   * @returns The actions to carry out, in the order that {@linkcode Output} says.
   */
  step(input: Input, now: number): Output {
    const outbox = this.#outbox;
    outbox.clear();
    this.cache.begin(now);
    this.#take(input, now);
    this.#deliverLocally(now);
    do {
      this.cache.useRoom(now);
      this.directory?.lookForRoom();
      if (this.departure !== undefined) this.#depart();
    } while (this.#deliverLocally(now));
    return outbox;
  }

  #take(input: Input, now: number): void {
    switch (input.kind) {
      case "fault":
        return this.cache.fault(input.page, input.access, now);
      case "fetch":
        return this.cache.fetch(input.first, input.count, input.access);
      case "message":
        return this.#receive(input.from, input.message, now);
      case "peerJoined":
        return this.#joined(input.node, now);
      case "peerLost":
        return this.directory?.peerLost(input.node);
      case "room":
        return this.directory?.room(input.node, input);
      case "idle":
        return this.cache.giveBack();
      case "leave":
        if (this.#self === DIRECTORY_NODE) return this.directory!.close();
        if (this.moves !== undefined) this.departure = { kind: "answering" };
        return this.cache.leave();
      case "resumed":
        return this.cache.resumed(input.page, now);
      case "tick":
        return this.cache.tick(now);
      case "work":
        if (this.moves?.hasWork) this.moves.work();
        return this.directory?.work();
      default:
        input satisfies never;
    }
  }

  /** Delivers this node's messages to itself, which are never sent; returns if there were any. */
  #deliverLocally(now: number): boolean {
    const outbox = this.#outbox;
    let delivered = false;
    for (let index = 0; index < outbox.messages.length;) {
      const { to, message } = outbox.messages[index]!;
      if (to !== this.#self) index++;
      else {
        if (index === outbox.messages.length - 1) outbox.messages.pop();
        else outbox.messages.splice(index, 1);
        this.#receive(to, message, now);
        delivered = true;
      }
    }
    return delivered;
  }

  #receive(from: NodeId, message: Message, now: number): void {
    // What a node that is gone still says counts no more.
    if (this.moves?.present.has(from) === false) return;
    switch (message.kind) {
      case "grant":
        this.cache.grant(from, message, now);
        // A final grant has no `done`, so the home must look for the next request here.
        if (from === this.#self) this.directory?.advanceLeaving();
        return;
      case "forward":
      case "invalidate":
        if (!this.#isFromHome(from, message)) return;
        return this.#demand(from, message, now);
      case "request":
      case "done":
      case "refused":
      case "drop":
      case "offload":
        // Its sender has yet to hear that this node is no home any more.
        if (this.moves?.retired.has(this.#self)) return;
        if (message.kind === "request" && this.directory !== undefined) {
          return this.#request(from, message);
        }
        if (!this.#isHome(message.first)) return this.#violation(from, message);
        return this.#receiveAsHome(this.directory!, from, message);
      case "peerLostSeen":
      case "leave":
        if (this.directory === undefined) return this.#violation(from, message);
        return this.#receiveAsHome(this.directory, from, message);
      case "locate":
        if (this.#self !== DIRECTORY_NODE || message.first >= this.#pageCount) {
          return this.#violation(from, message);
        }
        return this.#locate(from, message);
      case "located":
        if (from !== DIRECTORY_NODE) return this.#violation(from, message);
        return this.cache.located(message, now);
      case "acknowledge":
        if (message.request === CLEAR_REQUEST && this.directory !== undefined) {
          return this.directory.acknowledge(from, message);
        }
        return this.cache.acknowledge(from, message, now);
      case "dropped":
      case "keep":
      case "adopt":
        if (this.moves?.retired.has(from)) return this.#receiveLate(from, message, now);
        if (!this.#isFromHome(from, message)) return;
        if (message.kind === "adopt") this.homes.give(message, from);
        return this.#receiveFromHome(message, now);
      case "clear":
        // The directory node has yet to hear that this node is no home any more, or to say so.
        if (this.moves?.retired.has(this.#self)) return;
        if (from !== DIRECTORY_NODE || !this.#isHome(message.first)) {
          return this.#violation(from, message);
        }
        return this.directory!.clear(message);
      case "cleared":
        if (this.moves?.retired.has(from)) return;
        if (this.#self !== DIRECTORY_NODE) return this.#violation(from, message);
        return this.directory!.cleared(from, message);
      case "peerLost":
        if (from !== DIRECTORY_NODE) return this.#violation(from, message);
        return this.#peerLost(message.node, now);
      case "left":
        if (from !== DIRECTORY_NODE) return this.#left(from, message);
        return this.#outbox.tell({ kind: "left" });
      case "retire":
      case "retired":
      case "drain":
      case "drained":
      case "inquire":
      case "holds":
      case "touched":
      case "reported":
      case "part":
      case "parted":
        return this.#receiveOfMoves(from, message, now);
      default:
        message satisfies never;
    }
  }

  #receiveFromHome(
    message: Message & { kind: "dropped" | "keep" | "adopt" },
    now: number,
  ): void {
    switch (message.kind) {
      case "dropped":
        return this.cache.dropped(message);
      case "keep":
        return this.cache.kept(message, now);
      case "adopt":
        return this.cache.adopt(message);
      default:
        message satisfies never;
    }
  }

  #receiveAsHome(
    directory: Directory,
    from: NodeId,
    message:
      & Message
      & {
        kind: "request" | "done" | "refused" | "drop" | "offload" | "peerLostSeen" | "leave";
      },
  ): void {
    switch (message.kind) {
      case "request":
        return directory.request(from, message);
      case "done":
        return directory.done(from, message);
      case "refused":
        return directory.refused(from, message);
      case "drop":
        return directory.drop(from, message);
      case "offload":
        return directory.offload(from, message);
      case "peerLostSeen":
        return directory.peerLostSeen(from, message.node);
      case "leave":
        return directory.leave(from);
      default:
        message satisfies never;
    }
  }

  /** A home that has moved has answered before that what this node had asked. */
  #receiveLate(
    from: NodeId,
    message: Message & { kind: "dropped" | "keep" | "adopt" },
    now: number,
  ): void {
    if (message.kind === "adopt") return;
    for (const first of this.moves!.takeAsked(from, message)) {
      this.#receiveFromHome({ kind: message.kind, first, count: 1 }, now);
    }
  }

  /** What is said when homes move. */
  #receiveOfMoves(
    from: NodeId,
    message: Message & {
      kind:
        | "retire"
        | "retired"
        | "drain"
        | "drained"
        | "inquire"
        | "holds"
        | "touched"
        | "reported"
        | "part"
        | "parted";
    },
    now: number,
  ): void {
    const { moves, directory } = this;
    if (moves === undefined || directory === undefined) return this.#violation(from, message);
    const isOfDirectory = this.#self === DIRECTORY_NODE;
    switch (message.kind) {
      case "drain":
      case "inquire":
        return moves.ask(from, message.kind, message.node);
      case "drained":
        return moves.drained(from, message.node, now);
      case "part":
        if (this.departure?.kind !== "parting" && this.departure?.kind !== "last") {
          return this.#violation(from, message);
        }
        return moves.part(from);
      case "parted":
        return directory.parted(from);
      case "retired":
        if (from !== DIRECTORY_NODE) return this.#violation(from, message);
        return this.#homeMoved(message.node, false, now);
      case "retire":
        if (!isOfDirectory) return this.#violation(from, message);
        for (const node of moves.present) this.#outbox.send(node, { kind: "retired", node: from });
        return;
      case "holds":
        if (!isOfDirectory) return this.#violation(from, message);
        return directory.holds(from, message);
      case "touched":
        if (!isOfDirectory) return this.#violation(from, message);
        return directory.touched(from, message);
      case "reported":
        if (!isOfDirectory) return this.#violation(from, message);
        return directory.reported(from, message);
      default:
        message satisfies never;
    }
  }

  /** Another home has nothing that depends on this node, which leaves. */
  #left(from: NodeId, message: Message): void {
    const departure = this.departure;
    if (departure?.kind !== "parting" && departure?.kind !== "last") {
      return this.#violation(from, message);
    }
    this.moves!.left(from);
    if (departure.kind === "parting") departure.awaited.delete(from);
  }

  /** A node has joined, as far as this node knows. */
  #joined(node: NodeId, now = 0): void {
    if (node > ONE_HOME_NODES_MAX) this.homes.assumeNothing();
    this.directory?.peerJoined(node);
    this.moves?.joined(node);
    const isMeant = ({ demand }: { demand: Demand }): boolean => demand.requester === node;
    for (const { demand } of this.early.filter(isMeant)) this.cache.demand(demand, now);
    this.early = this.early.filter((early) => !isMeant(early));
  }

  /** The directory node tells that a node is gone. */
  #peerLost(node: NodeId, now: number): void {
    const { moves } = this;
    moves?.present.delete(node);
    if (moves !== undefined && !moves.retired.has(node)) this.#homeMoved(node, true, now);
    // What the cache gives up now ends transactions, behind which none may begin for the node.
    if (this.#self !== DIRECTORY_NODE) this.directory?.peerLost(node);
    this.cache.peerLost(node, now);
    moves?.lost(node, now);
    if (this.departure?.kind === "parting") this.departure.awaited.delete(node);
    this.#outbox.tell({ kind: "peerGone", node });
    this.#outbox.send(DIRECTORY_NODE, { kind: "peerLostSeen", node });
  }

  /** A home has moved to the directory node. */
  #homeMoved(node: NodeId, isGone: boolean, now: number): void {
    const chunks = this.homes.takeOver(node, DIRECTORY_NODE, this.#workPages);
    if (this.#self === DIRECTORY_NODE) this.directory!.takeOver(node, chunks);
    else if (node === this.#self) this.directory!.moved();
    this.early = this.early.filter(({ from }) => from !== node);
    this.cache.homeMoved(chunks, isGone, now);
    this.moves!.moved(node, chunks, now);
    if (this.departure?.kind === "parting") this.departure.awaited.delete(node);
    if (node === this.#self) this.#part();
  }

  /** Every request of this node, which leaves, is answered: it gives up being a home. */
  #retire(): void {
    if (this.departure?.kind !== "answering") return;
    this.directory!.retire();
    this.departure = { kind: "retiring" };
  }

  /** Tells the directory node that this node is idle as a home, or that no home needs it. */
  #depart(): void {
    const departure = this.departure!;
    if (departure.kind === "retiring" && this.directory!.isRetired) {
      this.departure = { kind: "moving" };
      this.#outbox.send(DIRECTORY_NODE, { kind: "retire" });
    } else if (departure.kind === "parting" && departure.awaited.size === 0) {
      this.departure = { kind: "last" };
      this.#outbox.send(DIRECTORY_NODE, { kind: "leave" });
    }
  }

  /** Asks the other homes to have the pages taken over that only this node has. */
  #part(): void {
    const awaited = new Set(this.moves!.present);
    for (const node of this.moves!.retired) awaited.delete(node);
    awaited.delete(DIRECTORY_NODE);
    for (const node of awaited) this.#outbox.send(node, { kind: "leave" });
    this.departure = { kind: "parting", awaited };
  }

  /** Takes a demand of a home, unless its requester is gone, or has yet to be heard of. */
  #demand(from: NodeId, demand: Demand, now: number): void {
    const { requester } = demand;
    if (this.moves === undefined || this.moves.present.has(requester)) {
      return this.cache.demand(demand, now);
    }
    if (this.moves.isGone(requester)) return this.moves.refuse(from, demand);
    if (this.early.length < EARLY_DEMANDS_MAX) return void this.early.push({ from, demand });
    const reason = `more than ${EARLY_DEMANDS_MAX} demands on behalf of nodes not heard of`;
    this.#outbox.tell({ kind: "violation", node: from, reason });
  }

  /** Whether a message is of the home of its pages. One that has moved may have sent it before. */
  #isFromHome(from: NodeId, message: Message & PageRun): boolean {
    const home = this.homes.given(message.first);
    if (from === home) return true;
    if (this.moves?.retired.has(from)) return false;
    // A node that is asked to adopt pages need not know their home.
    const isInside = message.first + message.count <= this.#pageCount;
    if (home === 0 && message.kind === "adopt" && isInside) return true;
    this.#violation(from, message);
    return false;
  }

  /**
   * Whether this node is the home of a page. Other nodes have that from the directory node, and may
   * have heard before this one does.
   */
  #isHome(page: number): boolean {
    const home = this.homes.given(page);
    if (home !== 0 || this.#self === DIRECTORY_NODE) return home === this.#self;
    this.homes.set(page, this.#self);
    return true;
  }

  /**
   * At the directory node: tells a node which one is the home of pages. The first to ask may become
   * it.
   */
  #locate(from: NodeId, { first }: PageRun): void {
    if (this.homes.given(first) === 0) {
      this.homes.giveInTurn({ first, count: 1 }, this.#candidates(from));
    }
    this.#tellHome(from, first, this.homes.given(first));
  }

  /** The nodes of which one becomes the home of what has none, as a node asks about it. */
  #candidates(from: NodeId): NodeId[] {
    if (this.#placement === "spread") return this.#turns;
    const isSmall = this.moves!.present.size <= ONE_HOME_NODES_MAX;
    return [this.#placement === "auto" && isSmall ? DIRECTORY_NODE : from];
  }

  /** Tells a node the home of a page, and how many pages behind it have the same. */
  #tellHome(to: NodeId, first: number, node: NodeId): void {
    const count = this.homes.givenExtent(
      first,
      Math.min(LOCATED_MAX_PAGES, this.#pageCount - first),
    );
    this.#outbox.send(to, { kind: "located", first, count, node });
  }

  /**
   * Takes a request as the home of its first page. The directory node may be taken for the home of
   * what was given none, by `auto`, and then is. Of the other chunks of the run this node is the
   * home too, unless it knows better: all of them are on record from now on.
   */
  #request(from: NodeId, message: RequestMessage): void {
    const { first, count } = message;
    const directory = this.directory!;
    const isInside = count >= 1 && first + count <= this.#pageCount;
    const decides = this.#self === DIRECTORY_NODE && this.#placement === "auto";
    const home = this.homes.given(first);
    if (isInside && decides && home !== 0 && home !== this.#self) {
      return this.#tellHome(from, first, home);
    }
    if (!decides && !this.#isHome(first)) return this.#violation(from, message);
    if (!isInside) return directory.request(from, message);
    const end = first + Math.min(count, this.#runPages);
    const ownCount = this.homes.nextOther(this.#self, first, end) - first;
    const own = ownCount === count ? message : { ...message, count: ownCount };
    this.homes.give(own, this.#self);
    directory.request(from, own);
  }

  #violation(from: NodeId, message: Message): void {
    const reason = `${message.kind} from a node that may not send it`;
    this.#outbox.tell({ kind: "violation", node: from, reason });
  }
}
