/**
 * A node's side of the protocol: its rights to each page, its requests, and how it gives pages up.
 *
 * A page moves between three states (see {@linkcode PageState}). A miss makes one request to the
 * page's home; the grant comes from the node that has the bytes. A page that was granted while a
 * thread waited for it is held for a while before it is given up, so that the thread can finish its
 * access.
 */

import { ADOPTIONS_MAX, MEMORY_WAIT_MAX_MS, TICKET_MAX } from "../../limits.ts";
import { ChunkHomes } from "./chunk_homes.ts";
import { type Debt, isOwed, type Lacking } from "./debts.ts";
import { type Demand, DemandQueue } from "./demand_queue.ts";
import {
  type AcknowledgeMessage,
  CLEAR_REQUEST,
  Content,
  DIRECTORY_NODE,
  type GrantMessage,
  isFinal,
  type LocatedMessage,
  NO_NODES,
  type NodeId,
} from "./messages.ts";
import { type MemoryCounters, type MemoryOptions, PageMemory, type Room } from "./memory.ts";
import type { Outbox } from "./output.ts";
import { Access, contains, type PageRun, PageState, permits } from "./page.ts";
import { PageTable } from "./page_table.ts";
import { RunTable } from "./run_table.ts";
import { type IsHere, Miss, SequenceDetector } from "./sequence_detector.ts";

/** What a cache has counted since it was made. */
export interface CacheCounters extends MemoryCounters {
  /** Faults that were reported, including old ones. */
  faults: number;
  /** Faults on pages that this node had already. */
  staleFaults: number;
  /** Requests to read. */
  readMisses: number;
  /** Requests to write pages that this node had no copy of. */
  writeMisses: number;
  /** Requests to write pages that this node had a read-only copy of. */
  upgrades: number;
  /** Pages requested ahead of a walk; their requests are not counted above. */
  pagesAhead: number;
  /** Pages whose bytes came from another node. */
  pagesReceived: number;
  /** Pages that came without bytes, since no node ever wrote them. */
  pagesZero: number;
  /** Pages whose bytes went to another node. */
  pagesSent: number;
  /** Pages dropped for another node's write. */
  pagesInvalidated: number;
}

/** @returns Counters that are all zero. */
function noCounts(): CacheCounters {
  return {
    faults: 0,
    staleFaults: 0,
    readMisses: 0,
    writeMisses: 0,
    upgrades: 0,
    pagesAhead: 0,
    pagesReceived: 0,
    pagesZero: 0,
    pagesSent: 0,
    pagesInvalidated: 0,
    pagesDropped: 0,
    pagesOffloaded: 0,
    pagesDiscarded: 0,
  };
}

/** An access of this node, and the page that it is for. */
interface Wanted {
  readonly page: number;
  access: Access;
}

/** A request that was sent and is not finished. */
interface Pending extends PageRun {
  readonly request: number;
  readonly access: Access;
  /** The node that was asked; 0 while this node has yet to hear which is the home. */
  home: NodeId;
  /**
   * Whether the first page stays unmapped, so that it is seen when a thread comes there. Other
   * requests that no thread waits for map all of their pages.
   */
  readonly trap: boolean;
  /** Whether it was made before, of a home that has moved: bytes may have come from there. */
  readonly anew: boolean;
  grant: GrantMessage | undefined;
  /** The node that sent the grant; 0 before there is one. */
  granter: NodeId;
  /** The nodes that have acknowledged, maybe before the grant came that names the nodes. */
  acknowledged: readonly NodeId[];
  /** The accesses of this node that wait for the request, at most one a page. */
  readonly waiting: Wanted[];
}

/**
 * Checks a grant.
 *
 * @param pending The request that the grant names.
 * @param grant The grant.
 * @param states The {@linkcode PageState} of every page.
 * @returns Why the grant cannot answer the request, or `undefined` when it can.
 */
function mismatchOf(
  pending: Pending,
  grant: GrantMessage,
  states: PageTable<PageState>,
): string | undefined {
  if (grant.first !== pending.first || grant.count > pending.count || grant.count < 1) {
    return `grant of pages ${grant.first}+${grant.count}, ` +
      `asked for were ${pending.first}+${pending.count}`;
  }
  if (grant.content === Content.Lost) return undefined;
  if (grant.access < pending.access) return "grant of less than was asked for";
  const kept = grant.content === Content.Kept;
  const end = grant.first + grant.count;
  for (let page = grant.first; page < end; page += states.extent(page, end - page)) {
    if ((states.get(page) !== PageState.Invalid) !== kept) {
      return kept ? `no bytes for page ${page}` : `bytes for page ${page}, which is here`;
    }
  }
  return undefined;
}

/** The requests under way, in the order in which they were made. */
class PendingTable extends RunTable<Pending> {
  /** How many of them a thread waits for. */
  awaited = 0;

  /** The request that a message about some pages names. */
  find(request: number, first: number): Pending | undefined {
    const pending = this.at(first);
    return pending?.request === request ? pending : this.#search(request);
  }

