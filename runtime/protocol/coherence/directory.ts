/**
 * The home's side of the protocol: the point of order for each page.
 *
 * It keeps which nodes have a copy and which one owns it, runs one transaction on a page at a time,
 * and lets the others wait. A transaction begins with a request, is ended by its requester's
 * `done`, and covers the run of pages that can be treated alike. Page bytes never pass through
 * here.
 */

import {
  CLEAR_ORDERS_MAX,
  CLEARS_MAX,
  REQUESTS_WAITING_MAX,
  REUSE_MAX_PAGES,
  REUSED_RUNS_MAX,
  WORK_PAGES,
} from "../../limits.ts";
import type { ChunkHomes } from "./chunk_homes.ts";
import { ClearOrders } from "./clear_orders.ts";
import { type Debt, Debts, type Lacking } from "./debts.ts";
import { FreedPages } from "./freed_pages.ts";
import { CHUNK_PAGES, HolderTable } from "./holders.ts";
import { NO_ROOM, type Room } from "./memory.ts";
import {
  type AcknowledgeMessage,
  CLEAR_REQUEST,
  type ClearedMessage,
  type ClearMessage,
  Content,
  DIRECTORY_NODE,
  type DoneMessage,
  type DropMessage,
  type GrantMessage,
  type HoldsMessage,
  NO_NODES,
  type NodeId,
  type OffloadMessage,
  type RefusedMessage,
  type ReportedMessage,
  type RequestMessage,
  type TouchedMessage,
} from "./messages.ts";
import { afterRead, afterUpgrade, handOversLeft, UNPROVEN } from "./migration.ts";
import type { Outbox } from "./output.ts";
import { Access, overlaps, type PageRun } from "./page.ts";
import { PageTable } from "./page_table.ts";
import { RequestQueue, type WaitingRequest } from "./request_queue.ts";
import { RestingPages } from "./resting_pages.ts";
import { RunTable } from "./run_table.ts";
import {
  aborted,
  contentOf,
  forwardOf,
  grantOf,
  involves,
  KEPT,
  type Phase,
  type RebuildingPhase,
  sourceOf,
  type Transaction,
  type TransactionEvent,
  without,
  withoutBoth,
  ZERO,
} from "./transactions.ts";

/** What a directory must know. */
export interface DirectoryOptions {
  /** This node. */
  readonly self: NodeId;
  /** The pages of the region. */
  readonly pageCount: number;
  /** The most pages that one grant carries. */
  readonly runPages: number;
  /** Whether a page that nodes read and write in turn is handed over at reads; off by default. */
  readonly migration?: boolean;
  /** Which node is the home of which pages; this node is that of all where there is no table. */
  readonly homes?: ChunkHomes;
  /** How many pages one {@linkcode Directory.work} looks at; {@linkcode WORK_PAGES} by default. */
  readonly workPages?: number;
}

/** A node that leaves. */
export interface Leaver {
  /** The page up to which no copy depends on the node. */
  page: number;
  /** The transactions under way that the node has a part in. */
  transactions: number;
  /** Whether {@linkcode Directory.work} is to go on with the node. */
  paused: boolean;
  /** Whether the node was asked to part, and whether it has. */
  parting: "asked" | "parted" | undefined;
}

/** The memory of the home itself, as far as the directory uses it. */
export interface OwnMemory {
  /** How many pages of others there is room for. */
  readonly room: Room;
  /** What a request of this node lacks; see {@linkcode Debts}. */
  lacks(debt: Debt): Lacking | undefined;
  /** Whether pages that this node was to adopt were forgotten for want of room. */
  hasDeclined: boolean;
  /** Makes this node ask for pages of others, to write them. */
  adopt(run: PageRun): void;
}

/** The pages of a home that has moved here. */
interface Rebuild {
  /** The nodes that have not told yet what they have. */
  readonly awaited: Set<NodeId>;
  /** Those that stand for its pages, until these can be served. */
  readonly transactions: Transaction[];
  /** Whether the old home has told which of them were touched, so that the others were not. */
  isTold: boolean;
}

/** Pages of a node that leaves, and the node that was asked to take them; 0 where none has room. */
interface Adoption {
  readonly page: number;
  readonly taker: NodeId;
}

/** The pages that this node is the home of. */
export class Directory {
  protected readonly options: DirectoryOptions;
  protected readonly self: NodeId;
  protected readonly outbox: Outbox;
  protected readonly holders = new HolderTable();
  /** What is known of each page's migration; see `migration.ts`. */
  protected readonly migrations = new PageTable();
  protected readonly members = new Set<NodeId>();
  protected readonly leaving = new Map<NodeId, Leaver>();
  /** The nodes that are gone and that pages may still refer to, in the order of their going. */
  protected readonly departed: NodeId[] = [];
  /**
   * A walk that takes the first `nodes` of {@linkcode departed} from all pages; now at `page`.
   */
  protected sweep = { page: 0, nodes: 0 };
  /** The transactions that wait to hear what other nodes have, since a party of theirs died. */
  protected readonly orphans = new Set<Transaction>();
  protected readonly active = new RunTable<Transaction>();
  /** What nodes owe to the transactions under way. */
  readonly debts: Debts;
  protected readonly waiting = new RequestQueue();
  /** The freed pages that are not to be cleared yet. */
  protected readonly resting = new RestingPages();
  /** The pages that are to be cleared. */
  protected freed = new FreedPages();
  /**
   * From where on {@linkcode work} looks for pages to clear; `Infinity` where all of them are busy.
   */
  protected clearFrom = Infinity;
  /** From where on it looks after that, since some before it were freed, or are busy no longer. */
  protected clearAgainFrom = Infinity;
  /** The transactions that clear pages. */
  protected readonly clearing = new Set<Transaction>();
  /** At the directory node: what other homes are to clear. */
  protected readonly orders = new ClearOrders();
  /** For each home that had enough to do, the first page that it is to be told to clear. */
  protected readonly overdue = new Map<NodeId, number>();
  /** At another home: what the directory node has told it to clear. */
  protected ordered: PageRun[] = [];
  /** How many pages of others each node said it had room for, less what it was given since. */
  protected readonly rooms = new Map<NodeId, Room>();
  /** For each node that leaves, what another node was asked to take last. */
  protected readonly adoptions = new Map<NodeId, Adoption>();
  /** Whether this node wants to leave: it goes last. */
  protected closing = false;
  /** The homes that have moved here and whose pages cannot be served yet. */
  protected readonly rebuilds = new Map<NodeId, Rebuild>();
  /** Whether this node is to be the home of no page any more. */
  protected retiring = false;
  protected readonly own: OwnMemory;

  /**
   * @param options The region.
   * @param outbox Where messages go.
   * @param own The memory of this node.
   */
  constructor(options: DirectoryOptions, outbox: Outbox, own: OwnMemory) {
    this.options = options;
    this.self = options.self;
    this.debts = new Debts(() => this.active.values(), options.self, (debt) => own.lacks(debt));
    this.outbox = outbox;
    this.own = own;
  }