  /** Finds a request by its number alone: the message is late, or breaks the protocol. */
  #search(request: number): Pending | undefined {
    return this.values().find((other) => other.request === request);
  }

  override add(pending: Pending): void {
    super.add(pending);
    if (pending.waiting.length > 0) this.awaited++;
  }

  override delete(pending: Pending): void {
    super.delete(pending);
    if (pending.waiting.length > 0) this.awaited--;
  }

  /** A thread waits for an access to a page that is requested. */
  addWaiting(pending: Pending, page: number, access: Access): void {
    const { waiting } = pending;
    if (waiting.length === 0) this.awaited++;
    const entry = waiting.find((other) => other.page === page);
    if (entry === undefined) waiting.push({ page, access });
    else if (access === Access.Write) entry.access = access;
  }
}

/** What a cache must know about its node and region. */
export interface CacheOptions extends MemoryOptions {
  /** This node. */
  readonly self: NodeId;
  /** The pages of the region. */
  readonly pageCount: number;
  /** The most pages that one request asks for. */
  readonly runPages: number;
  /**
   * The longest that a page which a thread waited for is kept before the thread has run, in
   * microseconds.
   */
  readonly holdTimeUs: number;
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
   * Whether this node has heard that a node is gone, where a home that has not may still name that
   * node in an answer to a later request.
   */
  isGone?(node: NodeId): boolean;
  /**
   * Called when pages have come to this node that others had: their bytes from the node `source`,
   * or only the right to write them, where `source` is 0.
   */
  moved?(run: PageRun, source: NodeId | 0): void;
  /** Called when a request was made for which a thread waits. */
  requested?(request: number): void;
  /** Called when a request is made anew, by another number than before. */
  requestedAnew?(before: number, request: number): void;
  /** Called when a request is over, for which a thread may wait. */
  served?(request: number): void;
}

/** What a node may do with a page once it has given up the right to write it. */
function onceDowngraded(state: PageState): PageState {
  return state === PageState.Exclusive ? PageState.Shared : state;
}

/** Whether an access to a page is among those that wait. */
function isWanted(waiting: readonly Wanted[], page: number): boolean {
  return waiting.some((wanted) => wanted.page === page);
}

/** A walk with shorter runs may end soon, so nothing is requested ahead of it. */
const READ_AHEAD_MIN_PAGES = 8;

const MS_US = 1000;

/** The pages of one node. */
export class PageCache {
  readonly counters: CacheCounters = noCounts();
  protected readonly options: CacheOptions;
  protected readonly outbox: Outbox;
  protected readonly states = new PageTable<PageState>();
  protected readonly homes: ChunkHomes;
  protected readonly memory: PageMemory;
  protected readonly sequences: SequenceDetector;
  /**
   * The nodes that are gone, each with the number of the request that came next then. A grant that
   * comes from such a node, or names it, answers an earlier request; so it is forgotten with the
   * last of these.
   */
  protected readonly gone = new Map<NodeId, number>();
  protected readonly lost = new Map<number, NodeId>();
  protected readonly pending = new PendingTable();
  /** The first pages of the chunks whose home this node has asked for. */
  protected readonly locating = new Set<number>();
  protected readonly demands: DemandQueue = new DemandQueue((demand) => this.surrender(demand));
  /** The accesses that wait until there is room for their pages, in order; at most one a page. */
  protected roomless: Wanted[] = [];
  /** Since when there was no room for any of them, in microseconds. */
  protected roomlessSince = 0;
  /** Since when no node has room for the pages of this leaving node; `Infinity` if one has. */
  protected strandedSince = Infinity;
  /**
   * The pages that were mapped for a thread of this node, each with the time until which they are
   * not given back for want of room, in microseconds; the earliest first.
   */
  protected readonly mapped = new Map<number, number>();
  /** The pages of others that this node will request once there is room for them. */
  protected adoptions: PageRun[] = [];
  /** Whether pages of others were forgotten for want of room since this was set to false. */
  hasDeclined = false;
  protected nextRequest = 1;
  protected leaving = false;

  /** Whether all pages of a run are here alike; made once, as each miss asks. */
  readonly #isHere: IsHere = ({ first, count }) =>
    this.states.get(first) !== PageState.Invalid && this.states.extent(first, count) === count;
  readonly #granted: (grant: GrantMessage, requester: NodeId) => void;
  readonly #answered: () => void;

  /**
   * @param options The node and its region.
   * @param outbox Where operations, messages and events go.
   * @param granted Tells the home, if this node is the home, that a grant of this node is final.
   * @param answered Called when this node leaves and every request of it is answered.
   */
  constructor(
    options: CacheOptions,
    outbox: Outbox,
    granted: (grant: GrantMessage, requester: NodeId) => void = () => {},
    answered: () => void = () => outbox.send(DIRECTORY_NODE, { kind: "leave" }),
  ) {
    this.options = options;
    this.outbox = outbox;
    this.#granted = granted;
    this.#answered = answered;
    this.homes = options.homes ?? new ChunkHomes();
    this.memory = new PageMemory(options, outbox, this.states, this.counters);
    const { runPages, readAhead, readAheadMinPages = READ_AHEAD_MIN_PAGES, followsMin } = options;
    const aheadMinPages = readAhead ? readAheadMinPages : undefined;
    this.sequences = new SequenceDetector(runPages, aheadMinPages, followsMin);
  }