  /** The nodes that have a copy of a page; for checks. */
  copies(page: number): { owner: NodeId; nodes: NodeId[] } {
    const nodes = this.holders.list(page).filter((node) => this.members.has(node)).sort((a, b) =>
      a - b
    );
    const owner = this.holders.owner(page);
    return { owner: this.members.has(owner) ? owner : nodes[0] ?? 0, nodes };
  }

  /** How many nodes its memory has room for; for checks. */
  get slots(): number {
    return this.holders.slots;
  }

  /**
   * Whether to call {@linkcode work} soon: some of what departures or frees ask for was put off.
   */
  get hasWork(): boolean {
    if (this.departed.length > 0) return true;
    if (this.clearFrom !== Infinity && this.#mayClear) return true;
    if (this.rebuilds.size > 0 && this.#canEndRebuild) return true;
    return this.leaving.size > 0 && this.leaving.values().some(({ paused }) => paused);
  }

  /** Whether every node has told what it has of the pages of a home that has moved here. */
  get #canEndRebuild(): boolean {
    return this.rebuilds.values().some(({ awaited }) => awaited.size === 0);
  }

  /** Does a part of what was put off, and no more, so that requests are served in between. */
  work(): void {
    let budget = this.#sweep(this.options.workPages ?? WORK_PAGES);
    for (const [node, leaver] of this.leaving) {
      if (leaver.paused && budget > 0) budget = this.#advanceLeaving(node, leaver, budget);
    }
    for (const home of this.rebuilds.keys()) this.endRebuild(home);
    this.#clearFreed(budget);
  }

  /** Whether a transaction on the page is under way. */
  busy(page: number): boolean {
    return this.active.at(page) !== undefined;
  }

  /** A node has joined. */
  peerJoined(node: NodeId): void {
    this.members.add(node);
  }

  /** Whether a node is a member, and has not begun to leave. */
  stays(node: NodeId): boolean {
    return this.members.has(node) && !this.leaving.has(node);
  }

  /** Takes a request for pages. */
  request(from: NodeId, message: RequestMessage): void {
    const { first } = message;
    if (!this.members.has(from) || this.leaving.has(from) || this.retiring) return;
    if (this.#isOutside(message)) return this.#outside(from, message);
    if (!this.busy(first)) return this.#start({ from, message });
    if (this.waiting.size === REQUESTS_WAITING_MAX) {
      return this.#violation(from, `more than ${REQUESTS_WAITING_MAX} requests wait`);
    }
    this.waiting.add({ from, message });
  }

  /**
   * Takes a `drop`: a node has unmapped its copies. They are forgotten once no transaction is under
   * way on their pages, unless the node has the only ones.
   */
  drop(from: NodeId, message: DropMessage): void {
    if (!this.members.has(from) || this.retiring) return;
    if (this.#isOutside(message)) return this.#outside(from, message);
    this.repair(message);
    const alike = (page: number) => this.busy(page) ? undefined : this.#isAlone(page, from);
    for (const run of this.#pieces(message, alike)) {
      const isAlone = alike(run.first);
      if (isAlone === undefined && this.waiting.asksToDrop(from, run.first)) {
        this.#violation(from, `drop of page ${run.first}, which it has asked to drop before`);
      } else if (isAlone === undefined && this.waiting.size < REQUESTS_WAITING_MAX) {
        this.waiting.add({ from, message: { kind: "drop", ...run } });
      } else if (isAlone === false) this.#forget(from, run);
      else this.outbox.send(from, { kind: "keep", ...run });
    }
  }

  /** Takes an `offload`: a node needs the room of pages that it has the only copies of. */
  offload(from: NodeId, message: OffloadMessage): void {
    if (!this.members.has(from) || this.leaving.has(from) || this.retiring) return;
    if (this.#isOutside(message)) return this.#outside(from, message);
    this.#endRest(this.#region);
    this.repair(message);
    const isMovable = (page: number) => !this.busy(page) && this.#isAlone(page, from);
    let { awaited } = message;
    for (const run of this.#pieces(message, isMovable)) {
      if (!isMovable(run.first)) continue;
      for (let { first, count } = run; count > 0;) {
        const taker = this.#taker(from, awaited > 0);
        if (taker === undefined) return;
        const taken = this.#place({ first, count }, taker, awaited);
        first += taken;
        count -= taken;
        awaited -= taken;
      }
    }
  }

  /** Whether a node that tells so of its room tells nothing new. */
  knowsRoom(node: NodeId, { pages, spare }: Room): boolean {
    const known = this.rooms.get(node);
    return known?.pages === pages && known.spare === spare;
  }

  /** A node has told how many pages of others it has room for. */
  room(node: NodeId, { pages, spare }: Room): void {
    if (!this.members.has(node)) return;
    this.rooms.set(node, { pages, spare });
    this.#askAgain(node);
    this.#askAgain(0);
    this.advanceLeaving();
  }

  /** Forgets that a node was asked to take over pages. */
  #askAgain(node: NodeId): void {
    if (this.adoptions.size === 0) return;
    for (const [leaver, { taker }] of this.adoptions) {
      if (taker === node) this.adoptions.delete(leaver);
    }
  }

  /** Looks again at nodes that leave, as this node has room again for pages of others, or none. */
  lookForRoom(): void {
    if (this.leaving.size === 0) return;
    const pages = Math.min(1, this.own.room.pages);
    const room = { pages, spare: pages };
    if (this.knowsRoom(this.self, room) && !this.own.hasDeclined) return;
    this.own.hasDeclined = false;
    this.room(this.self, room);
  }

  /** This node wants to leave, as soon as no other one needs it. */
  close(): void {
    this.closing = true;
    this.advanceLeaving();
  }

  /** Takes a `done`: the requester's grant has taken effect. */
  done(from: NodeId, message: DoneMessage): void {
    const { first, count, request } = message;
    if (!this.members.has(from)) return;
    const transaction = this.#find(first, from, request);
    if (transaction?.first !== first || transaction.count !== count) {
      return this.#violation(from, `request ${request} done, which is not under way`);
    }
    if (message.lost && contentOf(transaction.phase) !== Content.Lost) {
      return this.#violation(from, `request ${request} done as lost, which was granted`);
    }
    if (!message.lost) this.#settle(transaction);
    this.#end(transaction);
  }

  /** Ends a transaction whose grant this node has sent as final, so that there is no `done`. */
  granted(grant: GrantMessage, requester: NodeId): void {
    const transaction = this.#find(grant.first, requester, grant.request);
    if (transaction === undefined) return;
    this.#settle(transaction);
    this.#end(transaction);
  }

  /** Takes a `refused`: a node kept its copies, as the requester died before it gave them up. */
  refused(from: NodeId, message: RefusedMessage): void {
    const transaction = this.#find(message.first, message.requester, message.request);
    if (transaction !== undefined) this.#advance(transaction, { kind: "refused", from });
  }

  /** Takes the loss of a node. */
  peerLost(node: NodeId): void {
    if (!this.members.delete(node)) return;
    this.leaving.delete(node);
    this.rooms.delete(node);
    this.waiting.removeOf(node);
    this.#depart(node);
    const event = { kind: "peerLost", node } as const;
    for (const transaction of this.active.values()) this.#advance(transaction, event);
    if (this.self === DIRECTORY_NODE) {
      for (const member of this.members) this.outbox.send(member, event);
    } else this.#inquire(node);
    for (const transaction of this.orphans) this.#abortOnceTold(transaction);
    for (const transaction of this.clearing) this.endClear(transaction);
    for (const [home, { awaited }] of this.rebuilds) {
      awaited.delete(node);
      this.endRebuild(home);
    }
  }

  /**
   * Asks those whose word a transaction awaits since a node is gone. They have heard of that from
   * the directory node, or will.
   */
  #inquire(node: NodeId): void {
    const parties = new Set<NodeId>();
    for (const { phase, requester } of this.orphans) {
      if (phase.kind === "sourceLost" && phase.source === node) parties.add(requester);
      else if (phase.kind === "aborting" && requester === node) {
        for (const party of phase.awaited) parties.add(party);
      }
    }
    for (const party of parties) this.outbox.send(party, { kind: "inquire", node });
  }

  /** Takes a `peerLostSeen`: the node sends no more about transactions with the lost node. */
  peerLostSeen(from: NodeId, node: NodeId): void {
    const event = { kind: "peerLostSeen", from, node } as const;
    for (const transaction of this.orphans) {
      this.#advance(transaction, event);
      this.#abortOnceTold(transaction);
    }
  }

  /**
   * Takes note of pages of which no program needs what is on them: after two beats, or when memory
   * is wanted, {@linkcode work} makes them as if no node had ever touched them. No step, since it
   * has no output. Costs the chunks of the run that any node has touched, or that have another
   * home, however long the run is.
   */
  free({ first, count }: PageRun): void {
    const end = first + count;
    let page = this.#touchedFrom(first, end);
    while (page < end) {
      const stop = Math.min(end, this.#chunkEnd(page));
      this.resting.add({ first: page, count: stop - page });
      page = this.#touchedFrom(stop, end);
    }
  }

  /**
   * A program is about to be given pages: those that were freed are to be cleared, but for some
   * that one node alone has, which zeroes them itself. No step, since it has no output.
   *
   * @param run The pages.
   * @param node The node that can zero pages, since its program alone is given them; 0 for none.
   * @returns The pages that the node must zero, by plain writes.
   */
  reuse(run: PageRun, node: NodeId): PageRun[] {
    this.#endRest(run);
    const reused: PageRun[] = [];
    if (node === 0 || run.count > REUSE_MAX_PAGES) return reused;
    const end = run.first + run.count;
    this.repair(run);
    let page = this.freed.next(run.first, end);
    while (page !== undefined && reused.length < REUSED_RUNS_MAX) {
      // Pages of one home. Of those of another one nothing is known here.
      const extent = this.options.homes?.extent(page, end - page) ?? end - page;
      const marked = { first: page, count: this.#freedEnd(page, page + extent) - page };
      for (const piece of this.#pieces(marked, (page) => this.#keeper(page))) {
        const keeper = this.#keeper(piece.first);
        if (keeper === node && reused.length < REUSED_RUNS_MAX) reused.push(piece);
        else if (keeper !== 0) continue;
        this.freed.delete(piece);
      }
      page = this.freed.next(marked.first + marked.count, end);
    }
    return reused;
  }

  /** The node that alone has a page; 0 where it is untouched; `undefined` where neither is so. */
  #keeper(page: number): NodeId | undefined {
    const { holders } = this;
    if (this.busy(page) || this.#isElsewhere(page) || holders.count(page) > 1) return undefined;
    return holders.lostWith(page) === 0 ? holders.owner(page) : undefined;
  }

  /** Time has passed: the pages that have rested for a while are to be cleared. */
  beat(): void {
    if (this.resting.isEmpty) return;
    this.freed = this.resting.beat(this.#region, this.freed);
    if (!this.freed.isEmpty) this.#lookForFreed(0);
  }

  /**
   * Whether any page of a run is yet to be cleared. A write to it would be lost with a copy that is
   * to be dropped, so no program must be given the run before that.
   */
  isClearing(run: PageRun): boolean {
    if (this.resting.hasAny(run)) return true;
    const end = run.first + run.count;
    if (this.freed.next(run.first, end) !== undefined) return true;
    if (this.orders.next(run.first, end) < end) return true;
    return this.clearing.values().some((transaction) => overlaps(transaction, run));
  }

  /** Takes an acknowledgement: a node has dropped copies of pages that are being cleared. */
  acknowledge(from: NodeId, { first, count, request }: AcknowledgeMessage): void {
    if (!this.members.has(from)) return;
    const transaction = this.#find(first, this.self, request);
    const { phase } = transaction ?? {};
    const isAwaited = phase?.kind === "clearing" && phase.awaited.includes(from);
    if (transaction?.count !== count || !isAwaited) {
      return this.#violation(from, `acknowledged pages ${first}+${count}, which are not cleared`);
    }
    transaction.phase = { kind: "clearing", awaited: without(phase.awaited, from) };
    this.endClear(transaction);
  }

  /** Takes a `clear`: this node, their home, is to clear pages for the directory node. */
  clear({ first, count }: ClearMessage): void {
    if (this.retiring) return;
    const run = { first, count };
    const isOfOneHome = this.options.homes?.extent(first, count) === count;
    if (this.#isOutside(run) || !isOfOneHome || this.ordered.length === CLEAR_ORDERS_MAX) {
      return this.#violation(DIRECTORY_NODE, `told to clear pages ${first}+${count}`);
    }
    this.ordered.push(run);
    this.freed.add(run);
    this.#lookForFreed(first);
  }

  /** Takes a `cleared`: another home has cleared pages that it was told to. */
  cleared(from: NodeId, { first, count }: ClearedMessage): void {
    if (!this.orders.end(from, { first, count })) {
      return this.#violation(from, `cleared pages ${first}+${count}, and was not told to`);
    }
    this.outbox.tell({ kind: "clearedElsewhere", first, count });
    this.#noteFreed({ first, count });
    const overdue = this.overdue.get(from);
    if (overdue === undefined || !this.orders.isHalfFull(from)) return;
    this.overdue.delete(from);
    this.#lookForFreed(overdue);
  }

  /**
   * Takes over the pages of a home: one that has died, or that has no transaction under way and
   * takes part in telling what there is. They are served once every node has told which copies it
   * has.
   */
  takeOver(home: NodeId, chunks: readonly PageRun[]): void {
    for (const run of this.orders.takeBack(home)) {
      this.freed.add(run);
      this.#lookForFreed(run.first);
    }
    const overdue = this.overdue.get(home);
    this.overdue.delete(home);
    if (overdue !== undefined) this.#lookForFreed(overdue);
    if (chunks.length === 0) return;
    const awaited = new Set(this.members);
    const transactions = chunks.map(({ first, count }): Transaction => ({
      requester: this.self,
      request: CLEAR_REQUEST,
      access: Access.Write,
      first,
      count: Math.min(count, this.options.pageCount - first),
      invalidated: NO_NODES,
      lostWith: 0,
      refused: NO_NODES,
      phase: { kind: "rebuilding", home, awaited },
    }));
    for (const transaction of transactions) this.active.add(transaction);
    this.rebuilds.set(home, { awaited, transactions, isTold: false });
    this.endRebuild(home);
  }

  /** Takes a `holds`: a node has copies of pages whose home has moved here. */
  holds(from: NodeId, { access, first, count }: HoldsMessage): void {
    if (!this.members.has(from)) return;
    const isAwaited = this.#isRebuilding({ first, count }, ({ awaited }) => awaited.has(from));
    if (!isAwaited) {
      return this.#violation(from, `holds pages ${first}+${count}, and was not asked`);
    }
    if (access === Access.Write) this.holders.set({ first, count }, [from]);
    else this.addSharer({ first, count }, from);
  }

  /** Takes a `touched`: a home that has moved here tells with which node pages may be lost. */
  touched(from: NodeId, { first, count, node }: TouchedMessage): void {
    if (!this.members.has(from)) return;
    const isHome = this.#isRebuilding({ first, count }, ({ home, awaited }) => {
      return home === from && awaited.has(from);
    });
    if (!isHome) {
      return this.#violation(from, `touched pages ${first}+${count}, and was not asked`);
    }
    for (let page = first; page < first + count; page++) {
      if (this.holders.owner(page) === 0) this.holders.lose({ first: page, count: 1 }, node);
    }
  }

  /** Takes a `reported`: a node has told all that it has of the pages of a home that has moved. */
  reported(from: NodeId, { node }: ReportedMessage): void {
    const rebuild = this.rebuilds.get(node);
    if (rebuild?.awaited.delete(from) !== true) return;
    if (from === node) rebuild.isTold = true;
    this.endRebuild(node);
  }

  /**
   * Serves the pages of a home that has moved here, once every node has told what it has. A home
   * may have had millions of pages, so this is done in parts.
   */
  protected endRebuild(home: NodeId): void {
    const rebuild = this.rebuilds.get(home);
    if (rebuild === undefined || rebuild.awaited.size > 0) return;
    let budget = this.options.workPages ?? WORK_PAGES;
    let transaction: Transaction | undefined;
    while (budget > 0 && (transaction = rebuild.transactions.pop()) !== undefined) {
      if (rebuild.transactions.length === 0) this.rebuilds.delete(home);
      budget -= transaction.count;
      // What was on its way may have been the only copy, or a first touch of which nobody was told.
      if (!rebuild.isTold) transaction.lostWith = home;
      this.#loseOwned(transaction, home);
      this.#end(transaction);
    }
  }

  /** What the old home told to be of a node that has not got it was on its way from there. */
  #loseOwned({ first, count }: PageRun, home: NodeId): void {
    const end = first + count;
    for (let page = first; page < end;) {
      const run = { first: page, count: this.holders.extent(page, end - page) };
      if (this.members.has(this.holders.lostWith(page))) this.holders.lose(run, home);
      page += run.count;
    }
  }

  /** Whether pages are of homes that have moved here, of which something is true. */
  #isRebuilding({ first, count }: PageRun, is: (phase: RebuildingPhase) => boolean): boolean {
    for (let page = first; page < first + count;) {
      const transaction = this.active.at(page);
      if (transaction?.phase.kind !== "rebuilding" || !is(transaction.phase)) return false;
      page = transaction.first + transaction.count;
    }
    return true;
  }

  /** This node is to be the home of no page any more: no transaction begins from here on. */
  retire(): void {
    this.retiring = true;
    this.waiting.clear();
    // What it has not cleared yet is cleared by the directory node.
    this.ordered = [];
    this.freed = new FreedPages();
    this.clearFrom = Infinity;
    this.clearAgainFrom = Infinity;
  }

  /** Whether it can be so: no transaction is under way. */
  get isRetired(): boolean {
    return this.retiring && this.active.size === 0;
  }

  /** Every node is told that this one is no home any more. */
  moved(): void {
    // Nodes that leave hear of the move, and ask this one for nothing more.
    this.leaving.clear();
  }

  /** Tells the directory node, the home of a chunk from now on, which of its pages were touched. */
  handOver({ first, count }: PageRun): void {
    const end = Math.min(first + count, this.options.pageCount);
    for (let page = this.holders.nextTouched(first, end); page < end;) {
      const extent = this.holders.extent(page, Math.min(this.options.runPages, end - page));
      const node = this.holders.owner(page) || this.holders.lostWith(page);
      this.outbox.send(DIRECTORY_NODE, { kind: "touched", first: page, count: extent, node });
      page = this.holders.nextTouched(page + extent, end);
    }
    this.holders.set({ first, count: end - first }, []);
    this.migrations.fill(first, end - first, UNPROVEN);
  }

  /** Lets a node leave, once this node has taken over the pages that only that node has. */
  leave(node: NodeId): void {
    if (!this.members.has(node) || this.retiring) return;
    // What is cleared need not be taken over.
    this.#endRest(this.#region);
    this.waiting.removeOf(node);
    this.#askAgain(node);
    this.leaving.set(node, this.leaver(node, 0));
    this.advanceLeaving();
  }

  /** Takes a `parted`: a leaving node has heard that nothing depends on it, and counts on that. */
  parted(node: NodeId): void {
    const leaver = this.leaving.get(node);
    if (leaver?.parting !== "asked") return;
    leaver.parting = "parted";
    this.advanceLeaving();
  }

  /** Goes on taking over pages of nodes that leave. */
  advanceLeaving(): void {
    if (this.leaving.size === 0) return;
    for (const [node, leaver] of this.leaving) {
      // The work that was put off has its turn, and a transaction its end.
      if (!leaver.paused && leaver.transactions === 0) {
        this.#advanceLeaving(node, leaver, this.options.workPages ?? WORK_PAGES);
      }
    }
  }

  /** A node that has begun to leave. */
  protected leaver(node: NodeId, page: number): Leaver {
    const part = this.active.values().filter((transaction) => involves(transaction, node));
    const transactions = part.reduce((count) => count + 1, 0);
    return { page, transactions, paused: false, parting: undefined };
  }

  /**
   * Takes the nodes that are gone from the holders of pages that are needed now, though the walk
   * over all pages has not come there yet.
   */
  protected repair({ first, count }: PageRun): void {
    const { departed, holders } = this;
    if (departed.length === 0) return;
    const end = Math.min(first + count, this.options.pageCount);
    let page = holders.nextChunk(first, end, departed);
    for (; page !== undefined; page = holders.nextChunk(page, end, departed)) {
      const stop = Math.min(end, this.#chunkEnd(page));
      this.#repair({ first: page, count: stop - page });
      page = stop;
    }
  }

  /** The requester has copies from now on. */
  protected addSharer(run: PageRun, node: NodeId): void {
    this.holders.add(run, node);
  }

  /** The migration record of a page after a node that has a copy asks to write it. */
  protected afterUpgrade(record: number, copies: number, owns: boolean): number {
    return afterUpgrade(record, copies, owns);
  }

  /** The transaction of a request, by the first of its pages. */
  #find(first: number, requester: NodeId, request: number): Transaction | undefined {
    const transaction = this.active.at(first);
    const isMeant = transaction?.requester === requester && transaction.request === request;
    return isMeant ? transaction : undefined;
  }

  #isOutside({ first, count }: PageRun): boolean {
    return count < 1 || first + count > this.options.pageCount;
  }