  /** What this node may do with a page. */
  state(page: number): PageState {
    return this.states.get(page);
  }

  /** Every page that this node has a copy of. */
  pages(): IterableIterator<[page: number, state: PageState]> {
    return this.states.entries();
  }

  /**
   * How many pages this node has copies of, to read and to write, and of how many it has dead bytes
   * only, which it may not read any more and has not given back.
   */
  get copies(): {
    readonly pagesShared: number;
    readonly pagesExclusive: number;
    readonly pagesDead: number;
  } {
    return {
      pagesShared: this.states.count(PageState.Shared),
      pagesExclusive: this.states.count(PageState.Exclusive),
      pagesDead: this.memory.dead,
    };
  }

  /** How many pages of a run this node has copies of, to read and to write. */
  copiesIn(run: PageRun): { readonly shared: number; readonly exclusive: number } {
    const { Shared, Exclusive } = PageState;
    const [shared, exclusive] = this.states.countsIn(run, Shared, Exclusive);
    return { shared: shared!, exclusive: exclusive! };
  }

  /** How many pages of others this node has room for. */
  get room(): Room {
    let promised = this.roomless.length;
    for (const { count } of this.adoptions) promised += count;
    const pages = Math.max(0, this.memory.room - promised);
    return { pages, spare: Math.max(0, pages - this.memory.reserve) };
  }

  /** Whether a thread of this node waits for a page. */
  get isAwaited(): boolean {
    return this.roomless.length > 0 || this.pending.awaited > 0;
  }

  /** When to call {@linkcode tick} next, in microseconds; `Infinity` for never. */
  get deadline(): number {
    const { deadline } = this.demands;
    if (this.leaving) return Math.min(deadline, this.strandedSince + MEMORY_WAIT_MAX_MS * MS_US);
    const isWaiting = this.roomless.length > 0;
    if (!isWaiting && this.adoptions.length === 0) return deadline;
    const exhausted = isWaiting ? this.roomlessSince + MEMORY_WAIT_MAX_MS * MS_US : Infinity;
    const again = this.memory.offloads.length > 0 ? this.memory.askAgainAt : Infinity;
    const [kept = Infinity] = this.mapped.values();
    return Math.min(deadline, exhausted, again, kept);
  }

  /**
   * The held pages that are demanded, or all that were mapped for threads just now while there is
   * no room for other pages; {@linkcode resumed} ends the hold of each.
   */
  get awaitedPages(): readonly number[] {
    return this.roomless.length > 0 ? [...this.mapped.keys()] : this.demands.awaitedPages;
  }

  /** Takes a fault of a thread of this node. The fault may be old, and may be reported twice. */
  fault(page: number, access: Access, now: number): void {
    this.counters.faults++;
    this.#want(page, access, now);
  }

  /** Requests pages before a thread faults on them, except those here or requested already. */
  fetch(first: number, count: number, access: Access): void {
    if (!this.leaving) this.#fetch({ first, count }, access, this.#spare);
  }

  /** Requests what is missing of a run, as far as there is room; returns how many pages that is. */
  #fetch({ first, count }: PageRun, access: Access, room: number): number {
    let page = first;
    while (page < first + count) {
      const missing = this.#isMissing(page, access);
      const extent = missing ? this.#extent(page, first + count - page, room) : 1;
      if (extent === 0) break;
      if (missing) {
        const { free } = this.memory;
        this.#countMiss(page, access);
        this.#request(page, extent, access);
        if (room !== Infinity) room -= free - this.memory.free;
      }
      page += extent;
    }
    return page - first;
  }

  /**
   * Takes the home's wish that this node takes pages from another one, which needs its room. They
   * are requested once there is room, and forgotten if none can be made.
   */
  adopt({ first, count }: PageRun): void {
    if (this.leaving || this.adoptions.length === ADOPTIONS_MAX) return;
    if (this.adoptions.some((run) => contains(run, first))) return;
    this.adoptions.push({ first, count });
    this.#adoptAll();
  }

  /** Whether this node owes its part in a transaction: the home's demand waits for a hold. */
  owes(debt: Debt): boolean {
    return this.demands.deferred.some((demand) => isOwed(debt, demand));
  }

  /** What a request of this node lacks; `undefined` where it is over. */
  lacks({ first, requester, request }: Debt): Lacking | undefined {
    const pending = requester === this.options.self ? this.pending.find(request, first) : undefined;
    if (pending?.grant === undefined) return pending && 0;
    const { acknowledged, grant } = pending;
    return grant.invalidated.find((node) => !acknowledged.includes(node) && !this.gone.has(node));
  }

  /** Takes the home's word that it forgot copies, and that no node will ask for their bytes. */
  dropped(run: PageRun): void {
    this.memory.dropped(run);
  }

  /** Takes the home's word that it has not, since no other node has the pages or room for them. */
  kept(run: PageRun, now: number): void {
    if (this.leaving) this.strandedSince = Math.min(this.strandedSince, now);
    this.memory.kept(run);
  }

  /** Gives dead bytes back: there is nothing else to do. */
  giveBack(): void {
    this.memory.giveBack();
  }

  /** A step begins. What an earlier one mapped for threads they have had some time to touch. */
  begin(now: number): void {
    if (this.mapped.size === 0) return;
    for (const [page, until] of this.mapped) {
      if (until > now) break;
      this.mapped.delete(page);
    }
  }

  /**
   * Uses what room there is, and makes more where it is needed. Called when everything else of a
   * step is done.
   *
   * @param now The time, in microseconds.
   */
  useRoom(now: number): void {
    this.#serveRoomless(now);
    this.#adoptAll();
    if (!this.leaving && this.memory.limit !== Infinity) this.#makeRoom(now);
  }

  #makeRoom(now: number): void {
    const { free, reserve } = this.memory;
    const kept = free < reserve ? 2 * reserve : 0;
    const any = this.roomless.length + kept - free;
    const adopted = this.adoptions[0]?.count ?? 0;
    const isNeeded = (page: number) => this.mapped.has(page) || this.pending.at(page) !== undefined;
    if (any + adopted > 0) {
      const awaited = Math.max(0, this.roomless.length - free);
      this.memory.makeRoom(any + adopted, Math.max(0, any), awaited, isNeeded, now);
    }
    // What no node had to be asked for is free at once.
    this.#serveRoomless(now);
    this.#adoptAll();
  }

  /** Tells of what has waited for room for too long, and waits for it no longer. */
  #endWaits(now: number): void {
    const since = now - MEMORY_WAIT_MAX_MS * MS_US;
    if (this.strandedSince <= since) {
      this.strandedSince = Infinity;
      this.outbox.tell({ kind: "memoryExhausted", page: undefined });
    }
    if (this.roomless.length === 0 || this.roomlessSince > since) return;
    for (const { page } of this.roomless) this.outbox.tell({ kind: "memoryExhausted", page });
    this.roomless = [];
  }

  /** Lets the accesses go on for which there is room now, or which need none any more. */
  #serveRoomless(now: number): void {
    const { roomless, roomlessSince } = this;
    if (roomless.length === 0) return;
    this.roomless = [];
    for (const { page, access } of roomless) this.#want(page, access, now);
    this.roomlessSince = this.roomless.length < roomless.length ? now : roomlessSince;
  }

  /** Requests the pages of others that there is room for. */
  #adoptAll(): void {
    while (this.adoptions.length > 0) {
      const { first, count } = this.adoptions[0]!;
      const room = this.memory.free - this.roomless.length;
      // What the home is asked to forget can be requested once the home has answered. So can what
      // is requested already, be it of a node that is not the home any more: the grant may be of
      // fewer pages.
      let ready = 0;
      while (ready < count && this.#isUnasked(first + ready)) ready++;
      const taken = this.#fetch({ first, count: ready }, Access.Write, room);
      if (taken === count) this.adoptions.shift();
      else {
        this.adoptions[0] = { first: first + taken, count: count - taken };
        if (this.memory.room > this.roomless.length) return;
        this.adoptions = [];
        this.hasDeclined = true;
      }
    }
  }

  /** How many pages may be requested that no thread waits for: never as many as there is room. */
  get #spare(): number {
    const { free, reserve } = this.memory;
    return free - Math.max(1, reserve) - this.roomless.length;
  }

  /**
   * Whether the bytes that follow a grant may be put into the alias: it answers a request of this
   * node, and no window maps any of its pages.
   */
  acceptsData(from: NodeId, grant: GrantMessage): boolean {
    const pending = this.pending.find(grant.request, grant.first);
    return pending !== undefined && pending.grant === undefined && !this.#isGone(from) &&
      mismatchOf(pending, grant, this.states) === undefined;
  }

  /**
   * Takes the directory node's word which node is the home of pages that this node asked about, or
   * asked the directory node for, since it took that for their home.
   */
  located({ first, count, node }: LocatedMessage, now: number): void {
    const asked = this.pending.at(first);
    if (asked?.first === first && asked.home === DIRECTORY_NODE && this.#isMisled(asked, node)) {
      this.homes.give({ first, count }, node);
      return this.#redirect(asked, node, now);
    }
    const chunk = this.homes.chunk(first);
    if (!this.locating.delete(chunk.first)) {
      const reason = `located page ${first}, which this node did not ask about`;
      return this.outbox.tell({ kind: "violation", node: DIRECTORY_NODE, reason });
    }
    this.homes.set(first, node);
    // The directory node tells what it knows of the pages behind the chunk, too.
    this.homes.give({ first, count }, node);
    for (const pending of this.pending.values()) {
      if (pending.home !== 0 || !contains(chunk, pending.first)) continue;
      pending.home = node;
      this.#send(pending);
    }
  }

  /** Whether a request went to the directory node on an assumption that is wrong. */
  #isMisled({ first, grant }: Pending, home: NodeId): boolean {
    const given = this.homes.given(first);
    return grant === undefined && home !== DIRECTORY_NODE && (given === 0 || given === home);
  }

  /**
   * Makes a request anew at the home of its first page, which is not the one that was assumed. The
   * rest of a run goes its own way, where a thread waits for it.
   */
  #redirect(pending: Pending, home: NodeId, now: number): void {
    const run = { first: pending.first, count: this.homes.extent(pending.first, pending.count) };
    const rest = { first: run.first + run.count, count: pending.count - run.count };
    const isOfRest = ({ page }: Wanted): boolean => contains(rest, page);
    const waiting = pending.waiting.filter((wanted) => !isOfRest(wanted));
    this.#requestAnew(pending, { ...run, home, waiting });
    this.#forgetGone();
    if (rest.count === 0) return;
    this.memory.refused(rest, false);
    this.sequences.granted(run.first, pending.count, run.count);
    for (const { page, access } of pending.waiting.filter(isOfRest)) this.#want(page, access, now);
  }

  /** Takes a grant: of pages, or of the right to write them. */
  grant(from: NodeId, message: GrantMessage, now: number): void {
    const pending = this.pending.find(message.request, message.first);
    // A second grant for one request comes only if the first source died; the first grant counts.
    if (pending === undefined || pending.grant !== undefined) return;
    // This node has told the home, by `peerLostSeen`, that it depends on the lost node no longer.
    if (this.gone.has(from)) return;
    const mismatch = mismatchOf(pending, message, this.states);
    if (mismatch !== undefined) {
      this.outbox.tell({ kind: "violation", node: from, reason: mismatch });
      return;
    }
    pending.grant = message;
    pending.granter = from;
    this.#settle(pending, now);
  }

  /** Takes an acknowledgement: a sharer has dropped its copies for a request of this node. */
  acknowledge(from: NodeId, message: AcknowledgeMessage, now: number): void {
    const pending = this.pending.find(message.request, message.first);
    if (pending === undefined || pending.acknowledged.includes(from)) return;
    pending.acknowledged = [...pending.acknowledged, from];
    this.#settle(pending, now);
  }

  /** Takes a demand of the home for pages that another node requests. */
  demand(demand: Demand, now: number): void {
    // A page of a node that leaves goes elsewhere: there is room again.
    if (this.strandedSince !== Infinity) this.strandedSince = now;
    this.demands.add(demand, now);
  }

  /** Ends the hold of a page: every thread of this node that waited for it has run since. */
  resumed(page: number, now: number): void {
    this.mapped.delete(page);
    this.demands.release(page, now);
  }

  /** Ends the holds whose time is up. */
  tick(now: number): void {
    this.demands.meetDue(now);
    this.#endWaits(now);
  }

  /** Takes the home's news that a node is gone. */
  peerLost(node: NodeId, now: number): void {
    this.gone.set(node, this.nextRequest);
    for (const { first, count, requester, request } of this.demands.drop(node)) {
      this.outbox.send(this.homes.of(first), { kind: "refused", first, count, requester, request });
    }
    this.demands.meetDue(now);
    for (const pending of this.pending.values()) this.#settle(pending, now);
    this.#forgetGone();
  }

  /**
   * Takes the news that the home of some pages has moved to the directory node. What the old home
   * has demanded and this node has not met is forgotten. A home that is gone may have forgotten the
   * copies that it was asked to forget, so these are none.
   */
  homeMoved(runs: readonly PageRun[], isGone: boolean, now: number): void {
    for (const run of runs) {
      this.demands.forget(run);
      if (isGone) this.memory.dropped(run);
    }
    // What is demanded on behalf of a node that is gone must not be met; `peerLost` goes on here.
    if (!isGone) this.demands.meetDue(now);
  }

  /** Whether a home has yet to answer a request. */
  isAsking(home: NodeId): boolean {
    return this.pending.values().some((pending) => pending.home === home);
  }

  /** Takes back what a home was asked about dead bytes; returns the copies that it was. */
  unask(runs: readonly PageRun[]): number[] {
    return runs.flatMap((run) => this.memory.unask(run));
  }

  /**
   * Makes the requests anew that were under way at a home which has moved, now that nothing can
   * come of them any more. A grant that lacks acknowledgements yet is good for reading: its bytes
   * are the last ones, and the nodes that have not acknowledged may read theirs.
   */
  askAnew(home: NodeId, now: number): void {
    for (const pending of [...this.pending.values()]) {
      if (pending.home !== home) continue;
      const { grant } = pending;
      if (grant?.content === Content.Data) {
        pending.grant = { ...grant, access: Access.Read, invalidated: NO_NODES };
        this.#settle(pending, now);
        continue;
      }
      this.#requestAnew(pending, {
        anew: true,
        home: this.homes.of(pending.first),
        grant: undefined,
        granter: 0,
        acknowledged: [],
      });
    }
    this.#forgetGone();
  }

  /** Tells the directory node which copies of a run are here. */
  tellCopies({ first, count }: PageRun): void {
    const end = Math.min(first + count, this.options.pageCount);
    for (let page = first; page < end;) {
      const extent = this.memory.alike(page, Math.min(this.options.runPages, end - page));
      const state = this.states.get(page);
      // A copy that the new home was asked to forget already is one until it answers.
      if (this.memory.hasCopy(page)) {
        const access = state === PageState.Exclusive ? Access.Write : Access.Read;
        this.outbox.send(DIRECTORY_NODE, { kind: "holds", access, first: page, count: extent });
      }
      page += extent;
    }
  }

  /**
   * Leaves: makes no more requests and ends all holds. Tells the home once every request is
   * answered, so that no bytes are on their way to this node. The home then fetches the pages that
   * only this node has.
   */
  leave(): void {
    this.leaving = true;
    this.roomless = [];
    this.adoptions = [];
    this.demands.releaseAll();
    this.#leaveWhenAnswered();
  }

  #leaveWhenAnswered(): void {
    if (this.leaving && this.pending.size === 0) this.#answered();
  }

  /** Meets a demand of the home: gives up pages, or the right to write them. */
  protected surrender(message: Demand): void {
    const { first, count, request, requester } = message;
    if (message.kind === "invalidate") {
      this.drop(first, count);
      if (request === CLEAR_REQUEST) this.memory.cleared(message, this.pending);
      else this.memory.invalidated(message, this.pending);
      this.counters.pagesInvalidated += count;
      this.outbox.send(requester, { kind: "acknowledge", first, count, request });
      return;
    }
    // The copies that this node dropped for this very request have not changed since, so their
    // bytes can still be sent. But if this node has one of the pages again, or has given its bytes
    // back, the requester got the bytes after all.
    const dropped = message.invalidated.includes(this.options.self);
    const end = first + count;
    for (let page = first; page < end; page += this.memory.alike(page, end - page)) {
      const isHere = this.memory.hasCopy(page);
      if (dropped && (isHere || !this.memory.hasOldBytes(page))) return;
      if (dropped || isHere) continue;
      const reason = `forward of page ${page}, which is not here`;
      this.outbox.tell({ kind: "violation", node: this.homes.of(first), reason });
      return;
    }
    if (message.access === Access.Write) {
      this.drop(first, count);
      this.memory.surrendered(message, this.pending);
    } else {
      this.downgrade(first, count);
      this.memory.shared(message);
    }
    this.counters.pagesSent += count;
    const grant: GrantMessage = {
      kind: "grant",
      access: message.access,
      content: Content.Data,
      first,
      count,
      request,
      invalidated: message.invalidated,
      lostNode: 0,
    };
    this.outbox.send(requester, grant);
    if (this.homes.of(first) === this.options.self && isFinal(grant)) {
      this.#granted(grant, requester);
    }
  }

  /** Gives up copies. */
  protected drop(first: number, count: number): void {
    this.outbox.operate({ kind: "evict", first, count });
    this.states.fill(first, count, PageState.Invalid);
    this.sequences.taken(first, count);
  }

  /** Gives up the right to write. */
  protected downgrade(first: number, count: number): void {
    const wasWritable = this.states.change({ first, count }, onceDowngraded);
    if (wasWritable) this.outbox.operate({ kind: "protect", first, count });
  }

  /** Lets a faulting access succeed: at once, or by a request. */
  #want(page: number, access: Access, now: number): void {
    const state = this.state(page);
    if (permits(state, access)) {
      // The fault is old, or happened in a window where the page was never mapped. Mapping the page
      // is right in both cases.
      this.counters.staleFaults++;
      this.memory.touched(page);
      this.#keep(page, now);
      const writable = state === PageState.Exclusive;
      this.outbox.operate({ kind: "install", first: page, count: 1, writable });
      if (this.sequences.enters(page)) this.#readAhead(access);
      return;
    }
    if (this.lost.size > 0) {
      const node = this.lost.get(page);
      if (node !== undefined) return this.outbox.tell({ kind: "pageLost", page, node });
    }
    const pending = this.pending.at(page);
    if (pending === undefined) {
      if (this.leaving) return;
      if (this.#lacksRoom(page)) return this.#waitForRoom(page, access, now);
      const { free } = this.memory;
      const wanted = this.sequences.miss(page, this.#missOf(page, access), this.#isHere);
      const extent = this.#extent(page, wanted, free);
      this.#countMiss(page, access);
      this.#request(page, extent, access, [{ page, access }]);
      this.sequences.asked(page, extent);
      return this.#readAhead(access);
    }
    if (this.sequences.enters(page)) this.#readAhead(access);
    this.pending.addWaiting(pending, page, access);
  }

  /** What a miss of a page is, or would be. */
  #missOf(page: number, access: Access): Miss {
    if (access === Access.Read) return Miss.Read;
    return this.state(page) === PageState.Shared ? Miss.Upgrade : Miss.Write;
  }

  /** Whether a page cannot be requested yet. */
  #lacksRoom(page: number): boolean {
    const { memory } = this;
    if (memory.isAsked(page)) return true;
    return memory.needsRoom(page) && memory.free <= this.roomless.length;
  }

  #waitForRoom(page: number, access: Access, now: number): void {
    const entry = this.roomless.find((other) => other.page === page);
    if (entry === undefined) {
      if (this.roomless.length === 0) this.roomlessSince = now;
      this.roomless.push({ page, access });
    } else if (access === Access.Write) entry.access = access;
  }

  /** Requests the next run of the walk that moved last, and the upgrades that follow it. */
  #readAhead(access: Access): void {
    if (this.leaving) return;
    const run = this.sequences.ahead();
    if (run !== undefined) {
      const asked = this.#requestAhead(run, run.miss, access);
      if (asked > 0) this.sequences.asked(run.first, asked);
    }
    const follower = this.sequences.follower();
    if (follower === undefined) return;
    const asked = this.#requestAhead(follower, Miss.Upgrade, Access.Write, follower.isSeen);
    if (asked > 0) this.sequences.askedFollower({ ...follower, count: asked });
  }

  /**
   * Requests a run for which no thread waits yet; returns how many of its pages. Where it is to be
   * seen when a thread comes there, the first of them is not mapped.
   */
  #requestAhead({ first, count }: PageRun, miss: Miss, access: Access, isSeen = true): number {
    if (first >= this.options.pageCount || !this.#isMissing(first, access)) return 0;
    // What a walk has to upgrade is of this node's own part; what is behind that is not.
    if (miss === Miss.Upgrade && this.#missOf(first, access) !== Miss.Upgrade) return 0;
    if (this.lost.has(first)) return 0;
    // A node that writes where its part ends would become the home of the next node's.
    if (access === Access.Write && this.homes.of(first) === 0) return 0;
    const extent = this.#extent(first, count, this.#spare);
    if (extent === 0) return 0;
    this.counters.pagesAhead += extent;
    this.#request(first, extent, access, [], isSeen);
    return extent;
  }

  /**
   * Whether a page has to be requested for an access, and can be: it is neither here nor requested
   * already, and the home is not just asked to forget it.
   */
  #isMissing(page: number, access: Access): boolean {
    return !permits(this.state(page), access) && this.#isUnasked(page);
  }

  /** Whether the home has yet to be asked for a page, and is not asked to forget it. */
  #isUnasked(page: number): boolean {
    return !this.memory.isAsked(page) && this.pending.at(page) === undefined;
  }

  /** How many of `limit` pages from `first` on one request can ask for, with so much room. */
  #extent(first: number, limit: number, room: number): number {
    const { pageCount, runPages } = this.options;
    const end = first + Math.min(limit, runPages, pageCount - first);
    if (end - first > 1) limit = this.pending.next(first + 1, end) - first;
    else limit = 1;
    limit = this.homes.extent(first, this.states.extent(first, limit));
    if (this.lost.size > 0) {
      for (let count = 1; count < limit; count++) if (this.lost.has(first + count)) limit = count;
    }
    return this.memory.requestable(first, limit, room);
  }

  #countMiss(page: number, access: Access): void {
    if (access === Access.Read) this.counters.readMisses++;
    else if (this.state(page) === PageState.Shared) this.counters.upgrades++;
    else this.counters.writeMisses++;
  }

  #request(
    first: number,
    count: number,
    access: Access,
    waiting: Wanted[] = [],
    trap = false,
  ): void {
    const request = this.#number();
    const home = this.homes.of(first);
    const pending: Pending = {
      request,
      access,
      home,
      first,
      count,
      trap,
      anew: false,
      grant: undefined,
      granter: 0,
      acknowledged: NO_NODES,
      waiting,
    };
    this.pending.add(pending);
    if (waiting.length > 0) this.options.requested?.(request);
    this.memory.requested(pending);
    if (home === 0) this.#locate(pending);
    else this.#send(pending);
  }

  /** Makes a request anew, by another number, with what has changed. */
  #requestAnew(pending: Pending, changed: Partial<Pending>): void {
    this.pending.delete(pending);
    const anew: Pending = { ...pending, ...changed, request: this.#number() };
    this.pending.add(anew);
    this.options.requestedAnew?.(pending.request, anew.request);
    this.#send(anew);
  }

  /** The number of the next request. */
  #number(): number {
    const request = this.nextRequest;
    this.nextRequest = request === TICKET_MAX ? 1 : request + 1;
    return request;
  }

  /** Asks the directory node, once for each chunk, which node is the home of its pages. */
  #locate({ first, count }: PageRun): void {
    const chunk = this.homes.chunk(first).first;
    if (this.locating.has(chunk)) return;
    this.locating.add(chunk);
    this.outbox.send(DIRECTORY_NODE, { kind: "locate", first, count });
  }

  #send({ home, access, first, count, request }: Pending): void {
    this.outbox.send(home, { kind: "request", access, first, count, request });
  }

  /** Lets a grant take effect, once every node that it names has acknowledged. */
  #settle(pending: Pending, now: number): void {
    const { grant } = pending;
    if (grant === undefined) return;
    if (!this.acknowledged(pending.acknowledged, grant)) return;
    this.pending.delete(pending);
    this.options.served?.(pending.request);
    if (this.gone.size > 0) this.#forgetGone();
    const { first, count, request } = grant;
    // What it was assumed to be the home of, it is.
    this.homes.give(grant, pending.home);
    const lost = grant.content === Content.Lost;
    const granted = lost ? 0 : count;
    if (granted < pending.count) {
      const rest = { first: first + granted, count: pending.count - granted };
      this.memory.refused(rest, lost || pending.anew);
    }
    if (lost) this.#lose(pending, grant);
    else this.#take(pending, grant, now);
    const { home } = pending;
    // A home that has moved wants no word any more.
    const isOver = (pending.granter === home && isFinal(grant)) || this.homes.of(first) !== home;
    if (!isOver) {
      this.outbox.send(home, { kind: "done", first, count, request, lost });
    }
    this.sequences.granted(first, pending.count, count);
    // Accesses outside of the granted run, and writes to pages that were granted for reading, still
    // wait and need a request of their own.
    for (let index = 0; index < pending.waiting.length; index++) {
      const { page, access } = pending.waiting[index]!;
      const served = contains(grant, page) && (lost || permits(this.state(page), access));
      if (!served) this.#want(page, access, now);
    }
    this.#leaveWhenAnswered();
  }

  /** Forgets the nodes that were gone when the oldest request under way was made. */
  #forgetGone(): void {
    const oldest = this.pending.first?.request ?? this.nextRequest;
    for (const [node, next] of this.gone) {
      // Numbers of requests begin anew after the largest.
      if (((oldest - next) | 0) < 0) return;
      this.gone.delete(node);
    }
  }

  /** Whether every node that the grant names has dropped its copy. */
  protected acknowledged(acknowledged: readonly NodeId[], grant: GrantMessage): boolean {
    if (grant.invalidated.length === 0) return true;
    return grant.invalidated.every((node) => acknowledged.includes(node) || this.#isGone(node));
  }

  #isGone(node: NodeId): boolean {
    return this.gone.has(node) || this.options.isGone?.(node) === true;
  }

  #take(pending: Pending, grant: GrantMessage, now: number): void {
    const { first, count, content } = grant;
    const writable = grant.access === Access.Write;
    const trap = pending.trap && !isWanted(pending.waiting, first);
    const mapped = trap ? first + 1 : first;
    const rest = first + count - mapped;
    switch (content) {
      case Content.Data:
        this.counters.pagesReceived += count;
        this.options.moved?.(grant, pending.granter);
        if (rest > 0) {
          this.outbox.operate({ kind: "install", first: mapped, count: rest, writable });
        }
        break;
      case Content.Zero:
        this.counters.pagesZero += count;
        this.outbox.operate({ kind: "installZero", first, count });
        // The page's bytes had to become zeros as well.
        if (trap) this.outbox.operate({ kind: "evict", first, count: 1 });
        break;
      case Content.Kept:
        if (grant.invalidated.length > 0) this.options.moved?.(grant, 0);
        if (rest > 0) this.outbox.operate({ kind: "unprotect", first: mapped, count: rest });
        break;
      default:
        // Pages that are lost are not taken.
        content satisfies typeof Content.Lost;
    }
    this.states.fill(first, count, writable ? PageState.Exclusive : PageState.Shared);
    this.memory.granted(grant, writable);
    this.#hold(pending, grant, now);
  }

  /** Holds the pages that a thread waits for until the thread has run. */
  #hold({ waiting }: Pending, grant: GrantMessage, now: number): void {
    const { holdTimeUs } = this.options;
    if (this.leaving) return;
    for (let index = 0; index < waiting.length; index++) {
      const { page, access } = waiting[index]!;
      if (!contains(grant, page) || !permits(this.state(page), access)) continue;
      this.#keep(page, now);
      if (holdTimeUs > 0) this.demands.hold(page, now, now + holdTimeUs);
    }
  }

  /** Keeps a page that was mapped for a thread until it has run, whatever room is needed. */
  #keep(page: number, now: number): void {
    if (this.memory.limit === Infinity) return;
    this.mapped.delete(page);
    this.mapped.set(page, now + this.options.holdTimeUs);
  }

  #lose(pending: Pending, grant: GrantMessage): void {
    const { lostNode } = grant;
    for (const { page } of pending.waiting) {
      if (!contains(grant, page)) continue;
      // Pages that no thread waits for are forgotten, so that they may be allocated anew.
      this.lost.set(page, lostNode);
      this.outbox.tell({ kind: "pageLost", page, node: lostNode });
    }
  }
}