  #outside(
    from: NodeId,
    { kind, first, count }: RequestMessage | DropMessage | OffloadMessage,
  ): void {
    this.#violation(from, `${kind} of pages ${first}+${count}, outside of the region`);
  }

  #violation(node: NodeId, reason: string): void {
    this.outbox.tell({ kind: "violation", node, reason });
  }

  /** Starts what a request asks for, or does what else has waited. Its first page is free. */
  #start({ from, message }: WaitingRequest): void {
    if (message.kind === "drop") return this.drop(from, message);
    const { first, request } = message;
    if (this.departed.length > 0) {
      this.repair({ first, count: Math.min(message.count, this.options.runPages) });
    }
    const copies = this.holders.count(first);
    const has = copies > 0 && this.holders.has(first, from);
    const reads = message.access === Access.Read && !has;
    const handOver = reads && copies === 1 && this.#migrates(first);
    const count = this.#extent(first, message.count, reads && copies === 1);
    if (copies > 0) this.#learn(from, message, count, copies, has);
    const lostNode = copies === 0 ? this.holders.lostWith(first) : 0;
    const untouched = copies === 0 && lostNode === 0;
    const access = handOver || untouched ? Access.Write : message.access;
    let phase: Phase;
    let invalidated = NO_NODES;
    if (lostNode !== 0) phase = { kind: "lost", lostNode };
    else if (untouched) phase = ZERO;
    else if (access === Access.Write) {
      const source = has ? 0 : this.#source(first);
      phase = has ? KEPT : { kind: "forwarded", source };
      // The one node that has the page is the source, or asks itself.
      if (copies > 1) {
        invalidated = withoutBoth(this.holders.list(first), from, source);
      }
    } else if (!has) phase = { kind: "forwarded", source: this.#source(first) };
    else return this.#violation(from, `request to read page ${first}, which it has`);
    const transaction: Transaction = {
      requester: from,
      request,
      access,
      first,
      count,
      invalidated,
      lostWith: 0,
      refused: NO_NODES,
      phase,
    };
    this.#tell(transaction);
    for (let index = 0; index < invalidated.length; index++) {
      const invalidate = { kind: "invalidate", first, count, requester: from, request } as const;
      this.outbox.send(invalidated[index]!, invalidate);
    }
    // A transaction that the home grants at once is over; one that its cache grants is ended by
    // `granted`.
    if (phase.kind === "granted" && invalidated.length === 0) {
      this.#settle(transaction);
      if (this.adoptions.size === 0) return;
      // Of the pages that it was to take over it may have asked for some, and is granted fewer.
      this.#askAgain(from);
      this.advanceLeaving();
    } else {
      this.active.add(transaction);
      this.#countLeavers(transaction, 1);
    }
  }

  /** Sends the message that the transaction waits on now, to its source or its requester. */
  #tell(transaction: Transaction): void {
    const { phase, requester } = transaction;
    if (phase.kind === "forwarded") this.outbox.send(phase.source, forwardOf(transaction));
    else this.outbox.send(requester, grantOf(transaction));
  }

  /**
   * Ends a transaction: the grant has taken effect, or will before its requester's next message.
   */
  #settle(transaction: Transaction): void {
    const { access, requester } = transaction;
    // Where the home took the pages for lost, the bytes had come in time.
    if (access === Access.Write) this.holders.setOnly(transaction, requester);
    else this.addSharer(transaction, requester);
  }

  /** Whether a page that has one copy is handed over, with the right to write, to its reader. */
  #migrates(page: number): boolean {
    return handOversLeft(this.migrations.get(page)) > 0;
  }

  /**
   * Learns from a request that begins whether its pages migrate. They have the same copies.
   *
   * @param from The node that asks.
   * @param request The request.
   * @param count How many of its pages it begins with.
   * @param copies How many nodes have copies.
   * @param upgrade Whether the node that asks is one of them.
   */
  #learn(
    from: NodeId,
    { first, access }: RequestMessage,
    count: number,
    copies: number,
    upgrade: boolean,
  ): void {
    if (this.options.migration !== true || upgrade !== (access === Access.Write)) return;
    const owns = upgrade && this.holders.owner(first) === from;
    // Not by `change`: a function made anew for each request would be garbage of every transaction.
    const { migrations } = this;
    const end = first + count;
    for (let page = first; page < end;) {
      const extent = migrations.extent(page, end - page);
      const record = migrations.get(page);
      const learnt = upgrade ? this.afterUpgrade(record, copies, owns) : afterRead(record, copies);
      if (learnt !== record) migrations.fill(page, extent, learnt);
      page += extent;
    }
  }

  /**
   * How many of `limit` pages from `first` on can be treated like the first.
   *
   * @param first The first page.
   * @param limit How many to look at; no more than a run counts.
   * @param mayMigrate Whether they are read and have one copy, so that they may be handed over.
   */
  #extent(first: number, limit: number, mayMigrate: boolean): number {
    const alike = this.#alike(first, first + Math.min(limit, this.options.runPages));
    if (!mayMigrate || alike === 1) return alike;
    const migrates = this.#migrates(first);
    let count = 0;
    while (count < alike && this.#migrates(first + count) === migrates) {
      count += this.migrations.extent(first + count, alike - count);
    }
    return count;
  }

  /**
   * How many pages from `first` on, and before `end`, have the same holders: either they are free,
   * or one transaction is under way on all of them.
   */
  #alike(first: number, end: number): number {
    if (end - first === 1) return 1;
    const transaction = this.active.at(first);
    const stop = transaction === undefined
      ? this.active.next(first + 1, end)
      : Math.min(end, transaction.first + transaction.count);
    return this.holders.extent(first, stop - first);
  }

  /** The pieces of a run, in order, for whose pages `sort` returns the same. */
  #pieces({ first, count }: PageRun, sort: (page: number) => unknown): PageRun[] {
    const runs: PageRun[] = [];
    const end = first + count;
    for (let start = first; start < end;) {
      const wanted = sort(start);
      let next = start;
      while (next < end && sort(next) === wanted) next += this.#alike(next, end);
      runs.push({ first: start, count: next - start });
      start = next;
    }
    return runs;
  }

  /** The node that sends the bytes: this one if it has them, which saves a hop; else the owner. */
  #source(page: number): NodeId {
    return this.holders.has(page, this.self) ? this.self : this.holders.owner(page);
  }

  #end(transaction: Transaction): void {
    this.active.delete(transaction);
    if (this.orphans.size > 0) this.orphans.delete(transaction);
    this.#countLeavers(transaction, -1);
    // Of the pages that it was to take over it may have asked for some, and been granted fewer.
    this.#askAgain(transaction.requester);
    if (transaction.lostWith !== 0) this.#loseOrphans(transaction);
    this.#noteLeavers(transaction);
    this.#noteFreed(transaction);
    let next: WaitingRequest | undefined;
    while ((next = this.waiting.take(transaction, this.active)) !== undefined) this.#start(next);
    this.advanceLeaving();
  }

  /** Whether a party may know before this home that a requester is gone; at node 1 none does. */
  #mayHearLate({ phase }: Transaction): boolean {
    return this.self !== DIRECTORY_NODE && phase.kind !== "aborting";
  }

  /** Moves a transaction from one phase to the next. */
  #advance(transaction: Transaction, event: TransactionEvent): void {
    if (event.kind === "peerLost") {
      transaction.invalidated = without(transaction.invalidated, event.node);
    } else if (event.kind === "refused" && this.#mayHearLate(transaction)) {
      transaction.refused = [...transaction.refused, event.from];
    }
    const { phase, requester } = transaction;
    switch (phase.kind) {
      case "granted":
      case "lost":
        if (event.kind === "peerLost" && event.node === requester) this.#beginAbort(transaction);
        return;
      case "forwarded":
        if (event.kind !== "peerLost") return;
        if (event.node === requester) this.#beginAbort(transaction);
        else if (event.node === phase.source) {
          transaction.phase = { kind: "sourceLost", source: phase.source };
          this.orphans.add(transaction);
        }
        return;
      case "sourceLost":
        if (event.kind === "peerLost" && event.node === requester) this.#beginAbort(transaction);
        else if (
          event.kind === "peerLostSeen" && event.node === phase.source && event.from === requester
        ) this.#findSource(transaction, phase.source);
        return;
      case "aborting":
        transaction.phase = aborted(phase, requester, event);
        return;
      case "clearing":
        if (event.kind !== "peerLost" || !phase.awaited.includes(event.node)) return;
        transaction.phase = { kind: "clearing", awaited: without(phase.awaited, event.node) };
        return;
      case "rebuilding":
        return;
      default:
        phase satisfies never;
    }
  }

  /** The requester died: others have yet to tell whether they gave up their copies for it. */
  #beginAbort(transaction: Transaction): void {
    const { phase, requester, invalidated, refused } = transaction;
    const source = sourceOf(phase);
    this.orphans.add(transaction);
    transaction.phase = {
      kind: "aborting",
      content: contentOf(phase),
      source,
      lostNode: requester,
      awaited: [source, ...invalidated].filter((node) => this.members.has(node)),
      refused,
    };
  }

  /** Ends a transaction whose requester died, once every party has told what it has. */
  #abortOnceTold(transaction: Transaction): void {
    const { access, phase } = transaction;
    if (phase.kind !== "aborting" || phase.awaited.length > 0) return;
    // A node that kept its copy kept the requester from writing. A read takes nothing from any
    // node.
    const keepers = phase.refused.filter((node) => this.members.has(node));
    if (access === Access.Write && phase.content !== Content.Lost) {
      keepers.sort((a, b) => Number(b === phase.source) - Number(a === phase.source));
      if (keepers.length === 0) this.#lose(transaction, phase.lostNode);
      else this.holders.set(transaction, keepers);
    }
    this.#end(transaction);
  }

  /** Looks for other bytes, now that the requester surely has none of a source that died. */
  #findSource(transaction: Transaction, lostNode: NodeId): void {
    // A node that is told to drop its copy for a write keeps the bytes until the write is done.
    const others = transaction.access === Access.Write
      ? transaction.invalidated
      : this.holders.list(transaction.first);
    const source = others.find((node) => this.members.has(node));
    this.orphans.delete(transaction);
    this.#countLeavers(transaction, -1);
    if (source !== undefined) transaction.phase = { kind: "forwarded", source };
    else {
      transaction.phase = { kind: "lost", lostNode };
      this.#lose(transaction, lostNode);
    }
    this.#countLeavers(transaction, 1);
    this.#tell(transaction);
  }

  /** A node is gone for good: the walk over all pages is to take it from them. */
  #depart(node: NodeId): void {
    if (this.holders.knows(node)) this.departed.push(node);
    // What it was to take over from nodes that leave is for another.
    this.adoptions.clear();
    for (const leaver of this.leaving.values()) leaver.paused = true;
  }

  /** Whether a node is the only one that has the page, but for nodes that leave. */
  #isAlone(page: number, node: NodeId): boolean {
    return this.holders.has(page, node) &&
      this.holders.list(page).every((other) => other === node || this.leaving.has(other));
  }

  /** Forgets a node's copies, which others have too, or which are none. */
  #forget(node: NodeId, { first, count }: PageRun): void {
    for (const run of this.#pieces({ first, count }, (page) => this.holders.has(page, node))) {
      if (!this.holders.has(run.first, node)) continue;
      this.holders.remove(run, node);
      this.#noteLeavers(run);
    }
    this.outbox.send(node, { kind: "dropped", first, count });
  }

  /**
   * The node with the most spare room for pages of another; where that one needs them to be taken,
   * and no node has any, the node with the most room at all.
   */
  #taker(from: NodeId, isNeeded: boolean): NodeId | undefined {
    const taker = this.#roomiest(from, ({ spare }) => spare);
    if (taker !== undefined || !isNeeded) return taker;
    return this.#roomiest(from, ({ pages }) => pages);
  }

  /**
   * At the directory node: the other node with the most room, for a home that has no room itself.
   *
   * @param home The home, to which this node tells its own room besides.
   * @returns The node and its room; `undefined` where none is known to have any.
   */
  roomElsewhere(home: NodeId): Room & { readonly node: NodeId } | undefined {
    const others = [...this.members].filter((node) => node !== this.self);
    const node = this.#roomiest(home, ({ spare }) => spare, others) ??
      this.#roomiest(home, ({ pages }) => pages, others);
    return node === undefined ? undefined : { node, ...this.roomOf(node) };
  }

  /** The node that has the most of some room for pages of another; this one if it has as much. */
  #roomiest(
    from: NodeId,
    of: (room: Room) => number,
    nodes: Iterable<NodeId> = this.members,
  ): NodeId | undefined {
    let taker: NodeId | undefined;
    let most = 0;
    for (const node of nodes) {
      const room = of(this.roomOf(node));
      if (node === from || this.leaving.has(node) || room <= most) continue;
      taker = node;
      most = room;
    }
    return taker;
  }

  /** How many pages of others a node has room for, as far as the home knows. */
  protected roomOf(node: NodeId): Room {
    return node === this.self ? this.own.room : this.rooms.get(node) ?? NO_ROOM;
  }

  /**
   * Lets a node take over pages.
   *
   * @param run The pages.
   * @param taker The node.
   * @param needed How many of them must be taken, whether it has spare room or not.
   * @returns How many of them it takes: at least one.
   */
  #place({ first, count }: PageRun, taker: NodeId, needed: number): number {
    const { pages, spare } = this.roomOf(taker);
    const taken = spare > 0 ? Math.min(count, spare) : Math.min(count, needed, pages);
    const run = { first, count: taken };
    if (taker === this.self) this.own.adopt(run);
    else {
      this.rooms.set(taker, { pages: pages - taken, spare: Math.max(0, spare - taken) });
      this.outbox.send(taker, { kind: "adopt", ...run });
    }
    return taken;
  }

  /** Lets another node take over what only a leaving node has. */
  #evacuate(node: NodeId, run: PageRun): void {
    const asked = this.adoptions.get(node);
    if (asked?.page === run.first) return;
    const taker = this.#taker(node, true);
    // This node's own requests are answered, or looked at again, without being asked for twice.
    if (taker === this.self) this.adoptions.delete(node);
    else this.adoptions.set(node, { page: run.first, taker: taker ?? 0 });
    if (taker !== undefined) this.#place(run, taker, run.count);
    else this.outbox.send(node, { kind: "keep", ...run });
  }

  /** Clears pages that were freed, where they are not busy. */
  #clearFreed(budget: number): void {
    while (budget > 0 && this.clearFrom !== Infinity && this.#mayClear) {
      const first = this.freed.next(this.clearFrom);
      if (first === undefined) {
        this.clearFrom = this.clearAgainFrom;
        this.clearAgainFrom = Infinity;
        continue;
      }
      const { runPages, pageCount } = this.options;
      if (this.#isElsewhere(first)) {
        const next = this.#orderClear(first);
        this.clearFrom = next;
        budget -= Math.min(next - first, CHUNK_PAGES);
        continue;
      }
      const end = this.#freedEnd(first, Math.min(first + runPages, pageCount));
      this.repair({ first, count: end - first });
      const touched = this.#touchedFrom(first, end);
      // The end of a transaction has this walk come back to its pages.
      if (this.busy(first)) this.clearFrom = first + 1;
      else if (touched > first) {
        const count = touched - first;
        this.#unmark({ first, count });
        this.clearFrom = touched;
        this.#tellCleared({ first, count });
      } else {
        const count = this.#extent(first, end - first, false);
        this.clearFrom = first + count;
        this.#clear({ first, count });
      }
      budget -= end - first;
    }
  }

  /** Whether freed pages can be cleared now. */
  get #mayClear(): boolean {
    return this.clearing.size < CLEARS_MAX;
  }

  /**
   * Tells the home of freed pages to clear them, unless it has enough to do; returns where to go
   * on.
   */
  #orderClear(first: number): number {
    const homes = this.options.homes!;
    const home = homes.of(first);
    if (this.orders.isFull(home)) {
      this.overdue.set(home, Math.min(this.overdue.get(home) ?? first, first));
      return first + homes.givenExtent(first, Math.min(WORK_PAGES, this.options.pageCount - first));
    }
    const chunk = homes.chunk(first);
    const end = this.orders.next(
      first,
      Math.min(chunk.first + chunk.count, this.options.pageCount),
    );
    // The end of an order has the walk over freed pages come back to its pages.
    if (end === first) return first + 1;
    const run = { first, count: this.#freedEnd(first, end) - first };
    this.#unmark(run);
    this.orders.add(home, run);
    this.outbox.send(home, { kind: "clear", ...run });
    return first + run.count;
  }

  /** Pages are as if no node had ever touched them. */
  #tellCleared({ first, count }: PageRun): void {
    this.outbox.tell({ kind: "cleared", first, count });
    this.ordered = this.ordered.filter((run) => {
      if (!overlaps(run, { first, count }) || this.isClearing(run)) return true;
      this.outbox.send(DIRECTORY_NODE, { kind: "cleared", ...run });
      return false;
    });
  }

  /** Whether a page has another home. One that has none yet is untouched. */
  #isElsewhere(page: number): boolean {
    const home = this.options.homes?.of(page) ?? 0;
    return home !== 0 && home !== this.self;
  }

  /**
   * The first page from one on that a node has touched, or is about to, or may have, as it has
   * another home; `end` where there is none.
   */
  #touchedFrom(first: number, end: number): number {
    const touched = this.active.next(first, this.holders.nextTouched(first, end));
    return this.options.homes?.nextOther(this.self, first, touched) ?? touched;
  }

  get #region(): PageRun {
    return { first: 0, count: this.options.pageCount };
  }

  /** The pages of a run that rest are to be cleared: memory is wanted. */
  #endRest(run: PageRun): void {
    if (!this.resting.hasAny(run)) return;
    this.resting.move(run, this.freed);
    this.#lookForFreed(run.first);
  }

  /** Where the freed pages from the first on end, at `end` at the latest. */
  #freedEnd(first: number, end: number): number {
    let page = first + 1;
    while (page < end && this.freed.has(page)) page++;
    return page;
  }

  /** Pages are cleared, or need not be: also where they were freed again since they rested. */
  #unmark(run: PageRun): void {
    this.freed.delete(run);
    this.resting.delete(run);
  }

  /** Has all copies of pages dropped, which have the same. */
  #clear({ first, count }: PageRun): void {
    this.#unmark({ first, count });
    const invalidated = this.holders.list(first);
    const transaction: Transaction = {
      requester: this.self,
      request: CLEAR_REQUEST,
      access: Access.Write,
      first,
      count,
      invalidated,
      lostWith: 0,
      refused: NO_NODES,
      phase: { kind: "clearing", awaited: invalidated },
    };
    this.active.add(transaction);
    this.clearing.add(transaction);
    this.#countLeavers(transaction, 1);
    for (const node of invalidated) {
      const { requester, request } = transaction;
      this.outbox.send(node, { kind: "invalidate", first, count, requester, request });
    }
    this.endClear(transaction);
  }

  /** Ends a transaction that clears pages, once no node has a copy: they count as never touched. */
  protected endClear(transaction: Transaction): void {
    const { first, count, phase } = transaction;
    if (phase.kind !== "clearing" || phase.awaited.length > 0) return;
    this.clearing.delete(transaction);
    this.holders.clear(transaction);
    this.migrations.fill(first, count, UNPROVEN);
    // Whether the last copy was dropped or has gone with its node, nothing of it is missed.
    transaction.lostWith = 0;
    this.#tellCleared({ first, count });
    this.#end(transaction);
  }

  /** Pages are free of a transaction: those of them that were freed can be cleared. */
  #noteFreed({ first, count }: PageRun): void {
    if (this.freed.isEmpty) return;
    const page = this.freed.next(first, first + count);
    if (page !== undefined) this.#lookForFreed(page);
  }

  /** Has {@linkcode work} look for pages to clear from one on, when it has come round to there. */
  #lookForFreed(page: number): void {
    if (this.clearFrom === Infinity) this.clearFrom = page;
    else if (page < this.clearFrom) this.clearAgainFrom = Math.min(this.clearAgainFrom, page);
  }

  /** Goes on with the walk that takes the nodes which are gone from the holders of all pages. */
  #sweep(budget: number): number {
    const { departed } = this;
    while (departed.length > 0 && budget > 0) {
      if (this.sweep.nodes === 0) this.sweep = { page: 0, nodes: departed.length };
      const swept = departed.slice(0, this.sweep.nodes);
      const next = this.#nextChunk(this.sweep.page, swept);
      if (next === undefined) {
        for (const node of swept) this.holders.forget(node);
        departed.splice(0, swept.length);
        this.sweep = { page: 0, nodes: 0 };
        continue;
      }
      const end = this.#chunkEnd(next);
      const count = Math.min(end - next, budget);
      this.#repair({ first: next, count });
      budget -= count;
      if (next + count === end) {
        for (const node of swept) this.holders.leaveChunk(next, node);
      }
      this.sweep = { page: next + count, nodes: swept.length };
    }
    return budget;
  }

  /** Takes gone nodes from the holders of a run. A page is lost with the last of its holders. */
  #repair({ first, count }: PageRun): void {
    const end = first + count;
    for (let page = first; page < end;) {
      const run = { first: page, count: this.#alike(page, end) };
      for (const node of this.departed) {
        if (!this.holders.has(page, node)) continue;
        this.holders.remove(run, node);
        if (this.holders.owner(page) !== 0) continue;
        // Whether a transaction that is under way has brought the bytes to another node, its end
        // will show.
        const transaction = this.active.at(page);
        const isHere = transaction === undefined || transaction.phase.kind === "rebuilding";
        if (isHere) this.holders.lose(run, node);
        else transaction.lostWith = node;
      }
      page += run.count;
    }
    this.#noteLeavers({ first, count });
  }

  /** The pages of a transaction are lost with a node. */
  #lose(transaction: Transaction, node: NodeId): void {
    this.holders.lose(transaction, node);
    transaction.lostWith = 0;
  }

  /** A transaction has ended: what of its pages no node has was lost while it was under way. */
  #loseOrphans({ first, count, lostWith }: Transaction): void {
    const end = first + count;
    for (let page = first; page < end;) {
      const run = { first: page, count: this.holders.extent(page, end - page) };
      const isOrphan = this.holders.owner(page) === 0 && this.holders.lostWith(page) === 0;
      if (isOrphan) this.holders.lose(run, lostWith);
      page += run.count;
    }
  }

  /** Notes that a transaction of which leaving nodes are parties has begun, or ended. */
  #countLeavers(transaction: Transaction, change: number): void {
    if (this.leaving.size === 0) return;
    for (const [node, leaver] of this.leaving) {
      if (involves(transaction, node)) leaver.transactions += change;
    }
  }

  /** Where only a leaving node has a page of a run now, that page is yet to be taken over. */
  #noteLeavers({ first, count }: PageRun): void {
    if (this.leaving.size === 0) return;
    const end = first + count;
    for (let page = first; page < end; page += this.holders.extent(page, end - page)) {
      const leaver = this.leaving.get(this.holders.owner(page));
      if (leaver === undefined || leaver.page <= page || this.holders.count(page) !== 1) continue;
      leaver.page = page;
      leaver.paused = true;
    }
  }

  /**
   * Takes over what only a leaving node has, one run after the other, and lets the node go at the
   * end.
   *
   * @param node The node.
   * @param leaver What is known of its leaving.
   * @param budget How many pages to look at.
   * @returns How many more pages can be looked at.
   */
  #advanceLeaving(node: NodeId, leaver: Leaver, budget: number): number {
    leaver.paused = false;
    // What the node has of pages whose home has moved here is not known before it has told.
    if (leaver.transactions > 0 || this.rebuilds.size > 0) return budget;
    const allGo = this.closing &&
      this.members.values().every((other) => other === this.self || this.leaving.has(other));
    if (allGo) {
      this.#letGo(node);
      return budget;
    }
    for (;;) {
      const next = this.#nextChunk(leaver.page, [node]);
      // Another node that is gone may have been the only other one with a page: see `#noteLeavers`.
      if (next === undefined && this.departed.length === 0) {
        this.#letGo(node);
        return budget;
      }
      if (next === undefined || budget === 0) {
        leaver.paused = true;
        return budget;
      }
      const end = this.#chunkEnd(next);
      for (leaver.page = next; leaver.page < end && budget > 0; leaver.page++, budget--) {
        const { page } = leaver;
        if (!this.holders.has(page, node)) continue;
        if (this.busy(page)) return budget;
        const run = { first: page, count: this.options.runPages };
        this.repair(run);
        if (this.holders.count(page) > 1) continue;
        this.#evacuate(node, { first: page, count: this.#extent(page, run.count, false) });
        return budget;
      }
    }
  }

  /** The first page from `start` on in a chunk of which one of the nodes may have a page. */
  #nextChunk(start: number, nodes: readonly NodeId[]): number | undefined {
    return this.holders.nextChunk(start, this.options.pageCount, nodes);
  }

  /** The end of a page's chunk. */
  #chunkEnd(page: number): number {
    return Math.min(this.options.pageCount, page - page % CHUNK_PAGES + CHUNK_PAGES);
  }

  /**
   * A leaving node has nothing that others lack. Until now its copies counted, in case those died.
   */
  #letGo(node: NodeId): void {
    const leaver = this.leaving.get(node)!;
    // Where this home may move, the node must not report its copies any more.
    if (this.self !== DIRECTORY_NODE && leaver.parting !== "parted") {
      if (leaver.parting === undefined) this.outbox.send(node, { kind: "part" });
      leaver.parting = "asked";
      return;
    }
    this.leaving.delete(node);
    this.adoptions.delete(node);
    this.rooms.delete(node);
    this.members.delete(node);
    this.#depart(node);
    this.outbox.send(node, { kind: "left" });
    if (this.self !== DIRECTORY_NODE) return;
    this.outbox.tell({ kind: "nodeLeft", node });
    for (const member of this.members) this.outbox.send(member, { kind: "peerLost", node });
  }
}
